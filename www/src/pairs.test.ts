import assert from "node:assert/strict";
import { test } from "node:test";
import { Pairs, RESERVE } from "./pairs.ts";

test("who has enough ahead takes the parts of the next segment in pairs", () => {
  const pairs = new Pairs();
  assert.deepEqual(pairs.upTo(100, 5), [], "what was begun before it stays as it is");
  assert.deepEqual(pairs.announced({ msn: 100, part: 7 }, 5), { msn: 100, part: 7 });
  assert.deepEqual(pairs.announced({ msn: 101, part: 0 }, RESERVE), { msn: 101, part: 1 });
  assert.deepEqual(pairs.announced({ msn: 101, part: 4 }, 5), { msn: 101, part: 9 });
  assert.deepEqual(pairs.upTo(101, 5), [101]);
});

test("what was said of a segment is not taken back, whatever is ahead then", () => {
  const pairs = new Pairs();
  pairs.upTo(100, 5);
  assert.deepEqual(pairs.announced({ msn: 101, part: 0 }, 0.9), { msn: 101, part: 0 });
  assert.deepEqual(pairs.announced({ msn: 101, part: 1 }, 5), { msn: 101, part: 1 });
  assert.deepEqual(pairs.announced({ msn: 102, part: 0 }, 5), { msn: 102, part: 1 });
  assert.deepEqual(pairs.announced({ msn: 102, part: 1 }, 0), { msn: 102, part: 3 });
  assert.deepEqual(pairs.upTo(102, 0), [102]);
  assert.deepEqual(pairs.upTo(101, 5), [102], "an older window changes nothing");
});

test("only what is listed is kept in mind", () => {
  const pairs = new Pairs();
  for (let msn = 0; msn < 1000; msn += 1) pairs.upTo(msn, 5);
  assert.deepEqual(pairs.upTo(999, 5), [996, 997, 998, 999]);
});
