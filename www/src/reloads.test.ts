import assert from "node:assert/strict";
import { test } from "node:test";
import { Reloads } from "./reloads.ts";
import { handle, initial, type Status } from "./state.ts";

const at = (state: Status["state"], sinceMs: number): Status => ({ ...initial(sinceMs), state });

const never = Number.NEGATIVE_INFINITY;

/** When `reloads` says so, ms, for what stands still from 0 on and hears news each 100 ms. */
function tries(reloads: Reloads, untilMs: number, loadedMs = (_: number) => never): number[] {
  const stalled = at("stalled", 0);
  const found: number[] = [];
  for (let now = 0; now <= untilMs; now += 100) {
    if (reloads.isStuck(stalled, loadedMs(now), now)) found.push(now);
  }
  return found;
}

test("what stands still is loaded anew after 4 s, then after pauses that double up to 30 s", () => {
  assert.deepEqual(tries(new Reloads(), 120_000), [4_000, 12_000, 28_000, 58_000, 88_000, 118_000]);
});

test("what is loaded all the while is given four times as long", () => {
  const slowly = (now: number) => now - 300;
  assert.deepEqual(tries(new Reloads(), 60_000, slowly), [16_000, 48_000]);
  // It was loaded until a second after it stood still, and then no more.
  assert.deepEqual(
    tries(new Reloads(), 6_000, (now) => Math.min(now, 1_000)),
    [5_000],
  );
});

test("while the stream itself is silent, what stands still is not to blame", () => {
  const reloads = new Reloads();
  const stalled = at("stalled", 1_000);
  assert.equal(reloads.isStuck(stalled, never, 1_000), false);
  // It goes on after a silence: from here on it has four seconds.
  for (let now = 21_000; now < 25_000; now += 200)
    assert.equal(reloads.isStuck(stalled, never, now), false, `${now}`);
  assert.equal(reloads.isStuck(stalled, never, 25_000), true);
});

test("nothing is loaded anew that plays, rests, loads or has ended", () => {
  for (const state of ["idle", "loading", "playing", "ended", "error"] as const) {
    assert.equal(new Reloads().isStuck(at(state, 0), never, 60_000), false, state);
  }
});

test("a short stall is none", () => {
  const reloads = new Reloads();
  let status = handle(handle(initial(0), "load", 0), "play", 0);
  status = handle(status, "starve", 1_000);
  assert.equal(reloads.isStuck(status, never, 4_900), false);
  status = handle(status, "play", 4_950);
  assert.equal(reloads.isStuck(status, never, 9_000), false);
});

/** The pauses after so many errors in a row. */
function pauses(reloads: Reloads, errors: number): number[] {
  return Array.from({ length: errors }, (_, error) => reloads.afterMs(at("loading", 0), error * 10_000));
}

test("after a few errors it waits longer each time, up to 8 s", () => {
  const expected = [500, 500, 500, 500, 500, 500, 1_000, 2_000, 4_000, 8_000, 8_000];
  assert.deepEqual(pauses(new Reloads(), 11), expected);
});

test("what played well for five seconds begins with short pauses again, a moment of picture does not", () => {
  const reloads = new Reloads();
  pauses(reloads, 6);
  assert.equal(tries(reloads, 4_000).length, 1);
  assert.equal(reloads.afterMs(at("playing", 5_000), 6_000), 1_000);
  assert.equal(reloads.isStuck(at("stalled", 6_000), never, 11_000), false);
  assert.equal(reloads.afterMs(at("playing", 20_000), 25_000), 500);
  for (let now = 26_000; now < 30_000; now += 200) reloads.isStuck(at("stalled", 26_000), never, now);
  assert.equal(reloads.isStuck(at("stalled", 26_000), never, 30_000), true);
});
