// Nothing leaves the mesh, and the gateway listens where the README says and nowhere else.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { Gateway, sleep, until } from "../gateway.mjs";
import { Capture, HOST, listeners } from "./net.mjs";
import { browse, during, gatewayOfFilm, seconds, told, watchAll } from "./viewers.mjs";

const readme = readFileSync(new URL("../../../README.md", import.meta.url), "utf8");

let browsers;
before(async () => {
  browsers = await Promise.all([browse(), browse()]);
});
const captures = [];
after(() => Promise.all([...(browsers ?? []).map((browser) => browser.close()), ...captures.map((capture) => capture.end())]));

async function capturing() {
  const capture = await Capture.begin();
  captures.push(capture);
  return capture;
}

test("a gateway and two viewers that feed each other send not one packet to anybody else", async () => {
  const capture = await capturing();
  const gateway = await gatewayOfFilm();
  const viewers = await watchAll(browsers, gateway, [{}, {}]);
  await sleep(5000);
  const seen = await during(gateway, viewers, seconds(10));
  const hosts = viewers.flatMap(({ page }) => [...page.hosts]);
  for (const viewer of viewers) await viewer.finish();
  await gateway.dispose();
  assert.deepEqual(await capture.end(), []);
  assert.deepEqual([...new Set(hosts)], [new URL(gateway.url).host], "pages ask their gateway only");
  for (const { fromPeers } of seen.viewers) assert.ok(fromPeers > 0.1, `nothing was there to leave\n${told(seen)}`);
});

test("the capture sees a page that asks a public STUN server for its address", async () => {
  const capture = await capturing();
  const page = await browsers[0].newPage();
  // Kept where the page can reach it: nothing may take it away before it has asked.
  const ask = () =>
    page.evaluate(async () => {
      self.connection?.close();
      self.connection = new RTCPeerConnection({ iceServers: [{ urls: "stun:198.51.100.7:3478" }] });
      self.connection.createDataChannel("");
      await self.connection.setLocalDescription();
    });
  const asked = () => capture.packets.some((line) => line.includes("198.51.100.7.3478"));
  await until("a packet", async () => asked() || (await ask()), { everyMs: 1000 });
  await page.close();
  assert.ok((await capture.end()).length > 0);
});

test("nothing listens that the README does not name", async () => {
  // Every port at its default: nobody else is on this network.
  const gateway = new Gateway({ host: HOST });
  gateway.ports = { http: 8080, rtmp: 1935 };
  await gateway.start();
  await sleep(2000);
  const found = await listeners(gateway.child.pid);
  const own = found.map(({ protocol, port }) => `${port}/${protocol}`);
  await gateway.dispose();
  assert.ok(own.includes("8080/tcp") && own.includes("1935/tcp"), JSON.stringify(found));
  const named = new Set([...readme.matchAll(/\b(\d{2,5})\/(tcp|udp)\b/gi)].map(([, port, protocol]) => `${port}/${protocol.toLowerCase()}`));
  // The one exception the README makes: multicast DNS asks from a free port, one on each address.
  const asking = new Set();
  const isAsking = ({ protocol, address }) => protocol === "udp" && own.includes("5353/udp") && asking.size < asking.add(address).size;
  const unnamed = found.filter((one) => !named.has(`${one.port}/${one.protocol}`) && !isAsking(one));
  assert.match(readme, /multicast DNS, which asks from a free udp port of each address/);
  assert.deepEqual(unnamed, [], `the README names ${[...named].join(", ")}; this gateway listens on ${JSON.stringify(found)}`);
});
