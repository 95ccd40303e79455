import assert from "node:assert/strict";
import { test } from "node:test";
import { Attention } from "./attention.ts";

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Keeps what it is told. */
function engine() {
  const told: unknown[] = [];
  return {
    told,
    playhead: (atMs: number, moving: boolean) => void told.push([atMs, moving]),
    select: (renditions: string[]) => void told.push(renditions),
  };
}

test("a rendition is selected once, also for a peer that comes later", () => {
  const attention = new Attention();
  attention.wanted = ["720p"];
  const [first, second] = [engine(), engine()];
  attention.peer = first;
  attention.wanted = ["720p"];
  attention.wanted = ["360p"];
  attention.peer = second;
  assert.deepEqual(first.told, [["720p"], ["360p"]]);
  assert.deepEqual(second.told, [["360p"]]);
});

test("where playback is nobody knows before it has a date", () => {
  const attention = new Attention();
  const peer = engine();
  attention.peer = peer;
  attention.look(null, true);
  attention.look(1000, true);
  attention.look(1200, false);
  assert.deepEqual(peer.told, [
    [1000, true],
    [1200, false],
  ]);
});

test("a long pause selects nothing until it ends; a short one changes nothing", async () => {
  const attention = new Attention(100);
  const peer = engine();
  attention.peer = peer;
  attention.wanted = ["720p"];
  attention.pause();
  attention.resume();
  await sleep(150);
  assert.deepEqual(peer.told, [["720p"]]);
  attention.pause();
  await sleep(60);
  // Told twice that it is paused, it counts from the first time.
  attention.pause();
  await sleep(60);
  assert.deepEqual(peer.told, [["720p"], []]);
  attention.wanted = ["360p"];
  assert.deepEqual(peer.told, [["720p"], []]);
  attention.resume();
  assert.deepEqual(peer.told, [["720p"], [], ["360p"]]);
});

test("once closed it says nothing any more", async () => {
  const attention = new Attention(10);
  const peer = engine();
  attention.peer = peer;
  attention.wanted = ["720p"];
  attention.pause();
  attention.close();
  await sleep(50);
  assert.deepEqual(peer.told, [["720p"]]);
});
