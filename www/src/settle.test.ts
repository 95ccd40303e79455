import assert from "node:assert/strict";
import { test } from "node:test";
import { Given, settle } from "./settle.ts";

/** Ten parts of 0.2 s in each of the segments; `lost` are not known to be loaded. */
function details(endSN: number, segments: number[], lost: (sn: number, index: number) => boolean) {
  const partList = segments.flatMap((sn) => {
    const fragment = { sn, end: (sn + 1) * 2 };
    return Array.from({ length: 10 }, (_, index) => ({
      fragment,
      url: `${sn}.${index}`,
      elementaryStreams: { audiovideo: lost(sn, index) ? null : ({} as object | null) },
      get loaded() {
        return this.elementaryStreams.audiovideo !== null;
      },
    }));
  });
  return { partList, endSN };
}

const all = { has: () => true };

test("a complete segment that is buffered has no part left to load", () => {
  const given = details(6, [5, 6], (sn, index) => sn === 6 && index < 4);
  assert.equal(settle(given, 13.999999, all), 4);
  assert.ok(given.partList.every((part) => part.loaded));
});

test("a segment that is not buffered to its end stays to be loaded", () => {
  const given = details(6, [6], (_, index) => index > 7);
  assert.equal(settle(given, 13.6, all), 0);
});

test("an open segment is left alone, whatever is buffered", () => {
  const given = details(5, [6], (_, index) => index < 4);
  assert.equal(settle(given, 99, all), 0);
});

test("a playlist without parts has nothing to settle", () => {
  assert.equal(settle({ partList: null, endSN: 5 }, 99, all), 0);
});

test("what was never given is still to be loaded, wherever its time seems to be", () => {
  const lost = details(6, [6], (_, index) => index > 5);
  const given = new Given();
  for (const index of [6, 7, 8]) given.add(`6.${index}`);
  assert.equal(settle(lost, 99, given), 3);
  assert.deepEqual(
    lost.partList.map((part) => part.loaded),
    [true, true, true, true, true, true, true, true, true, false],
  );
});

test("only so much is kept in mind of what was given", () => {
  const given = new Given();
  for (let part = 0; part < 1000; part += 1) given.add(String(part));
  assert.deepEqual([given.has("935"), given.has("936"), given.has("999")], [false, true, true]);
});
