// Codecs that not every browser plays: the page plays the H.264 beside them, and offers the original where it can play.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch, open, playing, stats } from "./browser.mjs";
import { Gateway, run, sleep, until } from "./gateway.mjs";

let browser;
let gateway;
const folder = mkdtempSync(join(tmpdir(), "meshlive-original-"));

/** Four seconds with Opus, the picture as `video` says. */
async function clip(name, video) {
  const path = join(folder, name);
  const args = ["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"];
  args.push("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", "4", "-pix_fmt", "yuv420p");
  args.push(...video.split(" "), "-g", "50", "-c:a", "libopus", "-ac", "2", path);
  const { code, stderr } = await run("ffmpeg", args, { env: { SVT_LOG: "1" } });
  assert.equal(code, 0, stderr);
  return `${path}?loop=1`;
}

before(async () => {
  const hevc = "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=50:min-keyint=50";
  const inputs = [await clip("hevc.mkv", hevc), await clip("av1.mp4", "-c:v libsvtav1 -preset 12")];
  [browser, gateway] = await Promise.all([launch(), Gateway.start({ inputs })]);
});
after(async () => {
  await browser?.close();
  await gateway?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** The codecs of a stream's renditions by their names, in the order of the playlist. */
async function codecs(stream) {
  const playlist = await until(`${stream} is on air`, async () => {
    const text = await gateway.text(`/live/${stream}/index.m3u8`);
    return text.includes("original.m3u8") && text;
  });
  const variants = [...playlist.matchAll(/CODECS="([^"]*)".*\n(.*)\.m3u8/g)];
  return variants.map(([, list, id]) => [id, list]);
}

const menu = (page) =>
  page.evaluate(() => {
    const select = document.querySelector("mesh-player").shadowRoot.querySelector("select.quality");
    return [...select.options].map(({ value }) => value);
  });

const choose = (page, rendition) =>
  page.evaluate((value) => {
    const select = document.querySelector("mesh-player").shadowRoot.querySelector("select.quality");
    select.value = value;
    select.dispatchEvent(new Event("change"));
  }, rendition);

const supports = (page, list) =>
  page.evaluate((all) => MediaSource.isTypeSupported(`video/mp4; codecs="${all}"`), list);

test("HEVC with Opus plays as H.264, and is offered only where the browser has it", async () => {
  const [[first, common], [last, original]] = await codecs("hevc");
  assert.deepEqual([first, last], ["source", "original"]);
  assert.match(common, /^avc1\.\w+,mp4a\.40\.2$/);
  assert.match(original, /^hvc1\.[\w.]+,opus$/);
  const page = await open(browser, `${gateway.url}/s/hevc`);
  assert.equal((await playing(page)).rendition, "source");
  const expected = (await supports(page, original)) ? ["auto", "source", "original", "audio"] : ["auto", "audio"];
  assert.deepEqual(await menu(page), expected);
  const before_ = await page.evaluate(() => document.querySelector("mesh-player").video.currentTime);
  await sleep(6000);
  const now = await stats(page);
  assert.equal(now.rendition, "source");
  const passed = (await page.evaluate(() => document.querySelector("mesh-player").video.currentTime)) - before_;
  assert.ok(passed > 4, `${passed} s of the picture in 6 s`);
  await page.finish();
});

test("AV1 with Opus is never chosen by itself, and plays when the viewer chooses it", async () => {
  const [, [last, original]] = await codecs("av1");
  assert.equal(last, "original");
  const page = await open(browser, `${gateway.url}/s/av1`);
  assert.ok(await supports(page, original), `this Chromium has no ${original}`);
  assert.equal((await playing(page)).rendition, "source");
  await sleep(5000);
  assert.equal((await stats(page)).rendition, "source");
  assert.deepEqual(await menu(page), ["auto", "source", "original", "audio"]);
  for (const [value, rendition] of [["original", "original"], ["auto", "source"]]) {
    await choose(page, value);
    await until(`${rendition} plays`, async () => {
      const now = await stats(page);
      return now.rendition === rendition && now.state === "playing";
    });
    const decoded = () =>
      page.evaluate(() => document.querySelector("mesh-player").video.getVideoPlaybackQuality().totalVideoFrames);
    const frames = await decoded();
    await until(`${value} shows 50 pictures more`, async () => (await decoded()) - frames > 50);
    assert.equal((await stats(page)).rendition, rendition);
  }
  await page.finish();
});
