// The main job: a page plays what the gateway shows, and the numbers it tells are true.

import assert from "node:assert/strict";
import { test } from "node:test";
import { median, open, playing, screenshot, site, stats, together, watch } from "./browser.mjs";
import { sleep } from "./gateway.mjs";

const scene = together();

/** What every frame must show, by its own clock strip. */
function judge(frames, { within = 100 } = {}) {
  const shown = frames.filter(({ strip, latencyMs }) => strip !== null && latencyMs !== null);
  assert.ok(shown.length > frames.length * 0.9, `the strip is read in ${shown.length} of ${frames.length} frames`);
  const real = median(shown.map(({ strip, nowMs }) => nowMs - strip));
  const off = median(shown.map(({ strip, nowMs, latencyMs }) => Math.abs(nowMs - strip - latencyMs)));
  assert.ok(off <= within, `stats.latencyMs is ${off} ms off the clock strip (median)`);
  for (const [before_, after_] of shown.slice(1).map((frame, i) => [shown[i], frame])) {
    assert.ok(after_.strip >= before_.strip, `the picture went back from ${before_.strip} to ${after_.strip}`);
  }
  return real;
}

test("the test card plays, live and with the latency that stats tell", async () => {
  const page = await open(scene.browser, `${scene.gateway.url}/s/testcard`);
  const first = await playing(page);
  assert.ok(first.firstFrameMs < 5000, `first frame after ${first.firstFrameMs} ms`);
  await sleep(3000);
  const frames = await watch(page, 6);
  assert.ok(frames.length > 60, `${frames.length} frames in 6 s`);
  const latency = judge(frames);
  assert.ok(latency > 0 && latency < 3000, `${latency} ms behind`);
  const now = await stats(page);
  assert.ok(now.partsFromGateway > 20 && now.bytesFromGateway > 100_000, JSON.stringify(now));
  assert.equal(now.partsRejected, 0);
  assert.equal(now.bytesFromPeers, 0);
  assert.match(now.rendition, /^[a-z0-9-]+$/);
  await screenshot(page, "player");
  await page.finish();
});

test("a viewer whose clock is an hour off sees the same latency", async () => {
  const init = () => {
    const real = Date.now.bind(Date);
    Date.now = () => real() + 3_600_000;
  };
  const page = await open(scene.browser, `${scene.gateway.url}/s/testcard`, { init });
  await playing(page);
  await sleep(2000);
  const latency = judge(await watch(page, 4));
  assert.ok(latency < 3000, `${latency} ms behind`);
  await page.finish();
});

test("the browser asks no other host for anything", async () => {
  const page = await open(scene.browser, `${scene.gateway.url}/s/testcard`);
  await playing(page);
  const { host } = new URL(scene.gateway.url);
  assert.deepEqual([...page.hosts].filter((name) => name !== "" && name !== host), []);
  await page.finish();
});

test("four tabs of one browser play at once", async () => {
  const pages = [];
  const context = await scene.browser.newContext();
  for (let tab = 0; tab < 4; tab += 1) {
    const page = await context.newPage();
    await page.goto(`${scene.gateway.url}/s/testcard`);
    pages.push(page);
  }
  for (const page of pages) await playing(page, 60_000);
  await sleep(2000);
  const before_ = await Promise.all(pages.map((page) => stats(page)));
  await sleep(5000);
  const after_ = await Promise.all(pages.map((page) => stats(page)));
  for (const [tab, now] of after_.entries()) {
    const played = now.playedMs - before_[tab].playedMs;
    assert.ok(played > 3000, `tab ${tab} played ${played} of 5000 ms: ${JSON.stringify(now)}`);
  }
  await context.close();
});

test("the embed script plays on a page of another origin", async () => {
  const { stream } = await scene.gateway.json("/api/v1/streams/testcard");
  const embedder = await site(`<script type="module" src="${scene.gateway.url}/embed.js"></script>
    <mesh-player stream="${stream}" autoplay muted></mesh-player>`);
  const page = await open(scene.browser, embedder.url);
  const now = await playing(page);
  assert.ok(now.bytesFromGateway > 0);
  await page.finish();
  embedder.close();
});

/** How often a second the page's styles are worked out anew. */
async function drawn(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable");
  const count = async () => (await session.send("Performance.getMetrics")).metrics.find(({ name }) => name === "RecalcStyleCount").value;
  const before = await count();
  await sleep(4000);
  return ((await count()) - before) / 4;
}

test("a page that plays is not drawn anew all the time; one with something that turns is", async () => {
  const page = await open(scene.browser, `${scene.gateway.url}/s/testcard`);
  await playing(page);
  await sleep(4000);
  const calm = await drawn(page);
  assert.ok(calm < 8, `${calm} times a second`);
  await page.evaluate(() => {
    document.body.insertAdjacentHTML("beforeend", '<svg><circle r="9"><animateTransform attributeName="transform" type="rotate" dur="1s" from="0" to="360" repeatCount="indefinite"/></circle></svg>');
  });
  const turning = await drawn(page);
  assert.ok(turning > 15, `${turning} times a second`);
  await page.finish();
});
