import assert from "node:assert/strict";
import { test } from "node:test";
import { Groups, KEPT, MOST } from "./groups.ts";

/** What is ahead can be changed; parts of 200 ms, where nothing else is said. */
function groups(part = 0.2) {
  const reserve = { now: 5, ahead: () => reserve.now, part: () => part };
  return { reserve, groups: new Groups(reserve) };
}

test("who has enough ahead takes several parts of the next segment at a time", () => {
  const { reserve, groups: all } = groups();
  assert.deepEqual([...all.upTo(100)], [], "what was begun before it stays as it is");
  assert.deepEqual(all.announced({ msn: 100, part: 7 }), { msn: 100, part: 7 });
  reserve.now = KEPT + 0.4;
  assert.deepEqual(all.announced({ msn: 101, part: 0 }), { msn: 101, part: 1 });
  assert.deepEqual(all.announced({ msn: 101, part: 4 }), { msn: 101, part: 9 });
  assert.deepEqual([...all.upTo(101)], [[101, 2]]);
});

test("as many as leave a reserve, and no more than the most", () => {
  for (const [ahead, size] of [
    [-1, 1],
    [KEPT, 1],
    [KEPT + 0.39, 1],
    [KEPT + 0.6, 3],
    [KEPT + 0.79, 3],
    [KEPT + 0.8, 4],
    [60, MOST],
  ] as const) {
    const { reserve, groups: all } = groups();
    all.upTo(100);
    reserve.now = ahead;
    assert.equal(all.upTo(101).get(101) ?? 1, size, `${ahead} s ahead`);
  }
});

test("of longer parts fewer are taken", () => {
  const { reserve, groups: all } = groups(1);
  all.upTo(100);
  reserve.now = KEPT + 1.9;
  assert.deepEqual([...all.upTo(101)], []);
});

test("what was said of a segment is not taken back, whatever is ahead then", () => {
  const { reserve, groups: all } = groups();
  all.upTo(100);
  reserve.now = 0.9;
  assert.deepEqual(all.announced({ msn: 101, part: 0 }), { msn: 101, part: 0 });
  reserve.now = 5;
  assert.deepEqual(all.announced({ msn: 101, part: 1 }), { msn: 101, part: 1 });
  assert.deepEqual(all.announced({ msn: 102, part: 0 }), { msn: 102, part: 3 });
  reserve.now = 0;
  assert.deepEqual(all.announced({ msn: 102, part: 1 }), { msn: 102, part: 7 });
  assert.deepEqual([...all.upTo(102)], [[102, 4]]);
  assert.deepEqual([...all.upTo(101)], [[102, 4]], "an older window changes nothing");
});

test("only what is listed is kept in mind", () => {
  const { groups: all } = groups();
  for (let msn = 0; msn < 1000; msn += 1) all.upTo(msn);
  assert.deepEqual([...all.upTo(999).keys()], [996, 997, 998, 999]);
});
