// A viewer's link narrows to 300 kbit/s and widens again: the rendition follows each way, by P2P before and after.
// The same viewer over HTTP alone is measured beside it: a change costs P2P no more of the picture.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { film, sleep, until } from "../gateway.mjs";
import { Site } from "./net.mjs";
import { Viewer, browse, during, gatewayOfFilm, playlist, seconds, told } from "./viewers.mjs";

const NARROW_KBIT = 300;
const WITHIN_MS = 20_000;
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

/** One viewer on the link as it narrows and widens again: how long each change took, and what stood meanwhile. */
async function narrowed(viewer) {
  const { rendition: top } = await viewer.stats();
  const before = await viewer.stats();
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
    return Date.now() - since;
  };
  const downMs = await change("a smaller rendition", { up: NARROW_KBIT, down: NARROW_KBIT }, (now) => now !== top);
  await sleep(4000);
  const upMs = await change("the largest rendition again", {}, (now) => now === top);
  await sleep(3000);
  const after = await viewer.stats();
  return { downMs, upMs, stalls: after.stalls - before.stalls, stallMs: Math.round(after.stallMs - before.stallMs) };
}

test("down and up with the link, by P2P before and after, and no worse than over HTTP alone", async (context) => {
  const neighbour = await Viewer.watch(browsers[1], gateway);
  const viewer = await Viewer.watch(browsers[0], gateway);
  await sleep(6000);
  const { rendition: top } = await viewer.stats();
  const which = { rendition: top };
  assert.ok((await playlist(gateway, which)).segments.length > 0, `no playlist of ${top}`);
  const wide = await during(gateway, [viewer, neighbour], seconds(8), which);
  // The twin: on a link that stays wide nothing changes.
  assert.equal((await viewer.stats()).rendition, top, told(wide));
  assert.ok(wide.viewers[0].fromPeers > 0.2, `not by P2P before\n${told(wide)}`);

  const shared = await narrowed(viewer);
  const later = await during(gateway, [viewer, neighbour], seconds(8), which);
  await viewer.finish();
  await neighbour.finish();
  assert.equal(later.viewers[0].state, "playing", told(later));
  assert.ok(later.viewers[0].fromPeers > 0.2, `not by P2P after\n${told(later)}`);

  const single = await Viewer.watch(browsers[0], gateway, { sharing: false });
  await sleep(6000);
  const alone = await narrowed(single);
  await single.finish();
  const both = `by P2P ${JSON.stringify(shared)}, over HTTP alone ${JSON.stringify(alone)}`;
  context.diagnostic(both);
  assert.ok(shared.stalls <= alone.stalls + 1 && shared.stallMs <= alone.stallMs + 500, both);
});
