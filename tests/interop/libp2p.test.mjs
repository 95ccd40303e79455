// js-libp2p, a foreign peer in Chromium: it and our peer reach each other by /webrtc through our gateway's relay, and it
// reaches the gateway by WebSocket and by /webrtc-direct.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { launch, open } from "../e2e/browser.mjs";
import { Gateway, until } from "../e2e/gateway.mjs";
import { compile, Ours, serve } from "./trial.mjs";

const MIB = 1 << 20;

let gateway;
let peer; // what the gateway says of itself as a peer
let site;
const browsers = [];

/** A page in a browser process of its own. */
async function page() {
  const browser = await launch();
  browsers.push(browser);
  return open(browser, site.url);
}

/** Our peer, reachable at the gateway: its handle and its WebRTC address. */
async function ours() {
  const handle = await Ours.start(await page());
  return { handle, address: await handle.reach(peer.addresses, peer.stun) };
}

/** A page with js-libp2p in it. */
async function theirs() {
  const handle = await page();
  await handle.evaluate(() => import("/page.js"));
  return handle;
}

const websocket = () => peer.addresses.find((address) => address.includes("/ws/p2p/"));

before(async () => {
  compile();
  gateway = await Gateway.start({ inputs: [] });
  peer = await (await fetch(`${gateway.url}/api/v1/peer`)).json();
  site = await serve(fileURLToPath(new URL("libp2p.page.mjs", import.meta.url)));
});
after(async () => {
  for (const browser of browsers) await browser.close();
  site?.close();
  await gateway?.dispose();
});

test("js-libp2p dials our peer by /webrtc through our gateway: identify, ping, 1 MiB there and back with half close", async () => {
  const { handle, address } = await ours();
  const foreign = await theirs();
  await foreign.evaluate((relay) => window.start(relay), websocket());
  const seen = await foreign.evaluate((to) => window.dial(to), address);
  assert.deepEqual([seen.direct, seen.limited], [true, false]);
  assert.match(seen.agent, /^meshlive-viewer\//);
  assert.ok(seen.protocols.includes("/ipfs/ping/1.0.0"), `${seen.protocols}`);
  assert.ok(seen.rtt < 2000, `ping took ${seen.rtt} ms`);
  const refused = await foreign.evaluate((to) => window.identifyRelayed(to), handle.id);
  assert.equal(refused, "UnsupportedProtocolError", "nothing but signalling runs over the relay");
  assert.equal(await foreign.evaluate(([to, bytes]) => window.echo(to, bytes), [handle.id, MIB]), true);
  await foreign.finish();
  await handle.page.finish();
});

test("our peer dials js-libp2p by /webrtc through our gateway: identify, ping, 1 MiB there and back; then the circuit is closed", async () => {
  const foreign = await theirs();
  const address = await foreign.evaluate((relay) => window.start(relay), websocket());
  const id = address.split("/").pop();
  const { handle } = await ours();
  await handle.dialViewer(id);
  const seen = await handle.connected(id);
  assert.match(seen.agent, /^js-libp2p\//);
  assert.ok(seen.ms < 2000, `ping took ${seen.ms} ms`);
  const { agent } = await foreign.evaluate((from) => window.identified(from), handle.id);
  assert.match(agent, /^meshlive-viewer\//);
  await handle.echo(id, MIB);
  await handle.unrelayed(id);
  // That it is closed goes its own way over the relay.
  await until("the circuit is closed there, too", async () => {
    const left = await foreign.evaluate(() => window.connections());
    return left.every((one) => !one.includes("p2p-circuit") || one.includes("/webrtc"));
  }, { timeoutMs: 5000 });
  await handle.echo(id, 10); // the direct connection does not need it
  await foreign.finish();
  await handle.page.finish();
});

test("js-libp2p reaches the gateway by WebSocket and by /webrtc-direct", async () => {
  for (const [name, pattern] of [["WebSocket", /\/ws\/p2p\//], ["/webrtc-direct", /\/webrtc-direct\/certhash\//]]) {
    const address = peer.addresses.find((one) => pattern.test(one));
    assert.ok(address, `the gateway has an address for ${name}: ${peer.addresses}`);
    const foreign = await theirs();
    await foreign.evaluate(() => window.start());
    const seen = await foreign.evaluate((to) => window.dial(to), address);
    assert.match(seen.agent, /^meshlive\//, name);
    assert.ok(seen.rtt < 2000, `ping by ${name} took ${seen.rtt} ms`);
    await foreign.finish();
  }
});

test("a /webrtc-direct address with another certificate's hash, and a WebSocket address with another peer's id, lead nowhere", async () => {
  const direct = peer.addresses.find((one) => one.includes("/webrtc-direct/"));
  const forged = direct.replace(/(certhash\/uEi)(.)/, (_, head, first) => head + (first === "A" ? "B" : "A"));
  const other = websocket().replace(/p2p\/.*/, "p2p/12D3KooWNpDk9w6WrEEcdsEH1y47W71S36yFjw4sd3j7omzgCSMS");
  for (const address of [forged, other]) {
    const handle = await Ours.start(await page());
    await handle.page.evaluate((to) => window.trial.dial(to), address);
    const seen = await handle.until("a refusal", ({ errors }) => errors.length > 0, 30_000);
    assert.deepEqual(seen.connections, []);
    await handle.page.finish();
  }
});

test("our peer reaches the gateway by /webrtc-direct alone, and another viewer from there", async () => {
  const direct = peer.addresses.filter((one) => one.includes("/webrtc-direct/"));
  const [first, second] = [await Ours.start(await page()), await Ours.start(await page())];
  await first.reach(direct, peer.stun);
  await second.reach(direct, peer.stun);
  await first.dialViewer(second.id);
  assert.match((await first.connected(second.id)).agent, /^meshlive-viewer\//);
  await first.echo(second.id, MIB);
  await second.echo(first.id, MIB);
  await first.page.finish();
  await second.page.finish();
});
