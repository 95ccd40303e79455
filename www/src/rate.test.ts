import assert from "node:assert/strict";
import { test } from "node:test";
import { begin, type Choice, choose, staying } from "./rate.ts";

const LEVELS = [120_000, 240_000, 800_000];
const PART_S = 0.2;
const BEHIND_S = 1.2;
const PARTS_IN_SEGMENT = 10;

interface Run {
  /** When which level was chosen, seconds. */
  changes: [number, number][];
  stallS: number;
}

/** Deterministic numbers within 0 and 1. */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/**
 * A live stream over a link of `carries(s)` bits per second, a little behind the edge: a part is there to be loaded
 * each 200 ms, levels change at segment boundaries, and the estimate is the lower of two averages over the last parts' own speeds.
 */
function play(
  seconds: number,
  carries: (s: number) => number,
  { noise = 0, seed = 1, levels = LEVELS } = {},
): Run {
  const random = dice(seed);
  const spread = (): number => 1 + noise * (2 * random() - 1);
  let choice: Choice = begin(levels.length - 1, 0);
  const run: Run = { changes: [], stallS: 0 };
  let [quick, slow] = [0, 0];
  let arriving = choice.level;
  let [loading, playhead, loaded, bitsLeft, beganS] = [choice.level, -BEHIND_S, 0, 0, 0];
  const STEP = 0.01;
  for (let s = 0; s < seconds; s += STEP) {
    if (bitsLeft <= 0 && loaded + PART_S <= s) {
      if (Math.round(loaded / PART_S) % PARTS_IN_SEGMENT === 0) loading = choice.level;
      bitsLeft = (levels[loading] ?? 0) * PART_S * spread();
      beganS = s;
    }
    if (bitsLeft > 0) {
      const size = (levels[loading] ?? 0) * PART_S;
      bitsLeft -= carries(s) * spread() * STEP;
      if (bitsLeft <= 0) {
        loaded += PART_S;
        arriving = loading;
        const speed = size / Math.max(STEP, s - beganS);
        quick += (speed - quick) * (quick === 0 ? 1 : 0.4);
        slow += (speed - slow) * (slow === 0 ? 1 : 0.15);
      }
    }
    if (playhead + STEP <= loaded) playhead += STEP;
    else if (s > 2) run.stallS += STEP;
    const estimate = Math.min(quick, slow) || null;
    const sight = {
      estimate,
      buffered: Math.max(0, loaded - playhead),
      arriving,
      bitRates: levels,
      certain: false,
      nowMs: s * 1000,
    };
    const after = choose(choice, sight);
    if (after.level !== choice.level) run.changes.push([s, after.level]);
    choice = after;
  }
  return run;
}

test("a link that narrows to 300 kbit/s and widens again: down and up within 10 s each, and no other change", () => {
  const { changes } = play(180, (s) => (s < 30 || s >= 100 ? 2_000_000 : 300_000));
  assert.deepEqual(
    changes.map(([, level]) => level),
    [1, 2],
  );
  const [downS = 0, upS = 0] = changes.map(([s]) => s);
  assert.ok(downS >= 30 && downS < 40, `down ${downS - 30} s after it narrowed`);
  assert.ok(upS >= 100 && upS < 110, `up ${upS - 100} s after it widened`);
});

test("where the top level hardly misses the link, a second in hand is enough to come down without a stall", () => {
  const levels = [100_000, 200_000, 400_000];
  const { changes, stallS } = play(120, (s) => (s < 30 ? 2_000_000 : 300_000), { levels });
  assert.deepEqual([changes.length, changes[0]?.[1], stallS], [1, 1, 0]);
});

test("noise of a third is no reason to change, on a wide link and on a narrow one", () => {
  for (let seed = 1; seed <= 5; seed += 1) {
    const wide = play(120, () => 2_000_000, { noise: 0.33, seed });
    assert.deepEqual(wide, { changes: [], stallS: 0 }, `seed ${seed}`);
    const narrow = play(120, () => 330_000, { noise: 0.33, seed });
    assert.ok(narrow.changes.length <= 2, `seed ${seed}: ${JSON.stringify(narrow.changes)}`);
  }
});

