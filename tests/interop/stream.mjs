// One gateway with what foreign software is to play: the test card, and what it is to be judged by.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CARD, Gateway, until } from "../e2e/gateway.mjs";

/** A gateway whose test card has been on air for some segments. */
export async function onAir(options = { inputs: [`${CARD}&rate=30`] }, alias = "testcard") {
  const gateway = await Gateway.start(options);
  await until("four whole segments", async () => {
    const { text } = await media(gateway, (await renditions(gateway, alias))[0]);
    return (text.match(/#EXTINF/g) ?? []).length >= 4;
  }, { timeoutMs: 40_000 });
  return gateway;
}

/** The media playlists that the multivariant playlist names, as absolute URLs. */
export async function renditions(gateway, alias = "testcard") {
  const url = `${gateway.url}/live/${alias}/index.m3u8`;
  const text = await (await fetch(url)).text();
  const lines = text.split("\n").map((line) => line.trim());
  return lines.filter((line) => line && !line.startsWith("#")).map((uri) => new URL(uri, url).href);
}

/** A media playlist: its text, status, and how long the answer took. */
export async function media(_gateway, url, query = {}) {
  const asked = new URL(url);
  for (const [key, value] of Object.entries(query)) asked.searchParams.set(key, value);
  const since = performance.now();
  const answer = await fetch(asked, { signal: AbortSignal.timeout(15_000) });
  return { status: answer.status, text: await answer.text(), ms: performance.now() - since, url };
}

/** Whole segments and init segments of a playlist, downloaded to a folder: `{folder, init, segments}` as paths. */
export async function download(url) {
  const { text } = await media(null, url);
  const folder = mkdtempSync(join(tmpdir(), "meshlive-segments-"));
  mkdirSync(folder, { recursive: true });
  const save = async (uri, name) => {
    const answer = await fetch(new URL(uri, url));
    if (answer.status !== 200) throw new Error(`${uri}: ${answer.status}`);
    const path = join(folder, name);
    writeFileSync(path, Buffer.from(await answer.arrayBuffer()));
    return path;
  };
  const lines = text.split("\n").map((line) => line.trim());
  const init = await save(/#EXT-X-MAP:.*?URI="([^"]+)"/.exec(text)[1], "init.mp4");
  const segments = [];
  for (const uri of lines.filter((line) => line && !line.startsWith("#"))) {
    segments.push(await save(uri, `${String(segments.length).padStart(4, "0")}.m4s`));
  }
  return { folder, init, segments, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
