import assert from "node:assert/strict";
import { test } from "node:test";
import type { Rendition } from "./peer.ts";
import { qualities } from "./quality.ts";

function video(id: string, height: number, bandwidth: number, frameRate = 30): Rendition {
  return { id, codecs: "avc1.64001f,mp4a.40.2", bandwidth, width: 0, height, frameRate, audioOnly: false };
}
const audio: Rendition = { ...video("audio", 0, 128_000, 0), audioOnly: true };

test("several renditions are listed best first, sound alone beside them", () => {
  const { video: listed, audioOnly } = qualities([
    video("low", 360, 8e5),
    audio,
    video("source", 720, 3e6, 60),
  ]);
  assert.deepEqual(
    listed.map(({ label }) => label),
    ["720p60", "360p"],
  );
  assert.deepEqual(audioOnly, { rendition: "audio", label: "Audio only" });
});

test("one rendition is no choice, but sound alone still is", () => {
  const { video: listed, audioOnly } = qualities([video("source", 720, 3e6), audio]);
  assert.deepEqual(listed, []);
  assert.equal(audioOnly?.rendition, "audio");
});

test("two of one height are told apart", () => {
  const { video: listed } = qualities([video("source", 720, 3e6), video("lean", 720, 1.5e6)]);
  assert.deepEqual(
    listed.map(({ label }) => label),
    ["720p, 3.0 Mbit/s", "720p, 1.5 Mbit/s"],
  );
});

test("a stream of sound has nothing to choose", () => {
  assert.deepEqual(qualities([audio]), { video: [], audioOnly: null });
});
