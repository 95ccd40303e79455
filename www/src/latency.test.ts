import assert from "node:assert/strict";
import { test } from "node:test";
import { ENOUGH, FASTEST, LatencyController, MOST_STRETCHED, SLOWEST } from "./latency.ts";

const narrowed = false;

/** Plays for `seconds`, looked at four times a second; `behind` follows from the rates. */
function play(controller: LatencyController, behind: number, seconds: number, fromMs = 0) {
  const rates: number[] = [];
  for (let ms = 0; ms < seconds * 1000; ms += 250) {
    const rate = controller.rate({ behind, buffered: behind - 0.3, nowMs: fromMs + ms, narrowed });
    behind -= (rate - 1) * 0.25;
    rates.push(rate);
  }
  return { behind, rates };
}

test("too far behind it plays faster until the target is met, then at normal speed", () => {
  const { behind, rates } = play(new LatencyController(1), 3, 60);
  assert.ok(Math.abs(behind - 1) <= 0.12, `ends ${behind} s behind`);
  assert.equal(rates.at(-1), 1);
  assert.ok(rates.includes(FASTEST));
});

test("too near the edge it plays slower", () => {
  const { behind, rates } = play(new LatencyController(1), 0.5, 60);
  assert.ok(Math.abs(behind - 1) <= 0.12, `ends ${behind} s behind`);
  assert.ok(rates.every((rate) => rate <= 1));
});

test("with enough buffered the rate never leaves 0.95 to 1.1, however far off", () => {
  for (const behind of [0.7, 5, 30, 1e6]) {
    for (const rate of play(new LatencyController(1), behind, 5).rates) {
      assert.ok(rate >= SLOWEST && rate <= FASTEST, `${rate}`);
    }
  }
});

test("the steps in which the edge moves do not disturb a met target", () => {
  const controller = new LatencyController(1);
  for (let ms = 0; ms < 60_000; ms += 250) {
    const sawtooth = ((ms % 200) / 200) * 0.2 - 0.1;
    assert.equal(controller.rate({ behind: 1 + sawtooth, buffered: 0.7, nowMs: ms, narrowed }), 1);
  }
});

/** How long so much lasts when nothing more comes, looked at four times a second. */
function lasts(buffered: number, narrowed: boolean): number {
  const controller = new LatencyController(1);
  let ms = 0;
  for (; buffered > 0; ms += 10) {
    const rate = controller.rate({ behind: 1 + ms / 1000, buffered, nowMs: ms, narrowed });
    assert.ok(rate >= MOST_STRETCHED, `${rate}`);
    buffered -= rate / 100;
  }
  return ms / 1000;
}

test("where hardly anything is buffered it is stretched, and far more of it where the way became narrow", () => {
  const little = lasts(0.25, false);
  assert.ok(little > 0.4, `a quarter of a second lasts ${little} s`);
  assert.ok(lasts(1, false) < 1.3);
  const narrow = lasts(1, true);
  assert.ok(narrow > 1.6, `a second lasts ${narrow} s`);
  assert.ok(lasts(3, true) < 3.9);
});

test("it does not hurry where the way became narrow", () => {
  assert.equal(new LatencyController(1).rate({ behind: 5, buffered: 2, nowMs: 0, narrowed: true }), 1);
  assert.equal(new LatencyController(1).rate({ behind: 5, buffered: 2, nowMs: 0, narrowed: false }), FASTEST);
});

test("a stall with enough buffered leaves the target as it is", () => {
  const controller = new LatencyController(1);
  controller.stalled(ENOUGH, 0);
  assert.equal(controller.goal(0), 1);
});

test("a stall widens the target, at most by 2 s, and time without one takes it back", () => {
  const controller = new LatencyController(1);
  controller.stalled(0.1, 0);
  assert.equal(controller.goal(0), 1.25);
  for (let i = 0; i < 20; i += 1) controller.stalled(0.1, i);
  assert.equal(controller.goal(20), 3);
  assert.equal(controller.goal(20 + 10_000), 2.75);
  assert.equal(controller.goal(20 + 8 * 10_000), 1);
});

test("each stall after one was taken back is taken back later, up to a minute", () => {
  const controller = new LatencyController(1);
  let nowMs = 0;
  for (const afterMs of [10_000, 20_000, 40_000, 60_000, 60_000]) {
    controller.stalled(0.1, nowMs);
    assert.equal(controller.goal(nowMs + afterMs - 1), 1.25);
    nowMs += afterMs;
    assert.equal(controller.goal(nowMs), 1);
  }
});
