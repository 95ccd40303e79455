// One data channel between two viewers' browsers: `node tests/bench/channel.mjs`
// Our streams, with their frames and back-pressure, against a bare RTCDataChannel: the same echo, in turns, in the same pages.

import { launch, median, open } from "../e2e/browser.mjs";
import { Gateway } from "../e2e/gateway.mjs";
import { compile, Ours, serve } from "../interop/trial.mjs";
import { report } from "./process.mjs";

const BYTES = 16 << 20;
const ROUNDS = 7;

/** In the page: a connection with one channel, whose messages the answering side sends back. */
function bare() {
  const HIGH = 1 << 20;
  const gathered = (pc) =>
    new Promise((resolve) => {
      pc.onicegatheringstatechange = () => pc.iceGatheringState === "complete" && resolve(pc.localDescription.sdp);
    });
  /** Sends what `queue` gives while the channel has room. */
  const pump = (channel, queue) => {
    channel.bufferedAmountLowThreshold = HIGH / 2;
    const go = () => {
      while (queue.length > 0 && channel.bufferedAmount < HIGH) channel.send(queue.shift());
    };
    channel.onbufferedamountlow = go;
    return go;
  };
  window.bareOffer = async (urls) => {
    const pc = new RTCPeerConnection({ iceServers: [{ urls }] });
    const channel = pc.createDataChannel("echo");
    channel.binaryType = "arraybuffer";
    window.bare = { pc, channel, open: new Promise((resolve) => { channel.onopen = resolve; }) };
    const done = gathered(pc);
    await pc.setLocalDescription(await pc.createOffer());
    return done;
  };
  window.bareAnswer = async (urls, sdp) => {
    const pc = new RTCPeerConnection({ iceServers: [{ urls }] });
    window.bare = { pc };
    pc.ondatachannel = ({ channel }) => {
      channel.binaryType = "arraybuffer";
      const queue = [];
      const go = pump(channel, queue);
      channel.onmessage = ({ data }) => {
        queue.push(data);
        go();
      };
    };
    await pc.setRemoteDescription({ type: "offer", sdp });
    const done = gathered(pc);
    await pc.setLocalDescription(await pc.createAnswer());
    return done;
  };
  /** Milliseconds of a whole echo. */
  window.bareEcho = async (bytes) => {
    const { channel, open } = window.bare;
    await open;
    const since = performance.now();
    const queue = Array.from({ length: bytes / 16_384 }, (_, at) => new Uint8Array(16_384).fill(at).buffer);
    let left = bytes;
    const back = new Promise((resolve) => {
      channel.onmessage = ({ data }) => {
        left -= data.byteLength;
        if (left === 0) resolve();
      };
    });
    pump(channel, queue)();
    await back;
    return performance.now() - since;
  };
}

compile();
const gateway = await Gateway.start({ inputs: [] });
const peer = await (await fetch(`${gateway.url}/api/v1/peer`)).json();
const site = await serve();
const browsers = [await launch(), await launch()];
const [one, other] = await Promise.all(browsers.map(async (browser) => Ours.start(await open(browser, site.url, { init: bare }))));
for (const ours of [one, other]) await ours.reach(peer.addresses, peer.stun);
await one.dialViewer(other.id);
await one.connected(other.id);
const offer = await one.page.evaluate((urls) => window.bareOffer(urls), peer.stun);
const answer = await other.page.evaluate(([urls, sdp]) => window.bareAnswer(urls, sdp), [peer.stun, offer]);
await one.page.evaluate((sdp) => window.bare.pc.setRemoteDescription({ type: "answer", sdp }), answer);
const [ours, theirs] = [[], []];
for (let round = 0; round < ROUNDS; round += 1) {
  ours.push(await one.echo(other.id, BYTES));
  theirs.push(await one.page.evaluate((bytes) => window.bareEcho(bytes), BYTES));
}
for (const browser of browsers) await browser.close();
site.close();
await gateway.dispose();
const rate = (times) => (2 * BYTES) / 1000 / median(times);
const ratio = rate(ours) / rate(theirs);
report(`echo of 16 MiB over one channel, against a bare RTCDataChannel, median of ${ROUNDS}`, `${rate(ours).toFixed(1)} MB/s : ${rate(theirs).toFixed(1)} MB/s = ${ratio.toFixed(2)}`, "≥ 0.8", ratio >= 0.8);
process.exit(0);
