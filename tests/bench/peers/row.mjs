// One row of the comparison: one side, its viewers, and what is counted while they watch.

import { readFileSync, readdirSync } from "node:fs";
import { CRASHED, crash, launch, open } from "../../e2e/browser.mjs";
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

/** Processor seconds of every process of every Chromium here, by what the processes are. */
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

/** The viewers that watch one side: each counts from `begin` until it ends, whoever comes later from its click. */
class Viewers {
  #browser;
  #side;
  /** Those that watch now, in the order in which they came: `{page, before}`. */
  #now = [];
  /** What each of those that ended had taken and seen. */
  ended = [];

  constructor(browser, side) {
    this.#browser = browser;
    this.#side = side;
  }

  async join() {
    const context = { viewport: { width: 480, height: 360 }, storageState: this.#side.storage };
    const page = await open(this.#browser, this.#side.page, { context, init: probe, allow: [...this.#side.allow, CRASHED] });
    this.#now.push({ page, before: {} });
  }

  /** All have a picture. */
  shown() {
    const hasFrame = () => window.probe.state.firstFrameMs !== null;
    return Promise.all(this.#now.map(({ page }) => page.waitForFunction(hasFrame, null, { timeout: 60_000, polling: 200 })));
  }

  async begin() {
    for (const one of this.#now) {
      await one.page.evaluate(() => window.probe.begin());
      one.before = await this.#side.stats(one.page);
    }
  }

  /** The one that is here for the longest crashes. */
  async crash() {
    const one = this.#now.shift();
    await this.#count(one);
    await crash(one.page);
    await one.page.finish();
  }

  async end() {
    await Promise.all(this.#now.map((one) => this.#count(one)));
    for (const { page } of this.#now) await page.finish();
  }

  async #count({ page, before }) {
    const [taken, seen] = [await this.#side.stats(page), await page.evaluate(() => window.probe.read())];
    this.ended.push({ taken: difference(before, taken), seen });
  }
}

/**
 * @param {{side: string, name: string}} row
 * @param {{viewers: number, seconds: number, kbit: number, picture: string, crash: number}} options
 * `crash`: so many seconds lie between one viewer's crash and the next one's, each replaced at once; 0: none crashes.
 * @param {(what: string) => void} say
 */
export async function measureRow(row, { viewers: count, seconds, kbit, picture, crash: everySeconds }, say) {
  say("starts");
  const site = await Site.make();
  const wire = await Wire.begin(site);
  const browser = await launch({ mesh: true });
  const side = await (row.side === "ours" ? Ours : Anchor).start({ site, kbit, picture, row });
  const viewers = new Viewers(browser, side);
  for (let at = 0; at < count; at += 1) {
    say(`viewer ${at + 1} of ${count} joins`);
    const since = Date.now();
    await viewers.join();
    await sleep(Math.max(0, JOIN_MS - (Date.now() - since)));
  }
  await viewers.shown();
  say("settles");
  await sleep(SETTLE_MS);

  await viewers.begin();
  const before = { sent: await side.sent(), cpu: browsersCpu() };
  wire.zero();
  const since = performance.now();
  const passed = () => (performance.now() - since) / 1000;
  for (let crashes = 0; passed() < seconds; ) {
    say(`measures, ${Math.round(seconds - passed())} s left`);
    await sleep(1000);
    side.encoder.alive();
    if (!everySeconds || passed() < (crashes + 1) * everySeconds || seconds - passed() < everySeconds / 2) continue;
    crashes += 1;
    await viewers.crash();
    await viewers.join();
  }
  const took = passed();
  const packets = wire.read();
  const after = { sent: await side.sent(), cpu: browsersCpu() };
  await viewers.end();
  await browser.close();
  await side.stop();
  wire.stop();
  await site.dispose();
  const name = everySeconds ? `${row.name}, one crashes each ${everySeconds} s` : row.name;
  return { ...row, name, viewers: count, seconds: took, kbit, picture, crash: everySeconds, ...result({ before, after, viewers: viewers.ended, packets, took, count }) };
}

/** What comes of the counters. Bytes are media payload where nothing else is said. */
export function result({ before, after, viewers, packets, took, count }) {
  const each = viewers.map(({ taken }) => taken);
  const probes = viewers.map(({ seen }) => seen);
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
  // Of who watched for half of the time at least: who has just come has given nothing yet.
  const stayed = viewers.filter(({ seen }) => seen.shownMs > took * 500);
  const shares = stayed.map((one) => one.taken.uploaded / (one.taken.fromPeers + one.taken.fromOrigin));
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
    /** Processes that ended took theirs with them: there is none of a row with crashes. */
    cpu: viewers.length > count ? null : sum(Object.values(cpu)) / took,
    control: control / taken,
    controlKbit: (control * 8) / 1000 / took / count,
    copyKbit: (copy * 8) / 1000 / took,
    detail: { each, packets, media, rest, channels, uploaded: total("uploaded"), kinds: difference(before.sent.kinds, after.sent.kinds), cpu, messages: sum(probes.map(({ messages }) => messages)) },
  };
}
