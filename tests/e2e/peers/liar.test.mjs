// A liar among two honest viewers: nothing of it is shown or passed on, it is dropped for good, nobody stalls.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { sleep, until } from "../gateway.mjs";
import { Liar, compile, serve } from "./liar.mjs";
import { mediaOf, noteMedia } from "./media.mjs";
import { browse, during, gatewayOfFilm, playlist, sum, told, watchAll } from "./viewers.mjs";

let browsers;
let gateway;
let pages;
let stream;
let honest;
before(async () => {
  compile();
  [gateway, pages, ...browsers] = await Promise.all([gatewayOfFilm(), serve(), browse(), browse()]);
  [{ stream }] = (await gateway.json("/api/v1/streams")).streams;
  honest = await watchAll([browsers[0]], gateway, Array(2).fill({ sharing: true, init: noteMedia }));
  await until("the honest feed each other", async () => {
    const all = await Promise.all(honest.map((viewer) => viewer.stats()));
    return all.every(({ partsFromPeers }) => partsFromPeers > 5);
  }, { timeoutMs: 30_000 });
});
after(async () => {
  for (const viewer of honest ?? []) await viewer.finish();
  await Promise.all((browsers ?? []).map((browser) => browser.close()));
  await gateway?.dispose();
  pages?.close();
});

/** The names of all media that the playlist names now. */
async function published() {
  const real = new Set();
  for (const { url } of (await playlist(gateway)).segments) {
    for (const name of mediaOf(Buffer.from(await (await fetch(url)).arrayBuffer()))) real.add(name);
  }
  return real;
}

/** A peer comes, lies as soon as it is linked to both, and is watched for a while: `{seen, linked, now, given}`. */
async function lied(lies) {
  for (const { page } of honest) await page.evaluate(() => window.mediaShown.splice(0));
  let was;
  const seen = await during(gateway, honest, async () => {
    const liar = await Liar.start(browsers[1], pages, gateway, stream);
    try {
      await until("it was linked to both", async () => {
        was = await liar.seen();
        assert.equal(was.linked.length, 2, JSON.stringify(was));
        return true;
      }, { timeoutMs: 30_000 });
      await liar.lie(lies);
      await sleep(6000);
      was = await liar.seen();
    } finally {
      await liar.finish();
    }
  });
  const shown = (await Promise.all(honest.map(({ page }) => page.evaluate(() => window.mediaShown)))).flat();
  await sleep(2500); // the segment that was open is closed
  const real = await published();
  assert.ok(shown.length > 40, `only ${shown.length} parts were shown`);
  assert.deepEqual(shown.filter((name) => !real.has(name)), [], "shown, but never published");
  for (const { stalls, playedMs } of seen.viewers) {
    assert.equal(stalls, 0, told(seen));
    assert.ok(playedMs > 5000, told(seen));
  }
  return { seen, ...was };
}

for (const [lies, what, rejected] of [
  ["altered", "alters the bytes of parts", 1],
  ["unknown", "sends parts that no window has", 0],
  ["forged", "changes announcements", 0],
  ["foreign", "signs announcements with a key of its own", 0],
  ["altered unknown forged foreign replayed", "does all of that", 1],
]) {
  test(`a peer that ${what} is dropped for good within one bad part`, async () => {
    const { seen, now, linked } = await lied(lies);
    assert.deepEqual(now, [], `${linked} were linked, and are again`);
    for (const viewer of seen.viewers) {
      assert.ok(viewer.partsRejected <= rejected, told(seen));
      assert.equal(viewer.peers.filter(({ kind }) => kind === "viewer").length, 1, told(seen));
    }
    // They feed each other as before.
    assert.ok(sum(seen.viewers.map(({ fromPeers }) => fromPeers)) > 0.5, told(seen));
  });
}

test("announcements told again and again change nothing", async () => {
  const { seen } = await lied("replayed");
  for (const viewer of seen.viewers) assert.equal(viewer.partsRejected, 0, told(seen));
});

test("the same peer is welcome while it says the truth", async () => {
  const { seen, now, given } = await lied("");
  assert.equal(now.length, 2, "linked to both");
  assert.ok(given > 0, "it gave nothing");
  for (const viewer of seen.viewers) assert.equal(viewer.partsRejected, 0, told(seen));
});
