// One row of the comparison: one side, its viewers, and what is counted while they watch.

import { readFileSync, readdirSync } from "node:fs";
import { launch, open } from "../../e2e/browser.mjs";
import { sleep } from "../../e2e/gateway.mjs";
import { Site } from "../../e2e/peers/net.mjs";
import { Wire } from "../../e2e/peers/wire.mjs";
import { cpuSeconds } from "../process.mjs";
import { Anchor } from "./anchor.mjs";
import { Ours } from "./ours.mjs";
import { probe } from "./probe.mjs";

/** Between one viewer's click and the next one's. */
const JOIN_MS = 1500;
const SETTLE_MS = 15_000;

const sum = (numbers) => numbers.reduce((total, one) => total + one, 0);
const quantile = (numbers, part) => [...numbers].sort((a, b) => a - b)[Math.min(numbers.length - 1, Math.floor(numbers.length * part))] ?? null;

/** Processor seconds of every process of every Chromium here, by what the processes are; none ends meanwhile. */
function browsersCpu() {
  const used = {};
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      if (!readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("chrom")) continue;
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      const what = /--utility-sub-type=([\w.]+)/.exec(command)?.[1] ?? /--type=([\w-]+)/.exec(command)?.[1] ?? "browser";
      used[what] = (used[what] ?? 0) + cpuSeconds(pid);
    } catch {} // it ended
  }
  return used;
}

/** What grew of each. */
const difference = (before = {}, after = {}) => Object.fromEntries(Object.keys(after).map((name) => [name, after[name] - (before[name] ?? 0)]));

/**
 * @param {{side: string, name: string}} row
 * @param {{viewers: number, seconds: number, kbit: number, picture: string}} options
 * @param {(what: string) => void} say
 */
export async function measureRow(row, { viewers: count, seconds, kbit, picture }, say) {
  say("starts");
  const site = await Site.make();
  const wire = await Wire.begin(site);
  const browser = await launch({ mesh: true });
  const side = await (row.side === "ours" ? Ours : Anchor).start({ site, kbit, picture, row });
  const pages = [];
  for (let at = 0; at < count; at += 1) {
    say(`viewer ${at + 1} of ${count} joins`);
    const since = Date.now();
    const context = { viewport: { width: 480, height: 360 }, storageState: side.storage };
    pages.push(await open(browser, side.page, { context, init: probe, allow: side.allow }));
    await sleep(Math.max(0, JOIN_MS - (Date.now() - since)));
  }
  await Promise.all(pages.map((page) => page.waitForFunction(() => window.probe.state.firstFrameMs !== null, null, { timeout: 60_000, polling: 200 })));
  say("settles");
  await sleep(SETTLE_MS);

  const look = async () => ({ sent: await side.sent(), cpu: browsersCpu(), each: await Promise.all(pages.map((page) => side.stats(page))) });
  for (const page of pages) await page.evaluate(() => window.probe.begin());
  const before = await look();
  wire.zero();
  const since = performance.now();
  while (performance.now() - since < seconds * 1000) {
    say(`measures, ${Math.round(seconds - (performance.now() - since) / 1000)} s left`);
    await sleep(1000);
    side.encoder.alive();
  }
  const took = (performance.now() - since) / 1000;
  const packets = wire.read();
  const after = await look();
  const probes = await Promise.all(pages.map((page) => page.evaluate(() => window.probe.read())));
  for (const page of pages) await page.finish();
  await browser.close();
  await side.stop();
  wire.stop();
  await site.dispose();
  return { ...row, viewers: count, seconds: took, kbit, picture, ...result({ before, after, probes, packets, took, count }) };
}

/** What comes of the counters. Bytes are media payload where nothing else is said. */
export function result({ before, after, probes, packets, took, count }) {
  const each = after.each.map((now, at) => difference(before.each[at], now));
  const cpu = difference(before.cpu, after.cpu);
  const total = (name) => sum(each.map((one) => one[name] ?? 0));
  const [fromPeers, fromOrigin] = [total("fromPeers"), total("fromOrigin")];
  const taken = fromPeers + fromOrigin;
  // One copy is what a viewer took in: each takes in the whole stream once.
  const copy = taken / count;
  const media = after.sent.media - before.sent.media;
  const rest = after.sent.rest - before.sent.rest;
  const { bytes: wireBytes, payload: wirePayload, in: into } = packets;
  const channels = sum(probes.map(({ dataBytes }) => dataBytes));
  // Between viewers: what was sent on data channels and is not media. With the origin: what both send and is not media.
  const control = channels - total("uploaded") + wirePayload - media + into.tcp.payload;
  const latencies = probes.flatMap((one) => one.latencies);
  const shares = each.map((one) => one.uploaded / (one.fromPeers + one.fromOrigin));
  return {
    offload: fromPeers / taken,
    possible: fromPeers / taken / ((count - 1) / count),
    copies: media / copy,
    wireCopies: wireBytes / copy,
    /** The wire's payload, without what is not media, against the counters' media: 1 where both agree. */
    agreement: (wirePayload - rest) / media,
    latency: quantile(latencies, 0.5),
    latency95: quantile(latencies, 0.95),
    samples: latencies.length,
    firstFrame: quantile(probes.map(({ firstFrameMs }) => firstFrameMs), 0.5),
    firstFrames: probes.map(({ firstFrameMs }) => Math.round(firstFrameMs)),
    stalls: sum(probes.map((one) => one.stalls)),
    stalledMs: Math.round(sum(probes.map((one) => one.stalledMs))),
    shareLow: Math.min(...shares),
    shareHigh: Math.max(...shares),
    duplicates: total("duplicates") / taken,
    cpu: sum(Object.values(cpu)) / took,
    control: control / taken,
    controlKbit: (control * 8) / 1000 / took / count,
    copyKbit: (copy * 8) / 1000 / took,
    detail: { each, packets, media, rest, channels, uploaded: total("uploaded"), kinds: difference(before.sent.kinds, after.sent.kinds), cpu, messages: sum(probes.map(({ messages }) => messages)) },
  };
}
