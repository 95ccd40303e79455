// A viewer in Firefox and one in Chromium feed each other.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { sleep } from "../gateway.mjs";
import { Tab, chromium, firefox } from "./tabs.mjs";
import { between, during, gatewayOfFilm, seconds, told } from "./viewers.mjs";

let browsers;
let gateway;
before(async () => {
  [gateway, ...browsers] = await Promise.all([gatewayOfFilm(), firefox(), chromium()]);
});
after(async () => {
  await Promise.all((browsers ?? []).map((browser) => browser.close()));
  await gateway?.dispose();
});

/** One viewer in each browser. */
async function pair(sharing) {
  const tabs = [];
  for (const browser of browsers) tabs.push(await Tab.open(browser, gateway, { sharing }));
  await sleep(10_000);
  const seen = await during(gateway, tabs, seconds(15));
  for (const tab of tabs) await tab.finish();
  return seen;
}

test("Firefox and Chromium feed each other", async () => {
  const seen = await pair(true);
  between(seen.gateway, 0.9, 1.25, "copies from the gateway", seen);
  for (const [at, viewer] of seen.viewers.entries()) {
    between(viewer.uploaded, 0.25, 0.75, "copies uploaded by each", seen);
    between(viewer.fromPeers / seen.viewers[1 - at].uploaded, 0.9, 1.1, "what one got, against what the other gave", seen);
    assert.equal(viewer.partsRejected, 0, told(seen));
  }
});

test("with sharing off in both, nothing goes from one to the other", async () => {
  const seen = await pair(false);
  between(seen.gateway, 1.9, 2.1, "copies from the gateway", seen);
  for (const viewer of seen.viewers) assert.deepEqual([viewer.fromPeers, viewer.uploaded], [0, 0], told(seen));
});
