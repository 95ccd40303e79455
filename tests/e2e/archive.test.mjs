// A day that was made quickly: real media through the real publisher, over two hour seams and two restarts. Every frame is
// there once and in its place, in any player; a store that was damaged does not pass for whole.

import assert from "node:assert/strict";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, statSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch, open } from "./browser.mjs";
import { Gateway, out } from "./gateway.mjs";
import { command, picture, publish, TEN, tone } from "./recorded.mjs";

/** Start and length of each run of the gateway, seconds: over 11:00 and over 12:00, cut off, and up again twice. */
const RUNS = [
  [TEN + 3580, 40],
  [TEN + 3640, 21],
  [TEN + 7170, 50],
];

const folder = mkdtempSync(join(tmpdir(), "meshlive-archive-"));
const [video, sound] = ["v.h264", "a.aac"].map((name) => join(folder, name));
const data = join(folder, "data");
let browser;
let gateway;
let made;
let original;
let past;

/** A hash of each picture, in order; what cannot be read is left out, as players do. */
function pictures(source) {
  const lines = command("ffmpeg", "-v", "quiet", "-i", source, "-map", "0:v", "-fps_mode", "passthrough", "-f", "framemd5", "-");
  return lines
    .split("\n")
    .filter((line) => line && !line.startsWith("#"))
    .map((line) => line.split(",").pop().trim());
}

async function start() {
  gateway = await Gateway.start({ data, inputs: [], flags: ["--config", join(folder, "config.toml")] });
}

