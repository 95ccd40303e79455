import assert from "node:assert/strict";
import { test } from "node:test";
import { handle } from "./state.ts";
import { Counters } from "./stats.ts";

test("a fresh visit has every field, and nulls where nothing is known", () => {
  assert.deepEqual(new Counters(0).read(5, null, []), {
    state: "idle",
    firstFrameMs: null,
    latencyMs: null,
    stalls: 0,
    stallMs: 0,
    playedMs: 0,
    bytesFromPeers: 0,
    bytesFromGateway: 0,
    bytesUploaded: 0,
    partsFromPeers: 0,
    partsFromGateway: 0,
    partsRejected: 0,
    partsDuplicate: 0,
    rendition: null,
    peers: [],
  });
});

test("the first frame counts from the element's connection, and only once", () => {
  const counters = new Counters(100);
  counters.frame(450);
  counters.frame(900);
  assert.equal(counters.read(1000, null, []).firstFrameMs, 350);
});

test("parts and bytes are counted by where they came from; init segments are no parts", () => {
  const counters = new Counters(0);
  counters.received("gateway", 1000, true);
  counters.received("gateway", 50, false);
  counters.received("peers", 2000, true);
  counters.rejected();
  const stats = counters.read(0, 1200, []);
  assert.equal(stats.bytesFromGateway, 1050);
  assert.equal(stats.partsFromGateway, 1);
  assert.equal(stats.bytesFromPeers, 2000);
  assert.equal(stats.partsFromPeers, 1);
  assert.equal(stats.partsRejected, 1);
  assert.equal(stats.latencyMs, 1200);
});

test("each read is a plain object of its own, current at its time", () => {
  const counters = new Counters(0);
  counters.status = handle(handle(counters.status, "load", 0), "play", 0);
  const first = counters.read(1000, null, []);
  assert.equal(Object.getPrototypeOf(first), Object.prototype);
  assert.equal(counters.read(3000, null, []).playedMs, 3000);
  assert.equal(first.playedMs, 1000);
});
