import assert from "node:assert/strict";
import { test } from "node:test";
import { Home } from "./home.ts";

/** When a viewer that left at `leftMs` goes home, where that is there again from `backMs` on. */
function returns(home: Home, leftMs: number, backMs: number, had = (ms: number) => ms >= backMs): number {
  home.moved(false, leftMs);
  for (let looks = 0; looks < 1_000; looks += 1) {
    const now = home.dueMs;
    if (home.looked(had(now), now)) return now;
  }
  return Number.POSITIVE_INFINITY;
}

const steady = (random = 0.5) => new Home(() => random);

test("who is back has what is newest for ten seconds before viewers return, not all at the same instant", () => {
  assert.equal(returns(steady(), 0, 0), 10_000);
  assert.equal(returns(steady(0), 0, 0), 7_500);
  assert.equal(returns(steady(1), 0, 0), 12_500);
});

test("one miss begins it anew", () => {
  const missed = (ms: number) => ms < 7_000 || ms > 9_000;
  assert.equal(returns(steady(), 0, 0, missed), 8_000 + 4_000 + 8_000);
});

test("who is away for long is looked for later and later, and found within half a minute and ten seconds", () => {
  let looks = 0;
  const home = steady();
  const back = returns(home, 0, 600_000, (ms) => {
    looks += 1;
    return ms >= 600_000;
  });
  assert.ok(back >= 608_000 && back <= 640_000, `${back}`);
  assert.ok(looks < 40, `${looks} looks`);
});

test("who left again soon waits twice as long each time, up to a minute; after two minutes at home as at first", () => {
  const home = steady();
  const waited: number[] = [];
  let now = 0;
  for (let times = 0; times < 5; times += 1) {
    const back = returns(home, now, now);
    waited.push(back - now);
    home.moved(true, back);
    now = back + 119_000;
  }
  assert.deepEqual(waited, [10_000, 20_000, 40_000, 60_000, 60_000]);
  const back = returns(home, now + 1_000, 0);
  assert.equal(back - now - 1_000, 10_000);
});

test("a move from one elsewhere to another changes nothing", () => {
  const home = steady();
  home.moved(false, 0);
  const due = home.dueMs;
  home.moved(false, 500);
  assert.equal(home.dueMs, due);
});
