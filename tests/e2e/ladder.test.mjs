// Three renditions of one stream: a switch shows no gap, no overlap and no stall.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch, open, playing, stats, watch } from "./browser.mjs";
import { CARD, Gateway, sleep } from "./gateway.mjs";

const LADDER = `
[[ingest.ladder]]
id = "240p"
height = 240
bit_rate = 300000

[[ingest.ladder]]
id = "144p"
height = 144
bit_rate = 150000
`;

let browser;
let gateway;
const folder = mkdtempSync(join(tmpdir(), "meshlive-ladder-"));
before(async () => {
  const config = join(folder, "config.toml");
  writeFileSync(config, LADDER);
  const inputs = [`${CARD}&rate=15`];
  [browser, gateway] = await Promise.all([launch(), Gateway.start({ inputs, flags: ["--config", config] })]);
});
after(async () => {
  await browser?.close();
  await gateway?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

test("all renditions have the same segments, parts and dates", async () => {
  await sleep(6000);
  const multivariant = await gateway.text("/live/testcard/index.m3u8");
  const names = multivariant.split("\n").filter((line) => line.trim() && !line.startsWith("#"));
  assert.ok(names.length >= 3, multivariant);
  const texts = await Promise.all(names.map((name) => gateway.text(`/live/testcard/${name}?_HLS_msn=2&_HLS_part=1`)));
  const dates = texts.map((text) => [...text.matchAll(/#EXT-X-PROGRAM-DATE-TIME:(\S+)/g)].map(([, date]) => date));
  for (const other of dates.slice(1)) assert.deepEqual(other.slice(0, 2), dates[0].slice(0, 2));
});

test("switching among three renditions shows no gap, no overlap and no stall", async () => {
  const page = await open(browser, `${gateway.url}/s/testcard`);
  await playing(page);
  await sleep(3000);
  const before_ = await stats(page);
  const watching = watch(page, 24);
  for (const id of ["144p", "240p", before_.rendition]) {
    await page.evaluate((rendition) => {
      const select = document.querySelector("mesh-player").shadowRoot.querySelector("select.quality");
      const option = [...select.options].find(({ value }) => value === rendition);
      if (!option) throw new Error(`no ${rendition} among ${[...select.options].map((o) => o.value)}`);
      select.value = option.value;
      select.dispatchEvent(new Event("change"));
    }, id);
    await sleep(8000);
  }
  const frames = (await watching).filter(({ strip }) => strip !== null);
  const sizes = new Set(frames.map(({ width }) => width));
  assert.ok(sizes.size >= 3, `widths seen: ${[...sizes]}`);
  const after_ = await stats(page);
  assert.equal(after_.stalls, before_.stalls, "a switch stalled");
  for (let i = 1; i < frames.length; i += 1) {
    const [before_, now] = [frames[i - 1], frames[i]];
    const step = now.strip - before_.strip;
    assert.ok(step >= 0, `the picture went back by ${-step} ms at a switch`);
    // Frames may be left out by a slow machine; the picture's clock and the media's own must still agree.
    const gap = step - (now.mediaMs - before_.mediaMs);
    assert.ok(Math.abs(gap) < 100, `${before_.rendition} → ${now.rendition}: ${gap} ms of the picture are missing or twice`);
  }
  await page.finish();
});
