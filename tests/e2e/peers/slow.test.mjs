// The only neighbour has a link of 20 kB/s, less than half of the stream: the viewer takes the rest from the gateway in time.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { sleep } from "../gateway.mjs";
import { Site } from "./net.mjs";
import { Viewer, between, browse, during, gatewayOfFilm, seconds, told } from "./viewers.mjs";

const SLOW_KBIT = 160;

let browsers;
let gateway;
let site;
let neighbour;
before(async () => {
  site = await Site.make({ up: SLOW_KBIT });
  [gateway, ...browsers] = await Promise.all([gatewayOfFilm(), browse({ site }), browse()]);
  neighbour = await Viewer.watch(browsers[0], gateway);
  await sleep(4000);
});
after(async () => {
  await neighbour?.finish();
  await Promise.all((browsers ?? []).map((browser) => browser.close()));
  await gateway?.dispose();
  await site?.dispose();
});

/** A viewer that joins now, and what flows from its sixth second on; stalls are those of its whole visit. */
async function joins() {
  const viewer = await Viewer.watch(browsers[1], gateway);
  await sleep(6000);
  const seen = await during(gateway, [viewer, neighbour], seconds(15));
  const { stalls } = await viewer.stats();
  await viewer.finish();
  const [{ fromPeers, fromGateway }] = seen.viewers;
  assert.equal(stalls, 0, told(seen));
  between(fromPeers + fromGateway, 0.9, 1.1, "copies received", seen);
  return { seen, fromPeers, fromGateway };
}

test("beside a slow neighbour a viewer does not stall: what the neighbour cannot give comes from the gateway", async () => {
  const { seen, fromPeers, fromGateway } = await joins();
  assert.ok(seen.viewers[0].peers.some(({ kind }) => kind === "viewer"), `the neighbour was never linked\n${told(seen)}`);
  assert.ok(fromGateway > 0.5 && fromPeers < 0.45, told(seen));
});

test("the same neighbour on a wide link feeds it", async () => {
  await site.width({ up: 0 });
  await sleep(3000);
  const { seen, fromPeers } = await joins();
  assert.ok(fromPeers > 0.35, told(seen));
});
