import assert from "node:assert/strict";
import { test } from "node:test";
import { History, KEEP_MS, MOST_SAMPLES } from "./panel-history.ts";
import {
  area,
  around,
  arrow,
  CENTRE,
  ceiling,
  GATEWAY,
  line,
  MOST_DRAWN,
  RADIUS,
  width,
} from "./panel-shapes.ts";
import { bytes, now, rate, row, visit } from "./panel-text.ts";
import { Counters, type PeerStats } from "./stats.ts";

const viewer = (id: string, bytesIn: number, bytesOut: number): PeerStats => {
  return { id, kind: "viewer", rttMs: 8, bytesIn, bytesOut };
};

/** A visit in which so many bytes per second come from two viewers and the gateway, and go to one of them. */
function counted(seconds: number, { peers = 50_000, gateway = 10_000, uploaded = 40_000 } = {}) {
  const half = (seconds * peers) / 2;
  return {
    bytesFromPeers: seconds * peers,
    bytesFromGateway: seconds * gateway,
    bytesUploaded: seconds * uploaded,
    latencyMs: 1_200,
    peers: [
      viewer("bbbb", half, seconds * uploaded),
      viewer("aaaa", half, 0),
      { id: "gggg", kind: "gateway" as const, rttMs: 2, bytesIn: seconds * gateway, bytesOut: 0 },
    ],
  };
}

test("rates are what flowed between two looks, whatever flowed before", () => {
  const history = new History();
  history.add(counted(1_000), 0.8, 5_000);
  assert.deepEqual([history.samples, history.gateway.in], [[], 0]);
  for (let look = 1; look <= 8; look += 1) history.add(counted(1_000 + look / 2), 0.8, 5_000 + look * 500);
  const last = history.samples.at(-1);
  assert.deepEqual(
    last && [last.fromPeers, last.fromGateway, last.uploaded].map(Math.round),
    [400_000, 80_000, 320_000],
  );
  assert.deepEqual([last?.latency, last?.buffer], [1.2, 0.8]);
  assert.deepEqual(
    history.viewers.map((one) => [one.id, Math.round(one.in), Math.round(one.out), one.rttMs]),
    [
      ["aaaa", 200_000, 0, 8],
      ["bbbb", 200_000, 320_000, 8],
    ],
  );
  assert.deepEqual([Math.round(history.gateway.in), history.gateway.rttMs], [80_000, 2]);
});

test("a look after a long time sees the average, not a peak", () => {
  const history = new History();
  history.add(counted(0), 1, 0);
  history.add(counted(60), 1, 60_000);
  assert.equal(Math.round(history.samples.at(-1)?.fromPeers ?? 0), 400_000);
});

test("counters that began anew, and peers that came, left or returned, give no false rates", () => {
  const history = new History();
  history.add(counted(100), 1, 0);
  history.add(counted(101), 1, 1_000);
  history.add(counted(1), 1, 2_000);
  assert.deepEqual([history.samples, history.gateway.in, history.viewers[0]?.in], [[], 0, 0]);
  history.add({ ...counted(2), peers: [viewer("cccc", 9_999_999, 9_999_999)] }, 1, 3_000);
  assert.deepEqual(
    history.viewers.map((one) => [one.id, one.in, one.out]),
    [["cccc", 0, 0]],
  );
  history.add({ ...counted(3), peers: [viewer("cccc", 5, 5)] }, 1, 4_000);
  assert.deepEqual([history.viewers[0]?.in, history.viewers[0]?.out], [0, 0]);
  history.add({ ...counted(4), peers: [] }, 1, 5_000);
  assert.deepEqual(history.viewers, []);
});

test("two minutes are kept, and never more than the most samples", () => {
  const history = new History();
  for (let ms = 0; ms <= 300_000; ms += 500) history.add(counted(ms / 1_000), 1, ms);
  assert.ok(history.samples.every(({ atMs }) => atMs >= 300_000 - KEEP_MS));
  assert.ok(history.samples.length >= 240, `${history.samples.length} samples`);
  for (let ms = 0; ms < 1_000; ms += 1) history.add(counted(300 + ms / 1_000), 1, 300_000 + ms);
  assert.equal(history.samples.length, MOST_SAMPLES);
});

test("who kept the counters may change them afterwards", () => {
  const history = new History();
  const kept = counted(1);
  history.add(kept, 1, 0);
  Object.assign(kept, counted(2));
  history.add(kept, 1, 1_000);
  assert.equal(history.samples[0]?.fromPeers, 400_000);
});

