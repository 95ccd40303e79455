// A stream is followed by its name alone, and an origin that returns at another address is found there: by multicast DNS.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Gateway, binary, sleep, until } from "../gateway.mjs";
import { Site } from "./net.mjs";

const CARD = "testcard?name=cam&size=320x180&rate=15&bit_rate=200000";
const folder = mkdtempSync(join(tmpdir(), "meshlive-follow-"));

let sites;
let origin;
let stream;
before(async () => {
  writeFileSync(join(folder, "alone.toml"), "[p2p]\nmdns = false\n");
  sites = [await Site.make(), await Site.make(), await Site.make(), await Site.make()];
  origin = await at(sites[0], { inputs: [CARD], data: join(folder, "origin") });
  ({ stream } = await origin.json("/api/v1/streams/cam"));
});
after(async () => {
  await origin?.dispose();
  for (const site of sites ?? []) await site.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const at = (site, options) => Gateway.start({ host: site.address, program: [...site.enter, binary()], ...options });
const live = (gateway) => async () => (await gateway.json(`/api/v1/streams/${stream}`)).live;

test("by its name alone, also when its origin is at another address afterwards", async (context) => {
  const began = Date.now();
  const mirror = await at(sites[1], { inputs: [], flags: ["--follow", stream] });
  const deaf = await at(sites[2], { inputs: [], flags: ["--follow", stream, "--config", join(folder, "alone.toml")] });
  await until("the mirror is live", live(mirror), { timeoutMs: 40_000 });
  context.diagnostic(`found after ${Date.now() - began} ms`);
  const { latest } = await head(mirror);
  await origin.kill();
  await until("the mirror is silent", async () => !(await live(mirror)()));

  const returned = Date.now();
  origin = await at(sites[3], { inputs: [CARD], data: join(folder, "origin") });
  await until("the mirror is live again", live(mirror), { timeoutMs: 60_000 });
  context.diagnostic(`found again after ${Date.now() - returned} ms`);
  await until("its numbers go on", async () => (await head(mirror)).latest > latest + 3);
  // The twin: who does not listen to the link finds nobody.
  await sleep(1000);
  assert.equal(await live(deaf)(), false);
  await mirror.dispose();
  await deaf.dispose();
});

/** The newest segment that it announces. */
async function head(gateway) {
  const text = await gateway.text(`/live/${stream}/source.m3u8`);
  const first = Number(/#EXT-X-MEDIA-SEQUENCE:(\d+)/.exec(text)[1]);
  return { latest: first + [...text.matchAll(/#EXTINF/g)].length };
}
