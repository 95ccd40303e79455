// What one hop between two viewers takes, over a link with delay and loss, beside the simulator's for the same link:
// `tests/e2e/peers/mesh node tests/bench/hop.mjs [--delay MS] [--loss SHARE] [--every MS] [--parts N]`
// Two Chromium processes, connected by our peer; one gives a part of 200 ms at 2.5 Mbit/s every now and then (each third, if
// nothing else is said: such a hop carries no more), the other notes when each is whole. The link is `link.py`, and all that
// the second browser sends and hears goes over it.

import { parseArgs } from "node:util";
import { launch, open } from "../e2e/browser.mjs";
import { Gateway, run } from "../e2e/gateway.mjs";
import { HOST } from "../e2e/peers/net.mjs";
import { Ours, compile, serve } from "../interop/trial.mjs";
import { far, HERE, THERE } from "./far.mjs";
import { report } from "./process.mjs";

const OPTIONS = { delay: { type: "string", default: "40" }, loss: { type: "string", default: "0.01" }, every: { type: "string", default: "600" }, parts: { type: "string", default: "260" } };
const { values } = parseArgs({ options: OPTIONS });
const [delayMs, loss, everyMs, count] = [values.delay, values.loss, values.every, values.parts].map(Number);
const PART = 62_500;
/** Bytes of a message: what our streams put into one. */
const MESSAGE = 16_384;
const SHARES = [0.5, 0.9, 0.99, 0.999];
const WITHIN = 0.2;

/** In the page: every connection that our peer makes is at hand. */
function connections() {
  const Original = window.RTCPeerConnection;
  window.connections = [];
  window.RTCPeerConnection = class extends Original {
    constructor(...args) {
      super(...args);
      window.connections.push(this);
    }
  };
  /** One more channel of the connection that stands, ordered and reliable as ours are. */
  window.beside = () => {
    const pc = window.connections.find(({ connectionState }) => connectionState === "connected");
    const channel = pc.createDataChannel("parts", { negotiated: true, id: 1000 });
    channel.binaryType = "arraybuffer";
    return channel;
  };
  window.clock = () => performance.timeOrigin + performance.now();
}

/** Gives `count` parts; when each was handed over. */
function give([count, part, message, everyMs]) {
  const channel = window.given;
  return new Promise((resolve) => {
    const times = [];
    const began = window.clock();
    const timer = setInterval(() => {
      // A timer that is late makes up for it: as many parts as are due.
      while (times.length < count && window.clock() >= began + times.length * everyMs) {
        times.push(window.clock());
        for (let at = 0; at < part; at += message) channel.send(new Uint8Array(Math.min(message, part - at)));
      }
      if (times.length === count) {
        clearInterval(timer);
        resolve(times);
      }
    }, 5);
  });
}

/** Notes when each part is whole. */
function take(part) {
  window.given = window.beside();
  window.whole = [];
  let bytes = 0;
  window.given.onmessage = ({ data }) => {
    bytes += data.byteLength;
    if (bytes < part) return;
    bytes -= part;
    window.whole.push(window.clock());
  };
}

/** Milliseconds of each part over the link, between two browsers. */
async function measured() {
  compile();
  const { site, dispose } = await far(delayMs, loss);
  const gateway = await Gateway.start({ host: HOST, inputs: [] });
  const peer = await gateway.json("/api/v1/peer");
  const pages = await serve(undefined, HOST);
  const flags = ["--disable-features=WebRtcHideLocalIpsWithMdns", `--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE ${HOST}, EXCLUDE ${HERE}, EXCLUDE ${THERE}`];
  const browsers = await Promise.all([launch({ mesh: true, flags }), launch({ mesh: true, flags, site })]);
  const ours = [];
  for (const browser of browsers) ours.push(await Ours.start(await open(browser, pages.url, { init: connections })));
  for (const one of ours) await one.reach(peer.addresses, peer.stun);
  const [giver, taker] = ours;
  await giver.dialViewer(taker.id);
  await giver.connected(taker.id);
  await giver.unrelayed(taker.id);
  await taker.page.evaluate(take, PART);
  await giver.page.evaluate(() => {
    window.given = window.beside();
  });
  await giver.page.waitForFunction(() => window.given.readyState === "open");
  const gave = await giver.page.evaluate(give, [count, PART, MESSAGE, everyMs]);
  await taker.page.waitForFunction((all) => window.whole.length === all, count, { timeout: 30_000 });
  const whole = await taker.page.evaluate(() => window.whole);
  for (const browser of browsers) await browser.close();
  pages.close();
  await gateway.dispose();
  await dispose();
  return gave.map((at, part) => whole[part] - at);
}

/** Of a hop in the simulator, over the same link: `{name: [milliseconds]}`. */
async function simulated() {
  const link = [delayMs, loss, PART, everyMs, 20 * count].map(String);
  const command = ["run", "--quiet", "--release", "-p", "meshlive-protocol", "--features", "sim", "--example", "hop", "--", ...link];
  const { code, stdout, stderr } = await run("cargo", command, { timeoutMs: 900_000 });
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

const of = (times) => SHARES.map((share) => times[Math.min(times.length - 1, Math.ceil(times.length * share) - 1)]);
const sorted = (times) => [...times].sort((a, b) => a - b);
const [models, real] = [await simulated(), sorted(await measured())];
console.error(`${real.length} parts; ${real.map((ms) => Math.round(ms)).join(" ")}`);
const shown = (times) => of(times).map((ms) => `${Math.round(ms)}`).join(" / ");
const where = `a hop over ${delayMs} ms each way and ${loss * 100} % loss, a part each ${everyMs} ms: ms, 50 / 90 / 99 / 99.9 %`;
report(`${where}: Chromium`, shown(real), "", true);
for (const [name, times] of Object.entries(models)) {
  const ratios = of(sorted(times)).map((ms, at) => ms / of(real)[at]);
  // One part in a thousand tells too little to be held to: of 500 parts it is the slowest.
  const near = ratios.slice(0, 3).every((ratio) => Math.abs(ratio - 1) <= WITHIN);
  report(`the simulator's, "${name}"`, `${shown(sorted(times))} = ${ratios.map((ratio) => ratio.toFixed(2)).join(" / ")} ×`, name === "chromium" ? "0.8 to 1.2 ×" : "", name !== "chromium" || near);
}
process.exit(0);
