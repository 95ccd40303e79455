// A viewer's gateway is killed: the viewer goes on at another one that has the stream, and back when its own is steady again,
// and nothing is seen of it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, open, playing, stats } from "./browser.mjs";
import { Gateway, sleep, until } from "./gateway.mjs";

const CARD = "testcard?size=320x240&rate=30&bit_rate=300000&name=cam";
/** What a browser logs of a gateway that is gone. */
const allow = [/ERR_|WebSocket|Failed to (load|fetch)/];

let browser;
let origin;
let stream;
before(async () => {
  [browser, origin] = await Promise.all([launch(), Gateway.start({ inputs: [CARD] })]);
  ({ stream } = await origin.json("/api/v1/streams/cam"));
  // What a mirror begins with is a window, not the first part alone.
  await sleep(6000);
});
after(async () => {
  await browser?.close();
  await origin?.dispose();
});

/** A mirror of the origin that has the window and knows where else the stream is; gone after the test, however that ended. */
async function mirror(context) {
  const port = origin.listeners["p2p-tcp"].split(":").pop();
  const follow = `${stream}@/ip4/127.0.0.1/tcp/${port}?name=copy`;
  const gateway = await Gateway.start({ inputs: [], flags: ["--follow", follow] });
  context.after(async () => {
    gateway.child.kill("SIGCONT");
    await gateway.dispose();
  });
  await until("the mirror is live and knows its origin", async () => {
    const { live, gateways } = await gateway.json("/api/v1/streams/copy");
    return live && gateways.includes(origin.url);
  });
  await sleep(8000);
  return gateway;
}

/** A page that plays the stream at this gateway. */
async function viewer(context, gateway, init) {
  const page = await open(browser, `${gateway.url}/s/copy`, { allow, init });
  context.after(() => page.context().close());
  await playing(page);
  return page;
}

/** What a viewer of this gateway sees while that is killed. */
async function moves(context, gateway, { init, end } = {}) {
  const page = await viewer(context, gateway, init);
  await sleep(6000);
  const before = await stats(page);
  if (end) await end();
  else await gateway.kill();
  await sleep(8000);
  const after = await stats(page);
  const { gateways } = await page.evaluate(() => document.querySelector("mesh-player").view.object);
  await page.finish();
  const seen = {
    stalls: after.stalls - before.stalls,
    stallMs: Math.round(after.stallMs - before.stallMs),
    playedMs: Math.round(after.playedMs - before.playedMs),
    latencyMs: Math.round(after.latencyMs),
    state: after.state,
    peers: after.peers.map(({ kind }) => kind),
    gateways,
  };
  context.diagnostic(JSON.stringify(seen));
  return { ...seen, text: JSON.stringify({ before, after, seen }) };
}

test("a viewer of a mirror that is killed goes on at the origin without a stall", async (context) => {
  const gateway = await mirror(context);
  const seen = await moves(context, gateway);
  assert.equal(seen.state, "playing", seen.text);
  assert.ok(seen.stallMs < 300 && seen.playedMs > 7400, seen.text);
  assert.ok(seen.latencyMs < 3000, seen.text);
  assert.deepEqual(seen.peers, ["gateway"], `its peer joins there: ${seen.text}`);
  assert.ok(!seen.gateways.includes(gateway.url), "the origin tells of no mirror that is gone");
});

