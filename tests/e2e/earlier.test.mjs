// What is past before its hour is over: the archive's page plays the run from its beginning, and its seek bar grows with live.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch, open } from "./browser.mjs";
import { CARD, Gateway, until } from "./gateway.mjs";

let browser;
let gateway;

before(async () => {
  [gateway, browser] = await Promise.all([Gateway.start({ inputs: [CARD] }), launch()]);
});
after(async () => {
  await browser?.close();
  await gateway?.dispose();
});

test("the archive's page plays the run on air from its beginning, and its seek bar grows", { timeout: 90_000 }, async () => {
  const past = () => gateway.json("/api/v1/streams/testcard/archive");
  await until("some segments are past", async () => {
    const { open } = await past();
    return open && open.to - open.from >= 9.9;
  }, { timeoutMs: 40_000 });
  const page = await open(browser, `${gateway.url}/s/testcard/archive`);
  await page.click("#from-beginning");
  await page.waitForFunction(() => document.querySelector("video")?.currentTime > 1);
  const read = () => page.$eval("video", (video) => ({ at: video.currentTime, end: video.seekable.end(video.seekable.length - 1), seeks: video.seekable.start(0) }));
  const first = await read();
  assert.ok(first.end >= 8 && first.seeks === 0, JSON.stringify(first));
  // The bar grows with live, and the picture goes on.
  await page.waitForFunction(({ end, at }) => {
    const video = document.querySelector("video");
    return video.seekable.end(video.seekable.length - 1) > end + 3 && video.currentTime > at + 2;
  }, first, { timeout: 20_000 });
  // To where live is, and back to the beginning.
  await page.$eval("video", (video) => { video.currentTime = video.seekable.end(video.seekable.length - 1) - 1; });
  await page.waitForFunction(() => document.querySelector("video").readyState >= 3 && !document.querySelector("video").seeking);
  const clock = Date.parse(`${await page.textContent("#clock")}`);
  const { open: now } = await past();
  assert.ok(Math.abs(clock - now.to * 1000) < 12_000, `${clock} of ${now.to}`);
  await page.click("#from-beginning");
  await page.waitForFunction(() => document.querySelector("video").currentTime < 4 && document.querySelector("video").readyState >= 3);
  await page.finish();
});

test("of what is not on air nothing is offered", async () => {
  const page = await open(browser, `${gateway.url}/s/testcard/archive`);
  await page.waitForSelector("#on-air:not([hidden])");
  await gateway.stop();
  const config = join(gateway.data, "config.toml");
  writeFileSync(config, "inputs = []\n");
  gateway = await Gateway.start({ data: gateway.data, inputs: [], flags: ["--config", config] });
  const again = await open(browser, `${gateway.url}/s/testcard/archive`);
  await again.waitForFunction(() => !/Asking/.test(document.querySelector("#status").textContent));
  assert.equal(await again.isHidden("#on-air"), true);
  await page.close();
  await again.finish();
});