test("a link that swings above and below what a level needs is tried less and less often", () => {
  const { changes } = play(600, (s) => (s % 20 < 12 ? 1_400_000 : 500_000));
  const late = changes.filter(([s]) => s > 300).length;
  assert.ok(changes.length > 2, "it never tried");
  assert.ok(late <= changes.length / 2 && late <= 8, JSON.stringify(changes));
});

test("the lowest level is left alone however little there is, and one level is never left", () => {
  const { changes } = play(60, () => 50_000);
  assert.deepEqual(changes.at(-1)?.[1], 0);
  assert.deepEqual(play(60, () => 50_000, { levels: [400_000] }).changes, []);
});

/** Looks every 100 ms at what `sight` gives at that time. */
function watch(
  from: Choice,
  ms: number,
  sight: (ms: number) => { estimate: number | null; buffered: number },
): Choice {
  let choice = from;
  for (let at = 0; at <= ms; at += 100) {
    choice = choose(choice, {
      arriving: choice.level,
      bitRates: LEVELS,
      certain: false,
      nowMs: from.seenMs + at,
      ...sight(at),
    });
  }
  return choice;
}

test("while nobody knows what the link carries, the level stays", () => {
  const start = begin(1, 0);
  assert.equal(watch(start, 60_000, () => ({ estimate: null, buffered: 0.8 })).level, 1);
});

test("a buffer that is short for a second brings it down one level although the estimate is high", () => {
  const steady = watch(begin(2, 0), 10_000, () => ({ estimate: 5_000_000, buffered: 0.8 }));
  const blink = watch(steady, 2_000, (ms) => ({
    estimate: 5_000_000,
    buffered: ms % 1_000 < 800 ? 0.1 : 0.8,
  }));
  assert.equal(blink.level, 2);
  assert.equal(watch(steady, 1_500, () => ({ estimate: 5_000_000, buffered: 0.1 })).level, 1);
});

test("a viewer that always has little buffered does not count as short of it", () => {
  assert.equal(watch(begin(2, 0), 60_000, () => ({ estimate: 5_000_000, buffered: 0.15 })).level, 2);
});

test("a link that is certainly too narrow is answered at once, one that only seems so a look later", () => {
  const sight = { estimate: 400_000, buffered: 0.8, arriving: 2, bitRates: LEVELS, nowMs: 10_000 };
  const start = watch(begin(2, 0), 9_900, () => ({ estimate: 5_000_000, buffered: 0.8 }));
  assert.ok(choose(start, { ...sight, certain: true }).level < 2);
  const seems = choose(start, { ...sight, certain: false });
  assert.equal(seems.level, 2);
  assert.ok(choose(seems, { ...sight, certain: false, nowMs: 10_100 }).level < 2);
});

test("a list of levels that shrank is begun again with the smallest", () => {
  const sight = {
    estimate: 5_000_000,
    certain: false,
    buffered: 1,
    arriving: 2,
    bitRates: [300_000, 100_000],
    nowMs: 1_000,
  };
  assert.equal(choose(begin(2, 0), sight).level, 1);
});

test("the same sight again changes nothing", () => {
  const sight = {
    estimate: 100_000,
    certain: false,
    buffered: 0.1,
    arriving: 2,
    bitRates: LEVELS,
    nowMs: 5_000,
  };
  const once = choose(begin(2, 0), sight);
  assert.deepEqual(choose(once, sight), once);
});

test("a segment is left for a smaller rendition when that is at its end sooner", () => {
  const load = (from: number) => ({ begins: 10, ends: 12, from });
  assert.equal(staying(load(10), 600_000, 160_000), false);
  assert.equal(staying(load(11.4), 600_000, 160_000), false);
  assert.equal(staying(load(11.5), 600_000, 160_000), true);
  assert.equal(staying(load(11.5), 600_000, 100_000), false);
});
