// /webrtc-direct alone, in Chromium and in Firefox: browsers reach the gateway, get the stream over it, and are forgotten.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Ours, compile, serve } from "../../interop/trial.mjs";
import { sleep, until } from "../gateway.mjs";
import { HOST } from "./net.mjs";
import { Tab, chromium, firefox } from "./tabs.mjs";
import { between, during, gatewayOfFilm, seconds, told } from "./viewers.mjs";

const DIRECT = /\/webrtc-direct\/certhash\//;
const BROWSERS = { Chromium: chromium, Firefox: firefox };

let gateway;
let site;
let peer;
const browsers = [];
before(async () => {
  compile();
  gateway = await gatewayOfFilm();
  peer = await gateway.json("/api/v1/peer");
  site = await serve();
});
after(async () => {
  await Promise.all(browsers.map((browser) => browser.close().catch(() => {})));
  site?.close();
  await gateway?.dispose();
});

async function started(name) {
  const browser = await BROWSERS[name]();
  browsers.push(browser);
  return browser;
}

/** Connections that the gateway has at the moment, by the ways that match. */
async function connections(ways = /./) {
  const lines = (await gateway.text("/metrics")).split("\n").filter((line) => line.startsWith("meshlive_p2p_connections{") && ways.test(line));
  return lines.reduce((sum, line) => sum + Number(line.split(" ").pop()), 0);
}

const none = (timeoutMs) => until("no connection is left", async () => (await connections()) === 0, { timeoutMs, everyMs: 200 });

for (const name of Object.keys(BROWSERS)) {
  test(`${name} connects to the gateway; one that hangs up is forgotten at once, one that vanishes after its silence`, async () => {
    const browser = await started(name);
    const id = peer.peer;
    const addresses = peer.addresses.filter((one) => DIRECT.test(one) && one.includes(HOST));
    assert.equal(addresses.length, 1, `${peer.addresses}`);
    const page = await browser.newPage();
    await page.goto(site.url);
    const ours = await Ours.start(page);
    await ours.reach(addresses, peer.stun);
    const { agent, ms } = await ours.connected(id);
    assert.match(agent, /^meshlive\//);
    assert.ok(ms < 2000, `ping took ${ms} ms`);
    assert.equal(await connections(/webrtc/i), 1);
    assert.equal(await connections(), 1);
    await ours.hangUp(id);
    await none(5000);
    await ours.until("it comes again", ({ connections: now }) => now.some(([one]) => one === id), 30_000);
    await until("its connection is counted", async () => (await connections()) === 1);
    await page.close(); // a page that is closed says nothing over UDP
    await none(60_000);
  });
}

/** In the page: of the gateway's addresses it learns only those over /webrtc-direct, or none of these. */
function learning(wanted) {
  const real = window.fetch;
  window.fetch = async (...asked) => {
    const answer = await real(...asked);
    if (!String(asked[0]?.url ?? asked[0]).includes("/api/v1/peer")) return answer;
    const said = await answer.json();
    said.addresses = said.addresses.filter((one) => wanted && one.includes("/webrtc-direct/"));
    return new Response(JSON.stringify(said), { headers: { "content-type": "application/json" } });
  };
}

/** A viewer in each browser. */
async function watching(wanted) {
  const tabs = [];
  for (const name of Object.keys(BROWSERS)) tabs.push(await Tab.open(await started(name), gateway, { init: [learning, wanted] }));
  await sleep(10_000);
  const held = await connections(/webrtc/i);
  const seen = await during(gateway, tabs, seconds(15));
  for (const tab of tabs) await tab.finish();
  await none(60_000);
  return { seen, held };
}

test("two viewers that know the gateway over /webrtc-direct alone get the stream over it, and feed each other", async () => {
  const { seen, held } = await watching(true);
  assert.equal(held, 2);
  between(seen.p2p, 0.8, 1.4, "copies that the gateway pushed", seen);
  for (const viewer of seen.viewers) {
    between(viewer.uploaded, 0.1, 0.8, "copies uploaded by each", seen);
    assert.equal(viewer.partsRejected, 0, told(seen));
  }
});

test("viewers that know no address of it get nothing but HTTP", async () => {
  const { seen, held } = await watching(false);
  assert.equal(held, 0);
  assert.equal(seen.p2p, 0, told(seen));
  for (const viewer of seen.viewers) assert.equal(viewer.fromPeers, 0, told(seen));
});
