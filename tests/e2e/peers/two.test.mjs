// Two viewers in two browsers, opened by the host's address: each part comes from the gateway once, and they feed each other.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { sleep } from "../gateway.mjs";
import { HOST } from "./net.mjs";
import { between, browse, during, gatewayOfFilm, sum, told, watchAll } from "./viewers.mjs";

let browsers;
let gateway;
before(async () => {
  [gateway, ...browsers] = await Promise.all([gatewayOfFilm(), browse(), browse()]);
});
after(async () => {
  await Promise.all((browsers ?? []).map((browser) => browser.close()));
  await gateway?.dispose();
});

/** Two viewers, from ten seconds after joining. */
async function two(sharing) {
  const viewers = await watchAll(browsers, gateway, [{ sharing }, { sharing }]);
  await sleep(10_000);
  let object;
  const seen = await during(gateway, viewers, async () => {
    await sleep(20_000);
    // Now: what this test itself fetches afterwards, to count, is no offload.
    object = JSON.parse(await gateway.text("/api/v1/streams/film"));
  });
  const secure = await Promise.all(viewers.map(({ page }) => page.evaluate(() => [isSecureContext, location.hostname])));
  for (const viewer of viewers) await viewer.finish();
  assert.deepEqual(secure, Array(2).fill([false, HOST]), "opened by plain http from the host's address");
  // Stalls are the benchmark's to count, on a machine that does nothing else; here it must play on.
  for (const { playedMs } of seen.viewers) assert.ok(playedMs > 18_000, told(seen));
  // What the viewers say is what the gateway says.
  between(sum(seen.viewers.map(({ fromGateway }) => fromGateway)) / seen.gateway, 0.9, 1.1, "viewers' count of the gateway's bytes, against its own", seen);
  return { ...seen, offload: object.offload };
}

test("two viewers take one copy from the gateway together, and each gives the other half of it", async () => {
  const seen = await two(true);
  between(seen.gateway, 0.9, 1.1, "copies from the gateway", seen);
  between(seen.offload, 0.4, 0.56, "offload in the API", seen);
  for (const [at, viewer] of seen.viewers.entries()) {
    between(viewer.uploaded, 0.4, 0.6, "copies uploaded by each", seen);
    between(viewer.fromPeers / seen.viewers[1 - at].uploaded, 0.9, 1.1, "what one got from peers, against what the other gave", seen);
    assert.equal(viewer.partsRejected, 0, told(seen));
  }
});

test("with sharing off in both, each takes its own copy from the gateway and nothing from the other", async () => {
  const seen = await two(false);
  between(seen.gateway, 1.9, 2.1, "copies from the gateway", seen);
  between(seen.offload, 0, 0.05, "offload in the API", seen);
  for (const viewer of seen.viewers) {
    assert.deepEqual([viewer.fromPeers, viewer.uploaded], [0, 0], told(seen));
    between(viewer.fromGateway, 0.9, 1.1, "copies that each took", seen);
  }
});
