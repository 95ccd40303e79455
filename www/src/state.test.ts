import assert from "node:assert/strict";
import { test } from "node:test";
import { type Happening, handle, initial, type State, times } from "./state.ts";

/** Lets things happen one second apart. */
function after(...happenings: Happening[]) {
  return happenings.reduce((status, happening, i) => handle(status, happening, (i + 1) * 1000), initial(0));
}

test("a visit without trouble", () => {
  const walk: [Happening, State][] = [
    ["load", "loading"],
    ["play", "playing"],
    ["end", "ended"],
    ["load", "loading"],
    ["play", "playing"],
  ];
  let status = initial(0);
  for (const [happening, state] of walk) {
    status = handle(status, happening, 0);
    assert.equal(status.state, state);
  }
  assert.equal(status.stalls, 0);
});

test("waiting for the first frame is loading, not a stall", () => {
  assert.equal(after("load", "starve").state, "loading");
  assert.equal(after("load", "starve").stalls, 0);
});

test("a stall counts once, with the time until the picture moves again", () => {
  const status = after("load", "play", "starve", "starve", "play");
  assert.equal(status.stalls, 1);
  assert.deepEqual(times(status, 7000), { stallMs: 2000, playedMs: 1000 + 2000 });
});

test("the running interval counts in each read", () => {
  const playing = after("load", "play");
  assert.equal(times(playing, 2500).playedMs, 500);
  assert.equal(times(playing, 3500).playedMs, 1500);
});

test("paused time is neither played nor stalled", () => {
  const status = after("load", "play", "rest");
  assert.deepEqual(times(status, 99_000), { stallMs: 0, playedMs: 1000 });
  assert.equal(handle(status, "play", 99_000).state, "playing");
});

test("what changes nothing gives the same status back", () => {
  const status = after("load", "play");
  assert.equal(handle(status, "play", 9000), status);
  assert.equal(handle(status, "load", 9000), status);
});

test("an error is left only when the stream is there again", () => {
  const status = after("load", "fail");
  assert.equal(handle(status, "play", 0).state, "error");
  assert.equal(handle(status, "starve", 0).state, "error");
  assert.equal(handle(status, "load", 0).state, "loading");
});
