// A viewer's link narrows to 300 kbit/s and widens again: the rendition follows within 10 s each way, without a stall.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { sleep, until } from "../gateway.mjs";
import { Site } from "./net.mjs";
import { Viewer, browse, during, gatewayOfFilm, playlist, seconds, told } from "./viewers.mjs";

const NARROW_KBIT = 300;
const WITHIN_MS = 10_000;
const CARD = "testcard?size=480x270&rate=15&bit_rate=600000&name=film";
const LADDER = `
[[ingest.ladder]]
id = "180p"
height = 180
bit_rate = 250000

[[ingest.ladder]]
id = "120p"
height = 120
bit_rate = 100000
`;

let browsers;
let gateway;
let site;
const folder = mkdtempSync(join(tmpdir(), "meshlive-narrow-"));
before(async () => {
  const config = join(folder, "config.toml");
  writeFileSync(config, LADDER);
  site = await Site.make();
  [gateway, ...browsers] = await Promise.all([gatewayOfFilm({ inputs: [CARD], flags: ["--config", config] }), browse({ site }), browse()]);
});
after(async () => {
  await Promise.all((browsers ?? []).map((browser) => browser.close()));
  await gateway?.dispose();
  await site?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

test("down and up within ten seconds each, no stall, by P2P before and after", async () => {
  const neighbour = await Viewer.watch(browsers[1], gateway);
  const viewer = await Viewer.watch(browsers[0], gateway);
  await sleep(6000);
  const rendition = async () => (await viewer.stats()).rendition;
  const top = await rendition();
  const which = { rendition: top };
  assert.ok((await playlist(gateway, which)).segments.length > 0, `no playlist of ${top}`);
  const wide = await during(gateway, [viewer, neighbour], seconds(8), which);
  // The twin: on a link that stays wide nothing changes.
  assert.equal(await rendition(), top, told(wide));
  assert.ok(wide.viewers[0].fromPeers > 0.2, `not by P2P before\n${told(wide)}`);

  const history = [];
  const change = async (what, link, check) => {
    await site.width(link);
    const since = Date.now();
    await until(what, async () => {
      const { rendition: now, latencyMs, stalls } = await viewer.stats();
      history.push([Date.now() - since, now, Math.round(latencyMs), stalls]);
      return check(now);
    }, { timeoutMs: WITHIN_MS }).catch((error) => {
      throw new Error(`${error.message}: ${JSON.stringify(history)}`);
    });
  };
  await change("a smaller rendition", { up: NARROW_KBIT, down: NARROW_KBIT }, (now) => now !== top);
  await sleep(8000);
  const small = await viewer.stats();
  assert.notEqual(small.rendition, top, "on the narrow link");
  await change("the largest rendition again", {}, (now) => now === top);
  await sleep(3000);
  const after_ = await during(gateway, [viewer, neighbour], seconds(8), which);
  const { stalls } = await viewer.stats();
  await viewer.finish();
  await neighbour.finish();
  assert.equal(after_.viewers[0].state, "playing", told(after_));
  assert.ok(after_.viewers[0].fromPeers > 0.2, `not by P2P after\n${told(after_)}`);
  assert.equal(stalls, 0, `stalled: ${JSON.stringify(history)}`);
});
