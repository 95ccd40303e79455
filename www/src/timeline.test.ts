import assert from "node:assert/strict";
import { test } from "node:test";
import type { Past } from "./past.ts";
import { clockText, Timeline } from "./timeline.ts";

/** 2026-11-22T10:00:00Z, seconds. */
const TEN = 1_795_341_600;

function past(hours: [from: number, to: number, held?: boolean][], open: Past["open"] = null): Past {
  const listed = hours.map(([from, to, held = true]) => ({
    start: "",
    cid: "",
    bytes: 1,
    stretches: [{ from: TEN + from, to: TEN + to }],
    duration: to - from,
    held,
  }));
  const days = [{ day: "2026-11-22", cid: "day", bytes: 1, hours: listed }];
  return { stream: "k51", alias: "cam", title: "", root: null, days, open };
}

test("holes are left out, and each time is found again", () => {
  const line = Timeline.of(
    past([
      [3580, 3600],
      [3600, 3620],
      [7170, 7200],
    ]),
  );
  assert.equal(line.length, 70_000);
  assert.deepEqual(line.holes(), [40 / 70]);
  for (const offset of [0, 1, 19_999, 20_000, 39_999, 40_000, 69_999]) {
    assert.equal(line.offset(line.timeAt(offset)), offset, `${offset}`);
  }
  assert.equal(line.timeAt(40_000), (TEN + 7170) * 1000);
  assert.equal(line.timeAt(99_999), (TEN + 7200) * 1000);
  assert.equal(line.timeAt(-5), (TEN + 3580) * 1000);
  assert.equal(line.offset((TEN + 5000) * 1000), 40_000, "in a hole");
  assert.equal(line.find((TEN + 5000) * 1000)?.from, (TEN + 7170) * 1000);
  assert.equal(line.find((TEN + 7200) * 1000), null);
});

test("an hour that is not kept is passed over, and still counts in its day's playlist", () => {
  const line = Timeline.of(
    past([
      [0, 3600, false],
      [3600, 7200],
    ]),
  );
  assert.deepEqual(line.spans, [
    { from: (TEN + 3600) * 1000, to: (TEN + 7200) * 1000, day: "day", position: 3600 },
  ]);
});

test("a hole within an hour is one, too", () => {
  const listed = past([[0, 100]]);
  const [hour] = listed.days[0]?.hours ?? [];
  hour?.stretches.push({ from: TEN + 3000, to: TEN + 3050 });
  const line = Timeline.of(listed);
  assert.deepEqual([line.length, line.holes()], [150_000, [100 / 150]]);
  assert.equal(line.spans[1]?.position, 100);
});

test("hours that reach into each other are shown once", () => {
  const line = Timeline.of(
    past([
      [0, 3601],
      [3600, 7200],
    ]),
  );
  assert.equal(line.length, 7_200_000);
  assert.equal(line.spans[1]?.position, 3602, "3601 s of the hour before, and one into this");
});

test("what is on air comes last, reaches up to now, and is one with the closed hour that it holds", () => {
  const open = { from: TEN + 3600, to: TEN + 7300 };
  const line = Timeline.of(
    past(
      [
        [0, 3600],
        [3600, 7200],
      ],
      open,
    ),
  );
  assert.deepEqual(
    line.spans.map(({ day }) => day),
    ["day", null],
  );
  const now = (TEN + 7310) * 1000;
  assert.equal(line.until(now).length, 7_310_000);
  assert.equal(line.until(0).length, 7_300_000);
  assert.deepEqual(line.holes(), []);
  const over = Timeline.of(past([[0, 3600]]));
  assert.equal(over.until(now), over, "nothing is on air");
  assert.equal(new Timeline([]).isEmpty, true);
  assert.equal(new Timeline([]).timeAt(1), 0);
});

test("another day than today's is named", () => {
  const at = (TEN + 61) * 1000;
  assert.match(clockText(at, at + 3_600_000, "UTC"), /^10:01:01/);
  assert.match(clockText(at, at + 86_400_000, "UTC"), /22.*10:01:01|Nov.*10:01:01/);
  assert.match(clockText(at, at, "Pacific/Kiritimati"), /0?0:01:01|12:01:01/);
});