/** A viewer whose gateway is killed and started again with these flags, after so long: at which it is then, and what it saw. */
async function goesHome(context, gateway, { flags, waitMs }) {
  const page = await open(browser, "about:blank", { allow });
  context.after(() => page.context().close());
  const sockets = new Set();
  page.on("websocket", (socket) => {
    if (!socket.url().endsWith("/announcements")) return;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await page.goto(`${gateway.url}/s/copy`);
  await playing(page);
  const at = () => [...sockets].map((socket) => new URL(socket.url()).host).join(" ");
  const home = new URL(gateway.url).host;
  assert.equal(at(), home);
  await sleep(6000);
  const before = await stats(page);
  await gateway.kill();
  await sleep(5000);
  assert.equal(at(), new URL(origin.url).host, "it is at the origin");
  gateway.options.flags = flags ?? gateway.options.flags;
  await gateway.start();
  const since = Date.now();
  while (at() !== home && Date.now() - since < waitMs) await sleep(100);
  const tookMs = Date.now() - since;
  await sleep(5000);
  const after = await stats(page);
  const seen = {
    isHome: at() === home,
    tookMs,
    stallMs: Math.round(after.stallMs - before.stallMs),
    state: after.state,
    peers: after.peers.map(({ kind }) => kind),
  };
  await page.finish();
  return seen;
}

test("a viewer goes back to its gateway when that is there again and steady, without a stall", async (context) => {
  const gateway = await mirror(context);
  const seen = await goesHome(context, gateway, { waitMs: 25_000 });
  const text = JSON.stringify(seen);
  context.diagnostic(text);
  assert.ok(seen.isHome && seen.tookMs > 7_000 && seen.state === "playing" && seen.stallMs < 300, text);
  assert.deepEqual(seen.peers, ["gateway"], `its peer has left the other: ${text}`);
});

test("the twin: to one that comes back and hears nothing new it does not go", async (context) => {
  const gateway = await mirror(context);
  const flags = ["--follow", `${stream}@/ip4/127.0.0.1/tcp/9?name=copy`];
  const seen = await goesHome(context, gateway, { flags, waitMs: 20_000 });
  const { live } = await gateway.json("/api/v1/streams/copy");
  const text = JSON.stringify({ ...seen, live });
  context.diagnostic(text);
  assert.ok(!live && !seen.isHome && seen.state === "playing" && seen.stallMs < 300, text);
});

test("a viewer of a mirror that stands still goes on at the origin", async (context) => {
  const gateway = await mirror(context);
  const seen = await moves(context, gateway, { end: () => gateway.child.kill("SIGSTOP") });
  assert.equal(seen.state, "playing", seen.text);
  assert.ok(seen.stallMs < 2000 && seen.playedMs > 5500, seen.text);
});

/**
 * A viewer of a mirror whose origin is killed, and that stands still then, too; how long after the other mirror has news the
 * picture goes on, ms.
 */
async function returns(context, init) {
  const port = origin.listeners["p2p-tcp"].split(":").pop();
  origin.options.flags = ["--p2p-tcp", `127.0.0.1:${port}`];
  const [gateway, other] = [await mirror(context), await mirror(context)];
  const live = async () => (await other.json("/api/v1/streams/copy")).live;
  await until("they know each other", async () => {
    const { gateways } = await gateway.json("/api/v1/streams/copy");
    return gateways.includes(other.url);
  });
  const page = await viewer(context, gateway, init);
  const playhead = () => page.evaluate(() => document.querySelector("mesh-player").video.currentTime);
  await sleep(2000);
  // Nobody had asked this mirror for a quarter of a minute: the window that it tells is as old, and announcements are behind it.
  const { latencyMs } = await stats(page);
  assert.ok(latencyMs < 3000, `${latencyMs} ms behind live`);
  context.after(async () => {
    if (origin.child.signalCode) await origin.start();
  });
  await origin.kill();
  await sleep(4000);
  const stands = await playhead();
  // Both have said by then that they know no more.
  await sleep(7000);
  assert.equal((await stats(page)).state, "stalled");
  assert.equal(await playhead(), stands, "the picture stands since the buffer ran out");
  gateway.child.kill("SIGSTOP");
  await origin.start();
  await until("the other has news", live, { everyMs: 20 });
  const since = Date.now();
  await until("the page plays", async () => (await playhead()) > stands + 0.05, { everyMs: 20, timeoutMs: 40_000 });
  const tookMs = Date.now() - since;
  context.diagnostic(`plays ${tookMs} ms after the other gateway had news`);
  await page.finish();
  return tookMs;
}

test("a viewer whose gateway does not come back to a silent stream sees it at another as soon as it is there", async (context) => {
  const tookMs = await returns(context);
  assert.ok(tookMs < 1500, `${tookMs} ms`);
});

test("the twin: whoever is not told of others stands still", async (context) => {
  const gateway = await mirror(context);
  const init = () => {
    const parse = JSON.parse;
    JSON.parse = (...all) => {
      const parsed = parse(...all);
      if (parsed?.gateways) parsed.gateways = [];
      return parsed;
    };
  };
  const seen = await moves(context, gateway, { init });
  assert.ok(seen.stalls > 0 && seen.playedMs < 4000 && seen.state === "stalled", seen.text);
});
