import assert from "node:assert/strict";
import { test } from "node:test";
import type { Rendition } from "./peer.ts";
import { automatic, type Plays, qualities, withVariants } from "./quality.ts";

function video(id: string, height: number, bandwidth: number, frameRate = 30): Rendition {
  const codecs = "avc1.64001f,mp4a.40.2";
  return { id, codecs, bandwidth, width: 0, height, frameRate, partTarget: 0.2, audioOnly: false };
}
const audio: Rendition = { ...video("audio", 0, 128_000, 0), audioOnly: true };
const original: Rendition = { ...video("original", 720, 9e6), codecs: "hvc1.1.6.L93.90,opus" };
const all: Plays = () => true;
const withoutHevc: Plays = (codecs) => !codecs.includes("hvc1");

test("several renditions are listed best first, sound alone beside them", () => {
  const { video: listed, audioOnly } = qualities(
    [video("low", 360, 8e5), audio, video("source", 720, 3e6, 60)],
    all,
  );
  assert.deepEqual(
    listed.map(({ label }) => label),
    ["720p60", "360p"],
  );
  assert.deepEqual(audioOnly, { rendition: "audio", label: "Audio only" });
});

test("one rendition is no choice, but sound alone still is", () => {
  const { video: listed, audioOnly } = qualities([video("source", 720, 3e6), audio], all);
  assert.deepEqual(listed, []);
  assert.equal(audioOnly?.rendition, "audio");
});

test("two of one height are told apart", () => {
  const { video: listed } = qualities([video("source", 720, 3e6), video("lean", 720, 1.5e6)], all);
  assert.deepEqual(
    listed.map(({ label }) => label),
    ["720p, 3.0 Mbit/s", "720p, 1.5 Mbit/s"],
  );
});

test("a stream of sound has nothing to choose", () => {
  assert.deepEqual(qualities([audio], all), { video: [], audioOnly: null });
});

test("what the publisher sends beside H.264 is listed last, by its codecs, and only where it plays", () => {
  const renditions = [video("source", 720, 3e6), video("low", 360, 8e5), audio, original];
  const labels = (plays: Plays) => qualities(renditions, plays).video.map(({ label }) => label);
  assert.deepEqual(labels(all), ["720p", "360p", "720p, H.265 (HEVC) video and Opus sound"]);
  assert.deepEqual(labels(withoutHevc), ["720p", "360p"]);
  assert.deepEqual(qualities([video("source", 720, 3e6), original], withoutHevc).video, []);
});

test("what is chosen automatically has one codec; another only where H.264 does not play", () => {
  const ids = (plays: Plays, renditions: Rendition[]) => automatic(renditions, plays).map(({ id }) => id);
  const both = [original, video("source", 720, 3e6), audio];
  assert.deepEqual(ids(all, both), ["source"]);
  assert.deepEqual(ids(withoutHevc, both), ["source"]);
  assert.deepEqual(
    ids((codecs) => !codecs.includes("avc1"), both),
    ["original"],
  );
  assert.deepEqual(ids(all, [original, audio]), ["original"]);
  assert.deepEqual(
    ids(() => false, [original, audio]),
    ["original"],
  );
});

test("a playlist loses the variants that are not wanted and nothing else", () => {
  const head = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-INDEPENDENT-SEGMENTS\n";
  const variant = (id: string) => `#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="${id}"\n${id}.m3u8\n`;
  const playlist = head + variant("source") + variant("original");
  assert.equal(
    withVariants(playlist, () => true),
    playlist,
  );
  assert.equal(
    withVariants(playlist, (id) => id === "original"),
    head + variant("original"),
  );
});
