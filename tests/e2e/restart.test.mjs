// kill -9 at any moment: every announced part is served again, and viewers go on without touching the page.

import assert from "node:assert/strict";
import { test } from "node:test";
import { open, playing, stats, together, watch } from "./browser.mjs";
import { sleep, until } from "./gateway.mjs";

const scene = together();

/** The first media playlist of the test card: its path and text. */
async function playlist() {
  const multivariant = await scene.gateway.text("/live/testcard/index.m3u8");
  const uri = multivariant.split("\n").find((line) => line && !line.startsWith("#")).trim();
  const url = new URL(uri, `${scene.gateway.url}/live/testcard/index.m3u8`);
  const text = await (await fetch(url)).text();
  return { url, text };
}

/** Every part that a playlist announces: its URL and its CID. */
async function parts({ url, text }) {
  const uris = [...text.matchAll(/#EXT-X-PART:.*?URI="([^"]+)"/g)].map(([, uri]) => new URL(uri, url).href);
  const found = [];
  for (const part of uris) {
    const answer = await fetch(part);
    assert.equal(answer.status, 200, part);
    found.push([part, answer.headers.get("etag"), (await answer.arrayBuffer()).byteLength]);
  }
  return found;
}

const msn = (text) => Number(/#EXT-X-MEDIA-SEQUENCE:(\d+)/.exec(text)[1]) + [...text.matchAll(/#EXTINF/g)].length;

test("after kill -9 a gateway serves every part it had announced, and its numbers go on", async () => {
  await until("three segments", async () => msn((await playlist()).text) >= 3, { timeoutMs: 30_000 });
  const name = (await scene.gateway.json("/api/v1/streams/testcard")).stream;
  const old = await playlist();
  const known = await parts(old);
  assert.ok(known.length > 0, "the playlist names parts");
  await scene.gateway.kill();
  await scene.gateway.start();
  assert.equal((await scene.gateway.json("/api/v1/streams/testcard")).stream, name, "the stream keeps its name");
  for (const [url, etag, length] of known) {
    const answer = await fetch(url);
    assert.equal(answer.status, 200, `${url} was announced before the kill`);
    assert.equal(answer.headers.get("etag"), etag, url);
    assert.equal((await answer.arrayBuffer()).byteLength, length, url);
  }
  const fresh = await until("a newer segment", async () => {
    const now = await playlist();
    return msn(now.text) > msn(old.text) && now;
  });
  assert.match(fresh.text, /#EXT-X-DISCONTINUITY/);
});

test("a page continues by itself when the gateway is killed and comes back", async () => {
  // What a browser logs while the gateway is away is what this test provokes.
  const page = await open(scene.browser, `${scene.gateway.url}/s/testcard`, { allow: [/ERR_|WebSocket|Failed to (load|fetch)/] });
  await playing(page);
  await sleep(3000);
  await scene.gateway.kill();
  const killedMs = Date.now();
  await sleep(2000);
  await scene.gateway.start();
  await page.waitForFunction(
    (since) => {
      const { video } = document.querySelector("mesh-player");
      const strip = window.meshliveTest.readStrip(video);
      return strip !== null && strip > since;
    },
    killedMs + 2000,
    { timeout: 30_000, polling: 200 },
  );
  const frames = await watch(page, 4);
  assert.ok(frames.length > 30, `${frames.length} frames in 4 s after the restart`);
  assert.equal((await stats(page)).state, "playing");
  await page.finish();
});

for (const seconds of [2, 4, 8]) {
  test(`a page continues by itself when the gateway stands still for ${seconds} s, as on a disk that hangs`, async () => {
    const page = await open(scene.browser, `${scene.gateway.url}/s/testcard`);
    await playing(page);
    await sleep(3000);
    scene.gateway.child.kill("SIGSTOP");
    await sleep(seconds * 1000);
    scene.gateway.child.kill("SIGCONT");
    const before = (await stats(page)).playedMs;
    await until("three seconds of play", async () => (await stats(page)).playedMs > before + 3000, { timeoutMs: 15_000 });
    const frames = await watch(page, 2);
    assert.ok(frames.length > 15, `${frames.length} frames in 2 s afterwards`);
    await page.finish();
  });
}
