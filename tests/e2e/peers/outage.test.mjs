// The gateway is gone for 20 s: viewers play out what any of them has, go on by themselves, and are one swarm again.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { sleep, until } from "../gateway.mjs";
import { between, browse, during, gatewayOfFilm, seconds, told, watchAll } from "./viewers.mjs";

const GONE_MS = 20_000;
const PART_MS = 200;

let browsers;
let gateway;
before(async () => {
  [gateway, ...browsers] = await Promise.all([gatewayOfFilm(), browse(), browse()]);
});
after(async () => {
  await Promise.all((browsers ?? []).map((browser) => browser.close()));
  await gateway?.dispose();
});

/** Program date time of the frame on screen, and of the end of what is buffered behind it; ms, as the viewer's clock has it. */
const place = ({ page }) =>
  page.evaluate(() => {
    const player = document.querySelector("mesh-player");
    const { video, stats } = player;
    const ranges = [...Array(video.buffered.length).keys()].map((at) => [video.buffered.start(at), video.buffered.end(at)]);
    const range = ranges.find(([from, to]) => from <= video.currentTime && video.currentTime <= to + 0.1);
    const shown = Date.now() - stats.latencyMs;
    return { shown, end: shown + 1000 * Math.max(0, (range?.[1] ?? video.currentTime) - video.currentTime), stats: { ...stats } };
  });

test("the gateway is killed for 20 s and returns", async () => {
  const allow = [/ERR_/, /WebSocket/, /Failed to load/];
  const viewers = await watchAll(browsers, gateway, [{ allow }, { allow }, { allow }, { allow, sharing: false }]);
  await sleep(8000);
  const first = await during(gateway, viewers, seconds(8));
  for (const { fromPeers } of first.viewers.slice(0, 3)) assert.ok(fromPeers > 0.3, `no swarm before the outage\n${told(first)}`);
  const killed = Date.now();
  await gateway.kill();
  await sleep(500);
  const held = await Promise.all(viewers.map(place));
  const newest = Math.max(...held.slice(0, 3).map(({ end }) => end));
  await sleep(GONE_MS - (Date.now() - killed));
  const dry = await Promise.all(viewers.map(place));
  const text = JSON.stringify({ held, dry });
  for (const { shown, stats } of dry.slice(0, 3)) {
    assert.notEqual(stats.state, "playing", text);
    assert.notEqual(stats.state, "error", text);
    assert.ok(shown > newest - 2 * PART_MS, `${newest - shown} ms that some viewer had were not shown: ${text}`);
  }
  await gateway.start();
  await until("all play again", async () => (await Promise.all(viewers.map((viewer) => viewer.stats()))).every(({ state }) => state === "playing"), { timeoutMs: 30_000 });
  await sleep(10_000);
  const again = await during(gateway, viewers, seconds(10));
  for (const viewer of viewers) await viewer.finish();
  for (const viewer of again.viewers.slice(0, 3)) {
    assert.ok(viewer.fromPeers > 0.3 && viewer.uploaded > 0, `no swarm after the outage\n${told(again)}`);
    assert.equal(viewer.stalls, 0, told(again));
  }
  // The twin beside them: whoever does not share gives nothing, and goes on all the same.
  assert.equal(again.viewers[3].uploaded, 0, told(again));
  between(again.viewers[3].fromPeers + again.viewers[3].fromGateway, 0.85, 1.15, "copies of whoever does not share", again);
});