test("neighbours stand apart from each other, from the gateway and within the picture, however many are drawn", () => {
  for (let count = 1; count <= MOST_DRAWN; count += 1) {
    const places = [...around(count), CENTRE, GATEWAY];
    for (const [i, one] of places.entries()) {
      assert.ok(
        one.x > RADIUS && one.x < 400 - RADIUS && one.y > RADIUS && one.y < 262 - RADIUS,
        `${count}: ${one.x}, ${one.y}`,
      );
      for (const other of places.slice(i + 1)) {
        const apart = Math.hypot(one.x - other.x, one.y - other.y);
        assert.ok(apart > 2 * RADIUS + 6, `${count} neighbours: ${apart} apart`);
      }
    }
  }
});

test("an arrow is as wide as its rate, never invisible, and nothing when nothing flows", () => {
  assert.deepEqual([width(0, 100), width(50, 100), width(100, 100)], [0, 8, 16]);
  assert.ok(width(1e-6, 1e9) >= 1);
  assert.equal(width(300, 100), 16);
});

test("the arrows of both directions lie beside each other", () => {
  const numbers = (path: string): number[] => [...path.matchAll(/-?[\d.]+/g)].map(Number);
  const ys = (path: string): number[] => numbers(path).filter((_, i) => i % 2 === 1);
  const [left, right] = [
    { x: 0, y: 0 },
    { x: 200, y: 0 },
  ];
  const [there, back] = [ys(arrow(left, right, 10)), ys(arrow(right, left, 10))];
  assert.ok(Math.min(...there) > Math.max(...back) - 3, `${there} and ${back}`);
  assert.ok(numbers(arrow(left, right, 10)).every(Number.isFinite));
});

test("charts begin at zero, end at now, and leave out what is not known", () => {
  const frame = { width: 100, height: 50, sinceMs: 0, untilMs: 1_000, top: 10 };
  assert.equal(
    line(frame, [
      [0, 0],
      [500, 10],
      [1_000, 5],
    ]),
    "M0 50L50 0L100 25",
  );
  assert.equal(
    line(frame, [
      [0, 0],
      [500, null],
      [1_000, 99],
    ]),
    "M0 50M100 0",
  );
  assert.equal(
    area(
      frame,
      [
        [0, 0],
        [1_000, 0],
      ],
      [
        [0, 10],
        [1_000, 5],
      ],
    ),
    "M0 0L100 25L100 50L0 50Z",
  );
  assert.equal(area(frame, [[0, 0]], [[0, 10]]), "");
});

test("scales are round and do not end below what they show", () => {
  assert.deepEqual(
    [0, 1, 3, 5.1, 99, 100, 420_000].map((value) => ceiling(value, 2)),
    [2, 2, 5, 10, 100, 100, 500_000],
  );
});

test("numbers are said in the unit that suits them", () => {
  assert.deepEqual([0, 499, 420_000, 999_499, 999_500].map(rate), [
    "0 kbit/s",
    "0 kbit/s",
    "420 kbit/s",
    "999 kbit/s",
    "1.0 Mbit/s",
  ]);
  assert.deepEqual([0, 999_499, 1_500_000, 2e9].map(bytes), ["0 KB", "999 KB", "1.5 MB", "2.0 GB"]);
});

test("what the pictures show is said in words", () => {
  const gateway = { id: "gggg", kind: "gateway" as const, in: 80_000, out: 0, rttMs: null };
  const one = { id: "12D3KooWaaaa", kind: "viewer" as const, in: 400_000, out: 320_000, rttMs: 7.6 };
  assert.equal(
    now({ viewers: [one], gateway }, true),
    "400 kbit/s from 1 viewer, 80 kbit/s from the gateway; 320 kbit/s passed on.",
  );
  const idle = { ...one, in: 0, out: 0 };
  assert.equal(
    now({ viewers: [one, idle], gateway }, true),
    "400 kbit/s from 1 viewer, 80 kbit/s from the gateway; 320 kbit/s passed on.",
  );
  assert.equal(
    now({ viewers: [idle, idle], gateway }, true),
    "Nothing from 2 viewers, 80 kbit/s from the gateway; nothing passed on.",
  );
  assert.match(now({ viewers: [], gateway }, true), /^No other viewer is linked yet/);
  assert.match(now({ viewers: [one], gateway }, false), /^Sharing is off/);
  const stats = {
    ...new Counters(0).read(0, null, null),
    bytesFromPeers: 3e6,
    bytesFromGateway: 1e6,
    bytesUploaded: 2e6,
  };
  assert.equal(
    visit(stats),
    "This visit: 3.0 MB from viewers (75 %), 1.0 MB from the gateway, 2.0 MB passed on.",
  );
  assert.match(visit(new Counters(0).read(0, null, null)), /\(0 %\)/);
  assert.deepEqual(row(one), ["Viewer aaaa", "400 kbit/s", "320 kbit/s", "8 ms"]);
  assert.deepEqual(row(gateway), ["Gateway", "80 kbit/s", "0 kbit/s", "–"]);
});
