// What a page takes to join its network, step by step, over links of a given delay: `tests/e2e/peers/mesh node tests/bench/joining.mjs [--delays 0,10,40] [--rounds N] [--standing far]`
// A newcomer behind `link.py`; gateway and the one viewer that is there on the host, or, with `--standing far`, that viewer
// beside the newcomer. Each step is told as what it takes without a delay, and how many round trips of the link it goes.

import { parseArgs } from "node:util";
import { launch, median } from "../e2e/browser.mjs";
import { sleep } from "../e2e/gateway.mjs";
import { HOST } from "../e2e/peers/net.mjs";
import { Viewer, gatewayOfFilm } from "../e2e/peers/viewers.mjs";
import { far, HERE, THERE } from "./far.mjs";
import { report } from "./process.mjs";

const OPTIONS = { delays: { type: "string", default: "0,10,40" }, rounds: { type: "string", default: "7" }, standing: { type: "string", default: "here" } };
const { values } = parseArgs({ options: OPTIONS });
const delays = values.delays.split(",").map(Number);
/** From the moment in which the page opens its peer's socket. */
const STEPS = {
  gateway: "the gateway is linked",
  signalled: "signalling with a neighbour begins",
  connected: "ICE and DTLS with it stand",
  channel: "its first channel is open",
  part: "the first part from it is there",
};

/** Runs in the page: when each step was reached, ms since the page was opened. */
function noteSteps() {
  const steps = {};
  window.joining = steps;
  const note = (name) => {
    steps[name] ??= performance.now();
  };
  const { WebSocket, RTCPeerConnection } = window;
  window.WebSocket = class extends WebSocket {
    constructor(url, ...rest) {
      super(url, ...rest);
      if (!/\/live\//.test(url)) note("asked");
    }
  };
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...args) {
      super(...args);
      this.addEventListener("connectionstatechange", () => this.connectionState === "connected" && note("connected"));
    }
    createOffer(...args) {
      note("signalled");
      return super.createOffer(...args);
    }
    createDataChannel(...args) {
      const channel = super.createDataChannel(...args);
      channel.addEventListener("open", () => note("channel"));
      return channel;
    }
  };
  const look = setInterval(() => {
    const now = document.querySelector("mesh-player")?.stats;
    if (!now) return;
    if (now.firstFrameMs || now.playedMs > 0) note("frame");
    if (now.peers.some(({ kind }) => kind === "gateway")) note("gateway");
    if (!now.partsFromPeers) return;
    note("part");
    steps.fetched = now.bytesFromGateway;
    clearInterval(look);
  }, 10);
}

/** Milliseconds of each step over a link of this delay, medians. */
async function measured(delayMs, rounds) {
  const { site, dispose } = await far(delayMs, 0);
  const gateway = await gatewayOfFilm({ host: HOST });
  const flags = ["--disable-features=WebRtcHideLocalIpsWithMdns", `--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE ${HOST}, EXCLUDE ${HERE}, EXCLUDE ${THERE}`];
  const beside = values.standing === "far" ? { site } : {};
  const browsers = await Promise.all([launch({ mesh: true, flags, ...beside }), launch({ mesh: true, flags, site })]);
  const standing = await Viewer.watch(browsers[0], gateway);
  await sleep(3000);
  const seen = [];
  for (let round = 0; round <= rounds; round += 1) {
    const viewer = await Viewer.open(browsers[1], gateway, { init: noteSteps });
    await viewer.page.waitForFunction(() => window.joining.part, null, { timeout: 20_000 });
    const steps = await viewer.page.evaluate(() => window.joining);
    if (round > 0) seen.push(steps); // nothing is cached the first time
    await viewer.finish();
    await sleep(1000);
  }
  await standing.finish();
  for (const browser of browsers) await browser.close();
  await gateway.dispose();
  await dispose();
  const since = (name) => median(seen.map((steps) => steps[name] - steps.asked));
  const shown = median(seen.map(({ part, frame }) => part - frame));
  console.error(`${delayMs} ms: first part ${Math.round(shown)} ms behind the first frame, page to socket ${Math.round(median(seen.map(({ asked }) => asked)))}, frame ${Math.round(median(seen.map(({ frame }) => frame)))}, fetched ${median(seen.map(({ fetched }) => fetched))}; ${seen.map((steps) => Object.keys(STEPS).map((name) => Math.round(steps[name] - steps.asked)).join("/")).join(" ")}`);
  return Object.fromEntries(Object.keys(STEPS).map((name) => [name, since(name)]));
}

const times = [];
for (const delay of delays) times.push(await measured(delay, Number(values.rounds)));
const [none, most] = [times[0], times.at(-1)];
for (const [name, what] of Object.entries(STEPS)) {
  const trips = (most[name] - none[name]) / (2 * (delays.at(-1) - delays[0]));
  report(`joining, until ${what}, ${delays.join(" / ")} ms each way`, `${times.map((one) => Math.round(one[name])).join(" / ")} ms = ${Math.round(none[name])} ms + ${trips.toFixed(1)} round trips`, "", true);
}
process.exit(0);
