// A viewer's link narrows to 300 kbit/s and widens again: the rendition follows each way, by P2P before and after.
// How soon, and with how many stalls, is measured in tests/bench: 10 s and none are not reached yet.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { film, sleep, until } from "../gateway.mjs";
import { Site } from "./net.mjs";
import { Viewer, browse, during, gatewayOfFilm, playlist, seconds, told } from "./viewers.mjs";

const NARROW_KBIT = 300;
const WITHIN_MS = 45_000;
/** Of a steady 550 kbit/s and sound: what the narrow link cannot carry, ever. */
const RATE = ["-b:v", "550k", "-minrate", "550k", "-maxrate", "550k", "-bufsize", "550k", "-x264-params", "nal-hrd=cbr", "-b:a", "64k", "-preset", "veryfast"];
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
  const path = await film(join(folder, "film.mp4"), { seconds: 90, size: "480x270", gop: 60, extra: RATE });
  site = await Site.make();
  [gateway, ...browsers] = await Promise.all([gatewayOfFilm({ inputs: [`${path}?loop=1&name=film`], flags: ["--config", config] }), browse({ site }), browse()]);
});
after(async () => {
  await Promise.all((browsers ?? []).map((browser) => browser.close()));
  await gateway?.dispose();
  await site?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

test("down and up with the link, by P2P before and after", async (context) => {
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
  await sleep(4000);
  await change("the largest rendition again", {}, (now) => now === top);
  await sleep(3000);
  const after_ = await during(gateway, [viewer, neighbour], seconds(8), which);
  const { stalls } = await viewer.stats();
  await viewer.finish();
  await neighbour.finish();
  assert.equal(after_.viewers[0].state, "playing", told(after_));
  assert.ok(after_.viewers[0].fromPeers > 0.2, `not by P2P after\n${told(after_)}`);
  const took = history.filter(([ms], at) => at + 1 === history.length || history[at + 1][0] < ms).map(([ms]) => ms);
  context.diagnostic(`down in ${took[0]} ms, up in ${took[1]} ms, ${stalls} stalls`);
});
