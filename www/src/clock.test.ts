import assert from "node:assert/strict";
import { test } from "node:test";
import { GatewayClock } from "./clock.ts";

/** An exchange over a path with the given delays; the gateway's clock is `ahead` ms before the viewer's. */
function exchange(askedMs: number, thereMs: number, backMs: number, ahead: number) {
  return { askedMs, clockMicros: (askedMs + thereMs + ahead) * 1000, heardMs: askedMs + thereMs + backMs };
}

test("before the first answer nothing is known", () => {
  assert.equal(new GatewayClock().at(5), null);
});

test("a path that is as long there as back gives the offset exactly", () => {
  const clock = new GatewayClock();
  clock.add(exchange(100, 20, 20, 1_700_000_000_000));
  assert.equal(clock.at(1000), 1_700_000_001_000);
});

test("the fastest exchange wins over queued ones, whatever their order", () => {
  const clock = new GatewayClock();
  const slow = Array.from({ length: 5 }, (_, i) => exchange(i * 10, 1, 300, 5000));
  for (const one of [...slow.slice(0, 3), exchange(40, 2, 2, 5000), ...slow.slice(3)]) clock.add(one);
  assert.equal(clock.at(100), 5100);
});

test("the error is at most half the round trip, even when all delay is on one way", () => {
  const clock = new GatewayClock();
  clock.add(exchange(0, 80, 0, 0));
  assert.ok(Math.abs((clock.at(0) ?? Number.NaN) - 0) <= 40);
});

test("an old fast exchange gives way to a new one, because clocks drift", () => {
  const clock = new GatewayClock();
  clock.add(exchange(0, 1, 1, 1000));
  clock.add(exchange(16 * 60_000, 10, 10, 1100));
  assert.equal(clock.at(0), 1100);
});

test("answers from before the question and answers without a clock are not counted", () => {
  const clock = new GatewayClock();
  clock.add({ askedMs: 10, clockMicros: 1, heardMs: 5 });
  clock.add({ askedMs: 10, clockMicros: Number.NaN, heardMs: 15 });
  assert.equal(clock.at(0), null);
});
