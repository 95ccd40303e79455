// What the panel shows of two viewers that feed each other, and what its switch does to them.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { screenshot } from "../browser.mjs";
import { sleep, until } from "../gateway.mjs";
import { browse, gatewayOfFilm, Viewer, watchAll } from "./viewers.mjs";

let browsers;
let gateway;
before(async () => {
  [gateway, ...browsers] = await Promise.all([gatewayOfFilm(), browse(), browse()]);
});
after(async () => {
  await Promise.all((browsers ?? []).map((browser) => browser.close()));
  await gateway?.dispose();
});

/** Counts the connections to others that a page makes. */
function count() {
  window.connections = 0;
  const Real = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Real {
    constructor(...args) {
      super(...args);
      window.connections += 1;
    }
  };
}

const connections = (viewer) => viewer.page.evaluate(() => window.connections);
const viewersOf = async (viewer) => (await viewer.stats()).peers.filter(({ kind }) => kind === "viewer");
const panel = ({ page }) => page.getByRole("dialog", { name: "What flows" });
const toggle = ({ page }) => page.getByRole("switch", { name: "Share with other viewers" });

test("both panels show both directions, and the switch ends and begins it", async () => {
  const viewers = await watchAll(browsers, gateway, [{ init: count }, { init: count }]);
  const [one, other] = viewers;
  for (const { page } of viewers) {
    await page.setViewportSize({ width: 1280, height: 800 });
    await page.keyboard.press("p");
  }
  const feeds = (viewer) => panel(viewer).getByText(/kbit\/s from 1 viewer, \d+ kbit\/s from the gateway; \d+ kbit\/s passed on/);
  for (const viewer of viewers) await feeds(viewer).waitFor({ timeout: 20_000 });
  for (const viewer of viewers) {
    const arrows = await panel(viewer).evaluate((dialog) =>
      ["fill-viewers", "fill-given", "fill-gateway"].map((name) => dialog.querySelectorAll(`.who path.${name}`).length),
    );
    assert.deepEqual(arrows, [1, 1, 1]);
    assert.ok((await connections(viewer)) > 0, "nobody was connected: the count below would say nothing");
  }
  await sleep(20_000);
  await screenshot(one.page, "panel-two-viewers");

  await toggle(one).uncheck();
  await until("nobody is linked", async () => (await viewersOf(one)).length + (await viewersOf(other)).length === 0);
  const before_ = [await one.stats(), await connections(one)];
  await sleep(8_000);
  const off = await one.stats();
  assert.deepEqual(
    [off.bytesFromPeers, off.bytesUploaded, await connections(one)],
    [before_[0].bytesFromPeers, before_[0].bytesUploaded, before_[1]],
    "with sharing off nothing is taken, given or connected",
  );
  assert.ok(off.bytesFromGateway > before_[0].bytesFromGateway, "it plays from the gateway");
  assert.deepEqual([off.state, off.stalls], ["playing", before_[0].stalls]);
  await panel(one).getByText(/^Sharing is off/).waitFor();
  await panel(other).getByText(/^No other viewer is linked yet/).waitFor();

  await toggle(one).check();
  for (const viewer of viewers) await feeds(viewer).waitFor({ timeout: 20_000 });
  for (const viewer of viewers) await viewer.finish();
});

test("a viewer that came with sharing off makes no connection to anyone, although another one shares", async () => {
  const sharing = await Viewer.watch(browsers[0], gateway, { init: count });
  const alone = await Viewer.watch(browsers[1], gateway, { sharing: false, init: count });
  await sleep(8_000);
  assert.equal(await connections(alone), 0);
  const { peers, bytesFromPeers, bytesUploaded } = await alone.stats();
  assert.deepEqual([peers, bytesFromPeers, bytesUploaded], [[], 0, 0]);
  assert.deepEqual(await viewersOf(sharing), []);
  await alone.finish();
  await sharing.finish();
});
