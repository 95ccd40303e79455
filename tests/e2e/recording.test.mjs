// A stretch of the past as one MP4: every picture of it once, from zero on and without a hole, over a restart and a seam of
// hours, of exactly the length that was said, and resumed in the midst. A change of the picture's size inside is named.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Gateway } from "./gateway.mjs";
import { command, picture, publish, TEN, tone } from "./recorded.mjs";

/** Start and length, seconds: a restart in an hour, and over the seam of two. */
const RUNS = [
  [TEN + 3000, 11],
  [TEN + 3590, 21],
];
/** When the picture's size changes. */
const OTHER = TEN + 7200;

const folder = mkdtempSync(join(tmpdir(), "meshlive-recording-"));
/** No stream of its own: the test card would want the machine. */
const config = join(folder, "config.toml");
writeFileSync(config, "inputs = []\n");
const [video, small, sound, data] = ["v.h264", "s.h264", "a.aac", "data"].map((name) => join(folder, name));
let gateway;
let made;

/** A hash of each picture, in order. */
function pictures(source) {
  const lines = command("ffmpeg", "-v", "quiet", "-i", source, "-map", "0:v", "-fps_mode", "passthrough", "-f", "framemd5", "-").split("\n");
  return lines.filter((line) => line && !line.startsWith("#")).map((line) => line.split(",").pop().trim());
}

/** Presentation times of all pictures or of all sound, seconds. */
function times(file, kind) {
  const said = command("ffprobe", "-v", "error", "-select_streams", kind, "-show_entries", "packet=pts_time", "-of", "csv=p=0", file);
  return said.split("\n").filter(Boolean).map((line) => Number.parseFloat(line)).sort((a, b) => a - b);
}

const place = (from, to, more = "") => `${gateway.url}/api/v1/streams/cam/archive/recording.mp4?from=${from}&to=${to}${more}`;

