import assert from "node:assert/strict";
import { test } from "node:test";
import type { EngineStats } from "./peer.ts";
import { handle } from "./state.ts";
import { Counters } from "./stats.ts";

test("a fresh visit has every field, and nulls where nothing is known", () => {
  assert.deepEqual(new Counters(0).read(5, null, null), {
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
  assert.equal(counters.read(1000, null, null).firstFrameMs, 350);
});

/** What an engine has counted: ten of each times `times`. */
function engine(times: number): EngineStats {
  return {
    bytesFromPeers: 10 * times,
    bytesFromGateway: 20 * times,
    bytesUploaded: 30 * times,
    partsFromPeers: times,
    partsFromGateway: 2 * times,
    partsRejected: 3 * times,
    partsDuplicate: 4 * times,
    estimate: null,
    peers: [{ id: "12D3", kind: "viewer", rttMs: 5, bytesIn: 1, bytesOut: 2 }],
  };
}

test("parts are the engine's to count; init segments and wrong answers of HTTP come on top", () => {
  const counters = new Counters(0);
  counters.init(50);
  counters.rejected();
  const stats = counters.read(0, 1200, engine(1));
  assert.equal(stats.bytesFromGateway, 70);
  assert.equal(stats.partsFromGateway, 2);
  assert.equal(stats.partsRejected, 4);
  assert.equal(stats.latencyMs, 1200);
  assert.deepEqual(stats.peers, engine(1).peers);
});

test("what a closed peer counted stays counted, and its neighbours are gone", () => {
  const counters = new Counters(0);
  counters.retire(engine(1));
  const between = counters.read(0, null, null);
  assert.deepEqual([between.bytesFromPeers, between.bytesUploaded, between.peers], [10, 30, []]);
  counters.retire(engine(2));
  const stats = counters.read(0, null, engine(4));
  assert.deepEqual(
    [stats.bytesFromPeers, stats.bytesFromGateway, stats.bytesUploaded, stats.partsFromPeers],
    [70, 140, 210, 7],
  );
  assert.deepEqual([stats.partsFromGateway, stats.partsRejected, stats.partsDuplicate], [14, 21, 28]);
});

test("each read is a plain object of its own, current at its time", () => {
  const counters = new Counters(0);
  counters.status = handle(handle(counters.status, "load", 0), "play", 0);
  const first = counters.read(1000, null, null);
  assert.equal(Object.getPrototypeOf(first), Object.prototype);
  assert.equal(counters.read(3000, null, null).playedMs, 3000);
  assert.equal(first.playedMs, 1000);
});
