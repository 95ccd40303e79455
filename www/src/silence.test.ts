import assert from "node:assert/strict";
import { test } from "node:test";
import { Silence } from "./silence.ts";

/** When another is asked, ms, by whoever looks when it is due, until `untilMs`. */
function asked(silence: Silence, untilMs: number, given: (nowMs: number) => number = () => 0): number[] {
  const found: number[] = [];
  for (let now = silence.dueMs; now <= untilMs; now = Math.max(silence.dueMs, now + 1)) {
    if (!silence.look(now, () => given(now))) continue;
    found.push(now);
    silence.nobody(now);
  }
  return found;
}

test("who says nothing for a second is silent, and it is looked at only then and halfway", () => {
  const silence = new Silence(0);
  assert.equal(silence.dueMs, 500);
  assert.equal(
    silence.look(500, () => 7),
    false,
  );
  assert.equal(silence.dueMs, 1_000);
  assert.equal(
    silence.look(1_000, () => 7),
    true,
  );
});

test("news and bytes begin it anew", () => {
  const silence = new Silence(0);
  silence.look(500, () => 0);
  silence.heard(900);
  assert.equal(silence.dueMs, 1_400);
  silence.flowed(1_300);
  assert.equal(silence.dueMs, 1_800);
  assert.equal(
    silence.look(1_800, () => 0),
    false,
  );
  silence.flowed(1_000);
  assert.equal(silence.dueMs, 2_300);
});

test("what peers give meanwhile is a sign of life", () => {
  const silence = new Silence(0);
  assert.deepEqual(
    asked(silence, 10_000, (now) => now),
    [],
  );
  assert.deepEqual(
    asked(new Silence(0), 2_600, (now) => Math.min(now, 1_000)),
    [2_000],
  );
});

test("where others know no more, they are asked later and later, up to 30 s; after news soon again", () => {
  const silence = new Silence(0);
  assert.deepEqual(asked(silence, 70_000), [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 62_000]);
  silence.heard(100_000);
  assert.deepEqual(asked(silence, 102_500), [101_000, 102_000]);
});
