// Six viewers: every byte shown is a byte that was published, nobody carries much more than it takes, the gateway little.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { binary, sleep } from "../gateway.mjs";
import { mediaOf, noteMedia } from "./media.mjs";
import { Site } from "./net.mjs";
import { Wire } from "./wire.mjs";
import { between, browse, during, gatewayOfFilm, playlist, sum, told, watchAll } from "./viewers.mjs";

const SIX = 6;
let browser;
let gateway;
let site;
let wire;
before(async () => {
  // A place of its own for the gateway: what leaves it is seen on its link.
  site = await Site.make();
  wire = await Wire.begin(site);
  [gateway, browser] = await Promise.all([gatewayOfFilm({ host: site.address, program: [...site.enter, binary()] }), browse()]);
});
after(async () => {
  await browser?.close();
  await gateway?.dispose();
  wire?.stop();
  await site?.dispose();
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
  let packets;
  const seen = await during(gateway, viewers, async () => {
    wire.zero();
    await sleep(count * 1000);
    packets = wire.read();
  });
  // In copies of the stream, too: with all headers, and of that what is media.
  seen.wire = packets.bytes / seen.copyBytes;
  seen.wireMedia = packets.payload / seen.copyBytes - seen.rest;
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

/** Nearly all that viewers can have of each other they have of each other; and the wire says what the counters say. */
function offloaded(seen) {
  const [fromPeers, fromGateway] = ["fromPeers", "fromGateway"].map((name) => sum(seen.viewers.map((viewer) => viewer[name])));
  between(fromPeers / (fromPeers + fromGateway) / ((SIX - 1) / SIX), 0.95, 1.01, "offload, of the possible", seen);
  between(seen.wire, 1, 1.6, "copies on the wire", seen);
}

const agrees = (seen) => between(seen.wireMedia / seen.gateway, 0.9, 1.1, "media on the wire, against the counters", seen);

test("six viewers take little more than one copy from the gateway, and none uploads much more than it takes", async () => {
  const seen = await six(true, 20);
  between(seen.gateway, 0.9, 1.3, "copies from the gateway", seen);
  offloaded(seen);
  agrees(seen);
  const [stalledMs, playedMs] = ["stallMs", "playedMs"].map((name) => sum(seen.viewers.map((viewer) => viewer[name])));
  between(stalledMs / playedMs, 0, 0.03, "time stalled, of the time played", seen);
  for (const viewer of seen.viewers) between(viewer.uploaded, 0, 1.3 * (viewer.fromPeers + viewer.fromGateway), "copies uploaded by each", seen);
  const [given, taken] = [sum(seen.viewers.map(({ uploaded }) => uploaded)), sum(seen.viewers.map(({ fromPeers }) => fromPeers))];
  between(given / taken, 0.9, 1.15, "what all gave, against what all took", seen);
});

test("with sharing off six viewers take six copies", async () => {
  const seen = await six(false, 8);
  between(seen.gateway, 5.6, 6.4, "copies from the gateway", seen);
  agrees(seen);
  assert.throws(() => offloaded(seen), /offload, of the possible/);
  assert.equal(sum(seen.viewers.map(({ fromPeers, uploaded }) => fromPeers + uploaded)), 0, told(seen));
});

test("a byte that was changed is not among what was published", async () => {
  const [{ url }] = (await playlist(gateway)).segments;
  const bytes = Buffer.from(await (await fetch(url)).arrayBuffer());
  const real = new Set(mediaOf(bytes));
  bytes[bytes.length - 1] ^= 1;
  assert.equal(mediaOf(bytes).filter((name) => !real.has(name)).length, 1);
});
