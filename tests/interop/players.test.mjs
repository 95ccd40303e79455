// Other people's players play the same playlist: ffprobe, hls.js, shaka-player, mpv, GStreamer.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { launch, open, site } from "../e2e/browser.mjs";
import { run, sleep, start } from "../e2e/gateway.mjs";
import { onAir } from "./stream.mjs";

const require = createRequire(import.meta.url);
let browser;
let gateway;
let playlist;
before(async () => {
  [browser, gateway] = await Promise.all([launch(), onAir()]);
  playlist = `${gateway.url}/live/testcard/index.m3u8`;
});
after(async () => {
  await browser?.close();
  await gateway?.dispose();
});

test("ffprobe sees H.264 and AAC", async () => {
  const { code, stdout, stderr } = await run("ffprobe", [
    ...["-v", "error", "-rw_timeout", "10000000", "-show_entries", "stream=codec_name,width,height", "-of", "json", playlist],
  ]);
  assert.equal(code, 0, stderr);
  const codecs = JSON.parse(stdout).streams.map(({ codec_name }) => codec_name);
  assert.ok(codecs.includes("h264") && codecs.includes("aac"), stdout);
});

/** A page with nothing but `<video>` and a library; `begin` is run in it. */
async function foreign(library, begin) {
  const foreignSite = await site("<video muted></video>");
  // A server that goes on keeps this file from ending.
  try {
    return await play(foreignSite.url, library, begin);
  } finally {
    foreignSite.close();
  }
}

async function play(url, library, begin) {
  const page = await open(browser, url, { allow: [/404/] });
  await page.addScriptTag({ content: readFileSync(require.resolve(library), "utf8") });
  await page.evaluate(begin, playlist);
  await page.waitForFunction(() => document.querySelector("video").currentTime > 0 && document.querySelector("video").readyState >= 3, null, {
    timeout: 20_000,
  });
  const before_ = await page.evaluate(() => document.querySelector("video").getVideoPlaybackQuality().totalVideoFrames);
  await page.waitForTimeout(8000);
  const seen = await page.evaluate(() => ({
    frames: document.querySelector("video").getVideoPlaybackQuality().totalVideoFrames,
    behindMs: window.meshliveTest.realNow() - window.meshliveTest.readStrip(document.querySelector("video")),
    errors: window.playerErrors,
  }));
  assert.deepEqual(seen.errors, []);
  assert.ok(seen.frames - before_ > 100, `${seen.frames - before_} frames in 8 s`);
  await page.finish();
  return seen;
}

test("plain hls.js plays it in low-latency mode", async () => {
  const { behindMs } = await foreign("hls.js/dist/hls.min.js", (url) => {
    window.playerErrors = [];
    const hls = new window.Hls({ lowLatencyMode: true });
    hls.on(window.Hls.Events.ERROR, (_, error) => error.fatal && window.playerErrors.push(`${error.type} ${error.details}`));
    hls.loadSource(url);
    hls.attachMedia(document.querySelector("video"));
    hls.on(window.Hls.Events.MANIFEST_PARSED, () => document.querySelector("video").play());
  });
  assert.ok(behindMs > 0 && behindMs < 6000, `${behindMs} ms behind`);
});

test("shaka-player plays it", async () => {
  const { behindMs } = await foreign("shaka-player/dist/shaka-player.compiled.js", async (url) => {
    window.playerErrors = [];
    window.shaka.polyfill.installAll();
    const player = new window.shaka.Player();
    await player.attach(document.querySelector("video"));
    player.addEventListener("error", ({ detail }) => detail.severity === 2 && window.playerErrors.push(`shaka ${detail.code}`));
    player.configure({ streaming: { lowLatencyMode: true } });
    await player.load(url);
    await document.querySelector("video").play();
  });
  assert.ok(behindMs > 0 && behindMs < 15_000, `${behindMs} ms behind`);
});

test("mpv plays it", async () => {
  const { code, stdout, stderr } = await run(
    "mpv",
    ["--no-config", "--vo=null", "--ao=null", "--length=6", "--msg-level=all=warn,cplayer=info", playlist],
    { timeoutMs: 40_000 },
  );
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /h264/);
  assert.match(stdout, /aac/);
});

test("GStreamer's hlsdemux2 plays it", async () => {
  const sink = "identity name=frames silent=false ! fakesink sync=true";
  const player = start("gst-launch-1.0", ["-v", "playbin3", `uri=${playlist}`, `video-sink=${sink}`, "audio-sink=fakesink sync=true"]);
  let frames = 0;
  player.child.stdout.on("data", (text) => {
    frames += String(text).split("frames: last-message = chain").length - 1;
  });
  await sleep(15_000);
  assert.equal(player.child.exitCode, null, player.output.slice(-2000));
  await player.stop();
  assert.ok(frames > 100, `${frames} frames in 15 s: ${player.output.slice(-2000)}`);
});
