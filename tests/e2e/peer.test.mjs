// The browser's peer (wasm) alone in a real browser, on plain http: the protocol's golden stream, verified; hostile bytes, refused.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { launch, open } from "./browser.mjs";

const generated = new URL("../../www/generated/", import.meta.url);
const golden = new URL("../../protocol/tests/golden/", import.meta.url);
const NAME = "k51qzi5uqu5dm0t4vbwri4lkg76q03b4x9tsvekgvbu4zli6454ff7w8wdosa4";
const TYPES = { "/meshlive_wasm_peer.js": "text/javascript", "/meshlive_wasm_peer_bg.wasm": "application/wasm" };

const text = (name) => readFileSync(new URL(name, golden), "utf8");
const bytes = (name) => [...Buffer.from(text(`${name}.hex`).replace(/\s/g, ""), "hex")];

let browser;
let page;
const server = createServer((request, response) => {
  const type = TYPES[request.url];
  response.setHeader("content-type", type ?? "text/html");
  response.end(type ? readFileSync(new URL(`.${request.url}`, generated)) : '<!doctype html><link rel="icon" href="data:,">');
});

before(async () => {
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  browser = await launch();
  page = await open(browser, `http://127.0.0.1:${server.address().port}/`);
  await page.evaluate(async (name) => {
    const peer = await import("/meshlive_wasm_peer.js");
    await peer.default();
    window.attempt = (what) => {
      try {
        return what();
      } catch (error) {
        return `${typeof error}: ${error}`;
      }
    };
    window.fresh = () => new peer.Peer(name, { fetch() {}, abort() {}, ready() {}, gone() {}, news() {} });
  }, NAME);
});
after(async () => {
  await browser?.close();
  server.close();
});

test("a manifest is verified, and gives the gateway's playlists and the parts' CIDs", async () => {
  const seen = await page.evaluate((manifest) => {
    const known = window.fresh();
    const first = known.accept(new Uint8Array(manifest));
    const again = known.accept(new Uint8Array(manifest));
    const part = JSON.parse(known.locate("source", 101n, 3));
    const is = (words) => known.verify(part.cid, new TextEncoder().encode(words));
    return {
      accepted: [first, again],
      numbers: [known.epoch, known.sequence, known.clockMicros].map(String),
      playlists: [known.playlist(undefined, new BigUint64Array()), known.audioPlaylist(), known.playlist("source", new BigUint64Array())],
      verified: [is("part 0 101 3"), is("part 0 101 4"), known.verify("nonsense", new Uint8Array(8))],
      size: part.size,
      beyond: [known.locate("source", 101n, 4), known.locate("none", 101n, 0), known.locateInit("audio", 1)],
    };
  }, bytes("manifest"));
  assert.deepEqual(seen, {
    accepted: [true, false],
    numbers: ["1795338000", "15", "1795338003000000"],
    playlists: [text("index.m3u8"), text("index-audio.m3u8"), text("source.m3u8")],
    verified: [true, false, false],
    size: 60_003,
    beyond: [undefined, undefined, undefined],
  });
});

test("what is not signed, not whole or not next is refused with a reason, and changes nothing", async () => {
  const seen = await page.evaluate(
    ([manifest, announcement]) => {
      const known = window.fresh();
      const accept = (envelope) => window.attempt(() => known.accept(new Uint8Array(envelope)));
      const flipped = manifest.map((byte, at) => (at === 300 ? byte ^ 1 : byte));
      const refused = [accept(announcement), accept(flipped), accept(manifest.slice(0, -1)), accept([])];
      return { refused, renditions: known.renditions(), needsManifest: known.needsManifest };
    },
    [bytes("manifest"), bytes("announcement-parts")],
  );
  const reasons = [/^string: a gap/, /^string: the signature is wrong/, /^string: malformed/, /^string: malformed/];
  reasons.forEach((reason, at) => assert.match(seen.refused[at], reason));
  assert.deepEqual([seen.renditions, seen.needsManifest], ["[]", true]);
});

test("ten thousand random envelopes later the peer still works, and the console is silent", async () => {
  const accepted = await page.evaluate((manifest) => {
    const known = window.fresh();
    let seed = 1;
    const random = (below) => {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
      return seed % below;
    };
    for (let round = 0; round < 10_000; round += 1) {
      const hostile = new Uint8Array(manifest.slice(0, 1 + random(manifest.length - 1)));
      hostile[random(hostile.length)] ^= 1 + random(255);
      if (window.attempt(() => known.accept(hostile)) === true) return "accepted";
    }
    return known.accept(new Uint8Array(manifest));
  }, bytes("manifest"));
  assert.equal(accepted, true);
  await page.finish();
});
