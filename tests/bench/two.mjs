// Two viewers that feed each other: `tests/e2e/peers/mesh node tests/bench/two.mjs`
// Latency on screen, how soon a newcomer is fed, and what it costs its processor.

import { readdirSync, readFileSync } from "node:fs";
import { median } from "../e2e/browser.mjs";
import { sleep } from "../e2e/gateway.mjs";
import { Tab, chromium } from "../e2e/peers/tabs.mjs";
import { Viewer, browse, during, gatewayOfFilm, seconds, watchAll } from "../e2e/peers/viewers.mjs";
import { cpuDuring, report } from "./process.mjs";

const SMALL_CARD = "testcard?size=320x180&bit_rate=400000&name=film";

/** Latency on screen of two viewers, read off the test card's clock strip while they feed each other. */
async function latency() {
  const [gateway, ...browsers] = await Promise.all([gatewayOfFilm({ inputs: [SMALL_CARD] }), browse(), browse()]);
  const viewers = await watchAll(browsers, gateway, [{}, {}]);
  await sleep(10_000);
  let frames = [];
  const seen = await during(gateway, viewers, async () => {
    frames = await Promise.all(viewers.map(({ page }) => page.evaluate((s) => window.meshliveTest.watch(s), 45)));
  });
  for (const viewer of viewers) await viewer.finish();
  for (const browser of browsers) await browser.close();
  await gateway.dispose();
  const shown = frames.flat().filter(({ strip }) => strip !== null).map(({ strip, nowMs }) => nowMs - strip);
  const stalls = seen.viewers.reduce((total, viewer) => total + viewer.stalls, 0);
  report("two viewers: latency on screen, median of 45 s", `${median(shown)} ms`, "≤ 2500 ms", median(shown) <= 2500);
  report("two viewers: stalls; copies from the gateway", `${stalls}; ${seen.gateway.toFixed(2)}`, "0; ≤ 1.1", stalls === 0 && seen.gateway <= 1.1);
}

/** Runs in the page: when its first part from another viewer was there, in ms since it began to be opened. */
function noteFirst() {
  const look = setInterval(() => {
    if (!document.querySelector("mesh-player")?.stats?.partsFromPeers) return;
    window.firstFromPeersMs = performance.now();
    clearInterval(look);
  }, 10);
}

/** A newcomer beside one viewer who is there: from the click that opens the page to the first part over WebRTC. */
async function setUp() {
  const [gateway, ...browsers] = await Promise.all([gatewayOfFilm(), browse(), browse()]);
  const standing = await Viewer.watch(browsers[0], gateway);
  await sleep(3000);
  const times = [];
  for (let round = 0; round < 11; round += 1) {
    const viewer = await Viewer.open(browsers[1], gateway, { init: noteFirst });
    await viewer.page.waitForFunction(() => window.firstFromPeersMs, null, { timeout: 20_000 });
    times.push(await viewer.page.evaluate(() => window.firstFromPeersMs));
    await viewer.finish();
    await sleep(1000);
  }
  await standing.finish();
  for (const browser of browsers) await browser.close();
  await gateway.dispose();
  report("click to the first part over WebRTC, median of 11", `${Math.round(median(times))} ms`, "≤ 1000 ms", median(times) <= 1000);
}

/** A process and all below it. */
function family(pid) {
  const parents = new Map();
  for (const name of readdirSync("/proc").filter((one) => /^\d+$/.test(one))) {
    try {
      parents.set(Number(name), Number(readFileSync(`/proc/${name}/stat`, "utf8").split(") ").pop().split(" ")[1]));
    } catch {} // it ended meanwhile
  }
  const below = (one) => [one, ...[...parents].filter(([, parent]) => parent === one).flatMap(([child]) => below(child))];
  return below(pid);
}

/** Processor seconds of a whole browser in 20 s: one viewer of two, with sharing and without, in turns. */
async function processor() {
  const [gateway, ...browsers] = await Promise.all([gatewayOfFilm(), chromium(), chromium()]);
  const used = { true: [], false: [] };
  for (const sharing of [false, true, false, true, false, true]) {
    const tabs = [];
    for (const browser of browsers) tabs.push(await Tab.open(browser, gateway, { sharing }));
    await sleep(8000);
    const seen = await during(gateway, tabs, async () => used[sharing].push(await cpuDuring(family(browsers[0].process().pid), 20_000)));
    const fed = seen.viewers.every(({ fromPeers }) => fromPeers > 0.3);
    if (fed !== sharing) throw new Error(`sharing ${sharing}, but fed by peers ${fed}: nothing is compared`);
    for (const tab of tabs) await tab.finish();
  }
  for (const browser of browsers) await browser.close();
  await gateway.dispose();
  const [on, off] = [median(used.true) / 20, median(used.false) / 20];
  report("processor time of a viewer with P2P, against without", `${on.toFixed(3)} cores : ${off.toFixed(3)} cores = ${(on / off).toFixed(2)}`, "≤ 1.25", on / off <= 1.25);
}

const rows = { latency, setUp, processor };
for (const name of process.argv[2] ? [process.argv[2]] : Object.keys(rows)) await rows[name]();
process.exit(0);
