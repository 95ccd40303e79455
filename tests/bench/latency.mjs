// Latency on screen over HTTP alone, and the first frame: `node tests/bench/latency.mjs`
// The default test card (720p30), Chromium on the same machine, 60 s, then 10 openings of the page.

import { launch, median, open, playing, stats } from "../e2e/browser.mjs";
import { Gateway, sleep } from "../e2e/gateway.mjs";
import { report } from "./process.mjs";

const gateway = await Gateway.start({ inputs: ["testcard"] });
const browser = await launch();
await sleep(8000);

/** When the first frame came on screen, in ms since the page began to be opened. */
const firstFrame = () => {
  const find = setInterval(() => {
    const video = document.querySelector("mesh-player")?.video;
    if (!video) return;
    clearInterval(find);
    video.requestVideoFrameCallback(() => {
      window.firstFrameMs = performance.now();
    });
  }, 1);
};

const page = await open(browser, `${gateway.url}/s/testcard`);
await playing(page);
await sleep(5000);
await page.evaluate(() => {
  const { video } = document.querySelector("mesh-player");
  window.seeks = 0;
  video.addEventListener("seeking", () => {
    window.seeks += 1;
  });
  window.qualityBefore = video.getVideoPlaybackQuality();
  window.countBefore = { total: window.qualityBefore.totalVideoFrames, dropped: window.qualityBefore.droppedVideoFrames };
});
const before = await stats(page);
const frames = await page.evaluate((s) => window.meshliveTest.watch(s), 60);
const after = await stats(page);
const seen = await page.evaluate(() => {
  const now = document.querySelector("mesh-player").video.getVideoPlaybackQuality();
  const total = now.totalVideoFrames - window.countBefore.total;
  return { seeks: window.seeks, dropped: (100 * (now.droppedVideoFrames - window.countBefore.dropped)) / total };
});
await page.finish();
const shown = frames.filter(({ strip, latencyMs }) => strip !== null && latencyMs !== null);
const latency = median(shown.map(({ strip, nowMs }) => nowMs - strip));
const off = median(shown.map(({ strip, nowMs, latencyMs }) => Math.abs(nowMs - strip - latencyMs)));
const stalls = after.stalls - before.stalls;

const openings = [];
for (let i = 0; i < 10; i += 1) {
  const fresh = await open(browser, `${gateway.url}/s/testcard`, { init: firstFrame });
  await playing(fresh);
  await fresh.waitForFunction(() => window.firstFrameMs);
  openings.push(await fresh.evaluate(() => window.firstFrameMs));
  await fresh.finish();
}
report("latency on screen, median of 60 s", `${latency} ms`, "≤ 1500 ms", latency <= 1500);
report("stalls, seeks, dropped frames", `${stalls}, ${seen.seeks}, ${seen.dropped.toFixed(2)} %`, "0, 0, < 1 %", !stalls && !seen.seeks && seen.dropped < 1);
report("stats.latencyMs off the clock strip, median", `${Math.round(off)} ms`, "≤ 100 ms", off <= 100);
report("first frame from opening the page, median of 10", `${Math.round(median(openings))} ms`, "≤ 800 ms", median(openings) <= 800);
await browser.close();
await gateway.dispose();