before(async () => {
  mkdirSync(data);
  picture(video, "testsrc2=s=320x180:r=25:d=21");
  picture(small, "testsrc2=s=160x90:r=25:d=21");
  tone(sound, 21);
  made = publish(data, video, sound, RUNS);
  publish(data, small, sound, [[OTHER, 8]]);
  gateway = await Gateway.start({ data, inputs: [], flags: ["--config", config] });
});
after(async () => {
  await gateway?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

test("two runs over the seam of an hour are one file: every picture once, from zero on, without a hole", async () => {
  const answer = await fetch(place(TEN, OTHER));
  assert.equal(answer.status, 200, await answer.clone().text().then((text) => text.slice(0, 200)));
  assert.equal(answer.headers.get("content-type"), "video/mp4");
  assert.match(answer.headers.get("content-disposition"), /^attachment; filename="cam-2026-11-22T100000Z\.mp4"$/);
  const whole = Buffer.from(await answer.arrayBuffer());
  assert.equal(whole.length, Number(answer.headers.get("content-length")));
  const file = join(folder, "whole.mp4");
  writeFileSync(file, whole);
  const original = pictures(video);
  assert.deepEqual(pictures(file), made.frames.flatMap((count) => original.slice(0, count)));
  const [seen, heard] = ["v", "a"].map((kind) => times(file, kind));
  const length = made.frames.reduce((sum, count) => sum + count, 0) / 25;
  for (const all of [seen, heard]) {
    assert.ok(all[0] >= 0 && all[0] < 0.1, `begins at ${all[0]}`);
    const steps = all.slice(1).map((at, n) => at - all[n]);
    assert.ok(Math.max(...steps) < 0.4 && Math.min(...steps) > 0, `from ${Math.min(...steps)} to ${Math.max(...steps)} s apart`);
    assert.ok(Math.abs(all.at(-1) - length) < 0.5, `${all.at(-1)} of ${length} s`);
  }
  const said = Number(command("ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", file));
  assert.ok(Math.abs(said - length) < 0.5, `${said} of ${length} s`);
});

test("a download that broke off is taken up where it was, and only while it is the same", async () => {
  const whole = await fetch(place(TEN, OTHER));
  const tag = whole.headers.get("etag");
  const bytes = Buffer.from(await whole.arrayBuffer());
  for (const at of [10, 1500, Math.floor(bytes.length / 2), bytes.length - 7]) {
    const rest = await fetch(place(TEN, OTHER), { headers: { range: `bytes=${at}-`, "if-range": tag } });
    assert.equal(rest.status, 206);
    assert.ok(Buffer.from(await rest.arrayBuffer()).equals(bytes.subarray(at)), `from ${at}`);
  }
  const other = await fetch(place(TEN, OTHER), { headers: { range: "bytes=10-", "if-range": '"other"' } });
  assert.equal(other.status, 200);
  await other.body.cancel();
  const part = await fetch(place(TEN + 3000, TEN + 3004));
  assert.notEqual(part.headers.get("etag"), tag);
  const file = join(folder, "part.mp4");
  writeFileSync(file, Buffer.from(await part.arrayBuffer()));
  assert.deepEqual(pictures(file), pictures(video).slice(0, 100));
});

test("a change of the picture's size inside is named, and each side of it can be had; sound alone is", async () => {
  const changes = await fetch(place(TEN, TEN + 3 * 3600));
  assert.equal(changes.status, 409);
  assert.match(await changes.text(), new RegExp(`changes at 2026-11-22T12:00:00Z \\(${OTHER} seconds`));
  const behind = await fetch(place(OTHER, TEN + 3 * 3600));
  assert.equal(behind.status, 200);
  await behind.body.cancel();
  const heard = await fetch(place(TEN, TEN + 3 * 3600, "&rendition=audio"));
  assert.equal(heard.headers.get("content-type"), "audio/mp4");
  await heard.body.cancel();
  for (const [url, status] of [
    [place(TEN - 7200, TEN - 3600), 404],
    [place(TEN, OTHER, "&rendition=none"), 404],
    [place(OTHER, TEN), 400],
    [place(TEN, TEN + 26 * 3600), 400],
  ]) {
    assert.equal((await fetch(url)).status, status, url);
  }
});

test("a clip has a CID of its own and plays; an hour that is taken down is gone from every door", async () => {
  const command = async (...args) => {
    const said = await gateway.command("archive", ...args);
    assert.equal(said.code, 0, said.stderr);
    return said.stdout;
  };
  const { days } = await gateway.json("/api/v1/streams/cam/archive");
  const [kept, , taken] = days[0].hours;
  await gateway.stop();
  const [clip] = (await command("clip", "2026-11-22T10:50:02", "2026-11-22T10:50:06")).split(" ");
  assert.match(await command("tombstone", "2026-11-22T12"), new RegExp(taken.cid));
  assert.match(await command("verify"), /^2 hours, \d+ blocks, 0 damaged/);
  const again = await gateway.command("archive", "tombstone", "2026-11-22T12");
  assert.equal(again.code, 1);
  assert.match(again.stderr, /has no hour "2026-11-22T12"/);
  await gateway.start();
  // Whole segments, from the one that is on screen then.
  const [seen, original] = [pictures(`${gateway.url}/ipfs/${clip}/source/index.m3u8`), pictures(video)];
  const first = original.indexOf(seen[0]);
  assert.deepEqual(seen, original.slice(first, first + seen.length));
  assert.ok(first <= 50 && first + seen.length >= 150 && seen.length <= 200, `${seen.length} from ${first}`);
  const past = await gateway.json("/api/v1/streams/cam/archive");
  assert.deepEqual(past.days[0].hours.map(({ cid }) => cid), [kept.cid, days[0].hours[1].cid]);
  assert.equal((await fetch(`${gateway.url}/ipfs/${kept.cid}/index.m3u8`)).status, 200);
  assert.equal((await fetch(`${gateway.url}/ipfs/${taken.cid}/index.m3u8`)).status, 404);
  assert.equal((await fetch(place(OTHER, OTHER + 3600))).status, 404);
  const feed = await gateway.text("/s/cam/archive/feed.xml");
  assert.ok(feed.includes(kept.cid) && !feed.includes(taken.cid));
  const xml = join(folder, "feed.xml");
  writeFileSync(xml, feed);
  execFileSync("python3", ["-c", "import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])", xml]);
});
