// A picture begins with what there is: on a link that hardly carries the stream, who waited for the place where the picture
// should be by now would run after it, as that moves on as fast as parts come.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { median, playing, screenshot } from "../browser.mjs";
import { sleep } from "../gateway.mjs";
import { Site } from "./net.mjs";
import { browse, gatewayOfFilm } from "./viewers.mjs";

/** The film takes about 400. */
const LINK_KBIT = 460;
const ROUNDS = 6;

let browser;
let gateway;
let site;
before(async () => {
  site = await Site.make();
  [gateway, browser] = await Promise.all([gatewayOfFilm(), browse({ site })]);
});
after(async () => {
  await browser?.close();
  await gateway?.dispose();
  await site?.dispose();
});

/** In the page, `window.began`: how far into what is buffered the first picture lies, seconds; how many parts had come; its ms. */
function watchBegin() {
  const find = setInterval(() => {
    const player = document.querySelector("mesh-player");
    const video = player?.video;
    if (!video) return;
    clearInterval(find);
    video.requestVideoFrameCallback((_, { mediaTime }) => {
      window.began = { into: mediaTime - video.buffered.start(0), parts: player.stats.partsFromGateway, ms: Math.round(performance.now()) };
    });
  }, 1);
}

/** One visit over a link of that width, with all but the stream in the browser's cache. */
async function visit(kbit, waitMs) {
  const storage = [{ name: "meshlive-sharing", value: "off" }];
  const context = await browser.newContext({ viewport: { width: 480, height: 360 }, storageState: { cookies: [], origins: [{ origin: gateway.url, localStorage: storage }] } });
  const before = await context.newPage();
  await before.goto(`${gateway.url}/s/film`);
  await playing(before);
  await before.close();
  await site.width({ up: kbit, down: kbit });
  const page = await context.newPage();
  await page.addInitScript(watchBegin);
  await sleep(waitMs); // each somewhere else in its segment, and the parts of before are not those of now
  await page.goto(`${gateway.url}/s/film`);
  await page.waitForFunction(() => window.began, null, { timeout: 30_000 });
  if (kbit) await screenshot(page, "start");
  const began = await page.evaluate(() => window.began);
  await playing(page);
  await site.width({});
  await context.close();
  return began;
}

test("on a link that hardly carries the stream the picture begins with what there is, wherever live is by then", { timeout: 180_000 }, async (context) => {
  const narrow = [];
  for (let round = 0; round < ROUNDS; round += 1) narrow.push(await visit(LINK_KBIT, 1500 + round * 350));
  const wide = [];
  for (let round = 0; round < ROUNDS; round += 1) wide.push(await visit(0, 1500 + round * 350));
  const text = JSON.stringify({ narrow, wide });
  context.diagnostic(text);
  assert.ok(median(narrow.map(({ into }) => into)) < 0.1, text);
  // The twin: where there is time it is where live is.
  assert.ok(Math.max(...wide.map(({ into }) => into)) > 0.4, text);
});