before(async () => {
  mkdirSync(data);
  writeFileSync(join(folder, "config.toml"), "inputs = []\n");
  const length = Math.max(...RUNS.map(([, seconds]) => seconds));
  picture(video, `testsrc2=s=320x180:r=25:d=${length}`);
  tone(sound, length);
  made = publish(data, video, sound, RUNS);
  original = pictures(video);
  await start();
  past = await gateway.json("/api/v1/streams/cam/archive");
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await gateway?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** What the day must show: of each run as many pictures as were announced, from the first on. */
const expected = () => made.frames.flatMap((count) => original.slice(0, count));

test("every frame of the day is there once and in order, over hour seams and restarts", () => {
  const [day] = past.days;
  assert.equal(past.days.length, 1);
  assert.deepEqual(
    day.hours.map(({ start }) => start),
    ["2026-11-22T10:00:00Z", "2026-11-22T11:00:00Z", "2026-11-22T12:00:00Z"],
  );
  assert.ok(made.frames.every((count, run) => count > RUNS[run][1] * 25 - 60), `${made.frames}`);
  assert.deepEqual(pictures(`${gateway.url}/ipfs/${day.cid}/day-source.m3u8`), expected());
  const hours = day.hours.flatMap(({ cid }) => pictures(`${gateway.url}/ipfs/${cid}/source/index.m3u8`));
  assert.deepEqual(hours, expected());
  assert.deepEqual(pictures(`${gateway.url}/ipns/${past.stream}/2026-11-22/day-source.m3u8`), expected());
});

test("the page plays the day, over the seam of an hour, and seeks anywhere in it", { timeout: 100_000 }, async () => {
  const page = await open(browser, `${gateway.url}/s/cam/archive`, { context: { timezoneId: "Europe/Berlin", locale: "en-GB" } });
  await page.waitForSelector('#hours li:nth-child(3) .strip img');
  const hours = await page.$$eval("#hours strong", (all) => all.map((one) => one.textContent));
  assert.deepEqual(hours, ["11:00", "12:00", "13:00"]);
  await page.waitForFunction(() => [...document.querySelectorAll(".strip img")].every((one) => one.naturalWidth > 0));
  await page.click("#whole button");
  const video = page.locator("video");
  await page.waitForFunction(() => document.querySelector("video").currentTime > 1);
  assert.match(await page.textContent("#clock"), /22 Nov 2026, 11:59:4/);
  const whole = await video.evaluate((one) => one.duration);
  assert.ok(Math.abs(whole - made.frames.reduce((sum, count) => sum + count, 0) / 25) < 1, `${whole}`);
  const seek = (at) =>
    video.evaluate(async (one, at) => {
      const since = performance.now();
      one.currentTime = at;
      await new Promise((resolve) => one.requestVideoFrameCallback(function shown(_, { mediaTime }) {
        if (Math.abs(mediaTime - at) < 1) resolve();
        else one.requestVideoFrameCallback(shown);
      }));
      return performance.now() - since;
    }, at);
  const took = [];
  for (const share of [0.9, 0.1, 0.55, 0.3, 0.75, 0.02, 0.62, 0.4, 0.85]) took.push(await seek(share * whole));
  const median = took.sort((a, b) => a - b)[took.length >> 1];
  console.log(`# seek, picture on screen: median ${Math.round(median)} ms, longest ${Math.round(took.at(-1))} ms`);
  assert.ok(median < 1500, `${took.map(Math.round)} ms`);
  // 19 seconds into the day is a second before 11:00 UTC.
  await seek(19);
  await page.waitForFunction(() => /12:00:0[12]/.test(document.querySelector("#clock").textContent), null, { timeout: 10_000 });
  mkdirSync(out, { recursive: true });
  await page.screenshot({ path: join(out, "archive.png"), fullPage: true });
  await page.finish();
});

test("a link in the player leads here, and an hour can be had as a CAR and as an MP4", async () => {
  const page = await open(browser, `${gateway.url}/s/cam`);
  await page.click("#to-archive");
  await page.waitForURL("**/s/cam/archive");
  const link = async (text) => new URL(await page.getAttribute(`#hours li a:has-text("${text}")`, "href"), gateway.url);
  const [carLink, movieLink] = [await link("CAR"), await link("MP4")];
  await page.finish();
  const car = await fetch(carLink);
  assert.equal(car.status, 200);
  const [hour] = past.days[0].hours;
  const bytes = (await car.arrayBuffer()).byteLength;
  assert.ok(bytes > hour.bytes && bytes < hour.bytes * 1.1, `${bytes} of ${hour.bytes}`);
  const movie = await fetch(movieLink);
  assert.deepEqual([movie.status, movie.headers.get("content-type")], [200, "video/mp4"]);
  const length = Number(movie.headers.get("content-length"));
  assert.equal((await movie.arrayBuffer()).byteLength, length);
  assert.ok(length > hour.bytes / 2 && length < hour.bytes * 1.1, `${length} of ${hour.bytes}`);
});

test("a stretch that is chosen in the player has a name, a link that plays it, and is had as MP4 and as CAR", { timeout: 100_000 }, async () => {
  const page = await open(browser, `${gateway.url}/s/cam/archive#t=${TEN + 3590}`);
  await page.waitForFunction(() => document.querySelector("video").currentTime > 1);
  const at = (seconds) => page.$eval("video", (video, seconds) => { video.pause(); video.currentTime = seconds; }, seconds);
  await at(12);
  await page.click("#clip-from");
  await at(26);
  await page.click("#clip-to");
  await page.waitForSelector("#clip-made:not([hidden])");
  const [cid] = (await page.textContent("#clip-cid")).match(/baf\w+/);
  const link = async (id) => new URL(await page.getAttribute(`#clip-${id}`, "href"), page.url()).href;
  const [whole, movie, car] = [await link("link"), await link("movie"), await link("car")];
  await page.finish();

  const file = join(folder, "clip.car");
  writeFileSync(file, Buffer.from(await (await fetch(car)).arrayBuffer()));
  assert.ok(readFileSync(file).subarray(0, 100).length === 100 && statSync(file).size > 100_000);
  // Pictures from 12 to 26 s of the day, by whole segments of two seconds.
  const shown = pictures(movie);
  const from = expected().indexOf(shown[0]);
  assert.deepEqual(shown, expected().slice(from, from + shown.length));
  assert.ok(shown.length >= 13 * 25 && shown.length <= 18 * 25, `${shown.length} pictures`);

  const again = await open(browser, whole);
  await again.waitForFunction(() => document.querySelector("video").currentTime > 11);
  await again.waitForFunction(() => document.querySelector("video").paused && document.querySelector("video").currentTime > 25, null, { timeout: 40_000 });
  assert.equal((await again.textContent("#clip-cid")).match(/baf\w+/)[0], cid, "the same stretch, the same name");
  await again.finish();

  // Nobody but the operator keeps it; then it is there by that name.
  assert.equal((await fetch(`${gateway.url}/ipfs/${cid}/index.m3u8`)).status, 404);
  await gateway.stop();
  const { searchParams } = new URL(movie);
  const utc = (name) => new Date(Number(searchParams.get(name)) * 1000).toISOString().slice(0, 19);
  const kept = await gateway.command("archive", "clip", utc("from"), utc("to"));
  assert.equal(kept.stdout.split(" ")[0], cid, kept.stderr);
  for (const args of [["title", "2026-11-22T10", "Opening"], ["chapter", "2026-11-22T10:59:50", "Questions"]]) {
    assert.equal((await gateway.command("archive", ...args)).code, 0, args[0]);
  }
  assert.equal((await gateway.command("archive", "title", "2026-11-22T09", "x")).code, 1);
  await start();
  assert.deepEqual(pictures(`${gateway.url}/ipfs/${cid}/index.m3u8`), shown);
});

test("an hour has the title and the chapters that the operator gave it, on the page and in its MP4", { timeout: 60_000 }, async () => {
  const page = await open(browser, `${gateway.url}/s/cam/archive`, { context: { timezoneId: "UTC", locale: "en-GB" } });
  await page.waitForSelector("#hours .title");
  assert.equal(await page.textContent("#hours .title"), "Opening");
  await page.click('#hours li:first-child .strip button');
  await page.click('#chapters button:has-text("10:59 Questions")');
  await page.waitForFunction(() => /10:59:5[0-3]/.test(document.querySelector("#clock").textContent));
  await page.finish();
  const movie = `${gateway.url}/api/v1/streams/cam/archive/recording.mp4?from=${TEN}&to=${TEN + 3600}`;
  const found = JSON.parse(command("ffprobe", "-v", "error", "-of", "json", "-show_chapters", "-show_format", movie));
  assert.equal(found.format.tags.title, "Opening");
  assert.deepEqual(found.chapters.map(({ start_time, tags }) => [Math.round(Number(start_time)), tags.title]), [[10, "Questions"]]);
  assert.deepEqual(pictures(movie), original.slice(0, pictures(movie).length));
});

test("a damaged store does not pass for whole; what is damaged is named, and whole again from a copy", async () => {
  const archive = (...args) => gateway.command("archive", ...args);
  const busy = await archive("ls");
  assert.equal(busy.code, 1);
  assert.match(busy.stderr, /another gateway is running/);
  await gateway.stop();
  const list = await archive("ls");
  for (const { cid, hours } of past.days) {
    for (const one of [cid, ...hours.map((hour) => hour.cid)]) assert.ok(list.stdout.includes(one), list.stdout);
  }
  const copy = join(folder, "day.car");
  assert.equal((await archive("export", "2026-11-22", "-o", copy)).code, 0);
  const good = await archive("verify");
  assert.deepEqual([good.code, / 0 damaged/.test(good.stdout)], [0, true], good.stdout);
  const pack = join(data, "store", past.stream, "20261122T11-source-0.car");
  const truncated = join(data, "store", past.stream, "20261122T12-source-0.car");
  const at = Math.floor(statSync(pack).size / 2);
  const file = openSync(pack, "r+");
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, at);
  byte[0] ^= 1;
  writeSync(file, byte, 0, 1, at);
  closeSync(file);
  truncateSync(truncated, statSync(truncated).size >> 1);
  await start();
  const found = pictures(`${gateway.url}/ipfs/${past.days[0].cid}/day-source.m3u8`);
  assert.ok(found.length < expected().length, `${found.length} of ${expected().length}`);
  await gateway.stop();
  const bad = await archive("verify");
  assert.equal(bad.code, 1);
  assert.match(bad.stdout, /damaged: 2026-11-22\/11\/source\/\d+\.m4s \(baf/);
  assert.match(bad.stdout, /damaged: 2026-11-22\/12\/source.* \(baf/);
  const taken = await archive("import", copy);
  assert.deepEqual([taken.code, taken.stdout.match(/ whole$/gm).length], [0, 3], taken.stderr);
  assert.equal((await archive("verify")).code, 0);
  await start();
  assert.deepEqual(pictures(`${gateway.url}/ipfs/${past.days[0].cid}/day-source.m3u8`), expected());
});
