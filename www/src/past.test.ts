import assert from "node:assert/strict";
import { test } from "node:test";
import {
  asked,
  byLocalDay,
  length,
  localDay,
  monthGrid,
  type Past,
  positionOf,
  size,
  stills,
  stretch,
  timeAt,
} from "./past.ts";

const hour = (start: string) => {
  const from = Date.parse(start) / 1000;
  return {
    start,
    cid: `bafy ${start}`,
    bytes: 1,
    duration: 3600,
    stretches: [{ from, to: from + 3600 }],
    held: true,
  };
};
const past: Past = {
  stream: "k51",
  alias: "cam",
  title: "Cam",
  root: "bafy",
  days: [
    {
      day: "2026-11-22",
      cid: "day 22",
      bytes: 1,
      hours: [hour("2026-11-22T22:00:00Z"), hour("2026-11-22T23:00:00Z")],
    },
    { day: "2026-11-23", cid: "day 23", bytes: 1, hours: [hour("2026-11-23T00:00:00Z"), hour("nonsense")] },
  ],
};

test("hours stand in the days of whoever looks, and know the day whose playlist has them", () => {
  const berlin = byLocalDay(past, "Europe/Berlin");
  assert.deepEqual([...berlin.keys()], ["2026-11-22", "2026-11-23"]);
  assert.deepEqual(
    berlin.get("2026-11-23")?.map(({ day }) => day.cid),
    ["day 22", "day 23"],
  );
  const tongatapu = byLocalDay(past, "Pacific/Tongatapu");
  assert.deepEqual([...tongatapu.keys()], ["2026-11-23"]);
  assert.equal(localDay(Date.parse("2026-11-22T04:59:59Z"), "America/New_York"), "2026-11-21");
});

test("a month is weeks from Monday on", () => {
  const november = monthGrid(2026, 10);
  assert.deepEqual(november[0], [null, null, null, null, null, null, "2026-11-01"]);
  assert.equal(november.length, 6);
  assert.equal(november[5]?.[0], "2026-11-30");
  assert.equal(november[5]?.[1], null);
  assert.equal(monthGrid(2027, 1).length, 4);
  assert.equal(monthGrid(2024, 1).flat().filter(Boolean).length, 29);
});

const at = Date.parse("2026-11-22T10:00:00Z");
const segments = [
  { start: 0, duration: 2, programDateTime: at },
  { start: 2, duration: 2, programDateTime: at + 2000 },
  // An hour later.
  { start: 4, duration: 2, programDateTime: at + 3_600_000 },
];

test("a time is found on the timeline, also beside what was recorded", () => {
  assert.equal(positionOf(segments, at + 3500), 3.5);
  assert.equal(positionOf(segments, at + 60_000), 4);
  assert.equal(positionOf(segments, at - 1), 0);
  assert.equal(positionOf(segments, at + 7_200_000), 6);
  assert.equal(positionOf([], at), undefined);
  for (const position of [0, 1.5, 3.999, 4, 5.5]) {
    assert.equal(positionOf(segments, timeAt(segments, position) ?? 0), position);
  }
  assert.equal(timeAt(segments, 6), undefined);
});

test("pictures of an hour: as many as there is something of it", () => {
  assert.deepEqual(stills({ start: 3_600_000, duration: 3600 }), [3600, 4200, 4800, 5400, 6000, 6600]);
  assert.deepEqual(stills({ start: 3_600_000, duration: 40 }), [3600]);
});

test("sizes and lengths in words", () => {
  assert.deepEqual([0, 999, 1234, 123_456_789, 5e12].map(size), [
    "0 B",
    "999 B",
    "1.2 kB",
    "123 MB",
    "5.0 TB",
  ]);
  assert.deepEqual([40, 59.9, 3480, 3599, 3900].map(length), ["40 s", "1 min", "58 min", "1 h", "1 h 5 min"]);
});

test("a stretch has two ends, in any order, and whole seconds", () => {
  assert.deepEqual(stretch(10.7, 20.2), { from: 10, to: 21 });
  assert.deepEqual(stretch(20.2, 10.7), { from: 10, to: 21 });
  assert.equal(stretch(10, 10), null);
  assert.equal(stretch(undefined, 10), null);
});

test("an address says where to begin, and perhaps where to end", () => {
  assert.deepEqual(asked("#t=10&to=20"), { at: 10, to: 20 });
  assert.deepEqual(asked("#t=10&to=5"), { at: 10 });
  assert.deepEqual(asked("#t=10.5"), { at: 10.5 });
  for (const nothing of ["", "#", "#t=", "#t=x", "#t=-1", "#to=5"])
    assert.equal(asked(nothing), null, nothing);
});
