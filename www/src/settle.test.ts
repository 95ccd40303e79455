import assert from "node:assert/strict";
import { test } from "node:test";
import { settle } from "./settle.ts";

/** Ten parts of 0.2 s in each of the segments; `lost` are not known to be loaded. */
function details(endSN: number, segments: number[], lost: (sn: number, index: number) => boolean) {
  const partList = segments.flatMap((sn) => {
    const fragment = { sn, end: (sn + 1) * 2 };
    return Array.from({ length: 10 }, (_, index) => ({
      fragment,
      elementaryStreams: { audiovideo: lost(sn, index) ? null : ({} as object | null) },
      get loaded() {
        return this.elementaryStreams.audiovideo !== null;
      },
    }));
  });
  return { partList, endSN };
}

test("a complete segment that is buffered has no part left to load", () => {
  const given = details(6, [5, 6], (sn, index) => sn === 6 && index < 4);
  assert.equal(settle(given, 13.999999), 4);
  assert.ok(given.partList.every((part) => part.loaded));
});

test("a segment that is not buffered to its end stays to be loaded", () => {
  const given = details(6, [6], (_, index) => index > 7);
  assert.equal(settle(given, 13.6), 0);
});

test("an open segment is left alone, whatever is buffered", () => {
  const given = details(5, [6], (_, index) => index < 4);
  assert.equal(settle(given, 99), 0);
});

test("a playlist without parts has nothing to settle", () => {
  assert.equal(settle({ partList: null, endSN: 5 }, 99), 0);
});
