// Six viewers: every byte shown is a byte that was published, nobody carries much more than it takes, the gateway little.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { sleep } from "../gateway.mjs";
import { mediaOf, noteMedia } from "./media.mjs";
import { between, browse, during, gatewayOfFilm, playlist, seconds, sum, told, watchAll } from "./viewers.mjs";

const SIX = 6;
let browser;
let gateway;
before(async () => {
  [gateway, browser] = await Promise.all([gatewayOfFilm(), browse()]);
});
after(async () => {
  await browser?.close();
  await gateway?.dispose();
});

/** The media of everything that the playlist names now. */
async function published() {
  const found = new Set();
  for (const { url } of (await playlist(gateway)).segments) {
    for (const name of mediaOf(Buffer.from(await (await fetch(url)).arrayBuffer()))) found.add(name);
  }
  return found;
}

async function six(sharing, count) {
  const viewers = await watchAll([browser], gateway, Array(SIX).fill({ sharing, init: noteMedia }));
  await sleep(10_000);
  for (const { page } of viewers) await page.evaluate(() => window.mediaShown.splice(0));
  const seen = await during(gateway, viewers, seconds(count));
  const shown = await Promise.all(viewers.map(({ page }) => page.evaluate(() => window.mediaShown)));
  await sleep(2500); // the segment that was open is closed
  const real = await published();
  for (const viewer of viewers) await viewer.finish();
  for (const names of shown) {
    assert.ok(names.length > 4 * count, `only ${names.length} parts were shown in ${count} s`);
    assert.deepEqual(names.filter((name) => !real.has(name)), [], "shown, but never published");
  }
  for (const viewer of seen.viewers) {
    between(viewer.fromPeers + viewer.fromGateway, 0.9, 1.1, "copies received by each", seen);
    assert.equal(viewer.partsRejected, 0, told(seen));
  }
  return seen;
}

test("six viewers take at most two copies from the gateway, and none uploads much more than it takes", async () => {
  const seen = await six(true, 20);
  between(seen.gateway, 0.9, 2.0, "copies from the gateway", seen);
  for (const viewer of seen.viewers) between(viewer.uploaded, 0, 1.3 * (viewer.fromPeers + viewer.fromGateway), "copies uploaded by each", seen);
  const [given, taken] = [sum(seen.viewers.map(({ uploaded }) => uploaded)), sum(seen.viewers.map(({ fromPeers }) => fromPeers))];
  between(given / taken, 0.9, 1.15, "what all gave, against what all took", seen);
});

test("with sharing off six viewers take six copies", async () => {
  const seen = await six(false, 8);
  between(seen.gateway, 5.6, 6.4, "copies from the gateway", seen);
  assert.equal(sum(seen.viewers.map(({ fromPeers, uploaded }) => fromPeers + uploaded)), 0, told(seen));
});

test("a byte that was changed is not among what was published", async () => {
  const [{ url }] = (await playlist(gateway)).segments;
  const bytes = Buffer.from(await (await fetch(url)).arrayBuffer());
  const real = new Set(mediaOf(bytes));
  bytes[bytes.length - 1] ^= 1;
  assert.equal(mediaOf(bytes).filter((name) => !real.has(name)).length, 1);
});
