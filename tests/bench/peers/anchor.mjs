// The other side: p2p-media-loader with hls.js, FFmpeg's HLS and its own tracker, in a network namespace of its own.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { start, until } from "../../e2e/gateway.mjs";
import { Encoder } from "./encoder.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));

export class Anchor {
  /** Pages ask for other things than ours; what the console says of lost requests is the other's own. */
  allow = [/.*/];

  /** @param {{site: object, kbit: number, picture: string, row: {segment: number, sync?: number, highDemand?: number}}} options */
  static async start({ site, kbit, picture, row }) {
    const side = new Anchor();
    side.folder = mkdtempSync(join(tmpdir(), "meshlive-anchor-"));
    const bundle = join(side.folder, "page.bundle.js");
    // Its own build for browsers, in which the parts of Node that its tracker's client wants are replaced.
    const alias = { "p2p-media-loader-core": join(here, "node_modules/p2p-media-loader-core/dist/p2p-media-loader-core.es.min.js") };
    await build({ entryPoints: [join(here, "anchor-page.js")], outfile: bundle, bundle: true, minify: true, format: "iife", alias });
    const hls = ["-f", "hls", "-hls_time", row.segment, "-hls_list_size", 12, "-hls_delete_threshold", 12];
    hls.push("-hls_flags", "delete_segments+independent_segments+temp_file", "-hls_segment_type", "fmp4", join(side.folder, "index.m3u8"));
    side.encoder = new Encoder({ kbit, picture, output: hls.map(String) });
    const [program, ...args] = [...site.enter, process.execPath, join(here, "origin.mjs"), site.address, side.folder, bundle, JSON.stringify(row)];
    side.origin = start(program, args, { cwd: here });
    const port = await until("the origin listens", () => /^ready (\d+)/m.exec(side.origin.output)?.[1]);
    side.url = `http://${site.address}:${port}`;
    side.page = `${side.url}/`;
    // So many segments that a page finds its place behind the live edge at once.
    const wanted = (row.sync ?? 3) + 2;
    await until("segments to begin with", async () => {
      side.encoder.alive();
      const text = await (await fetch(`${side.url}/live/index.m3u8`)).text();
      return text.split("\n").filter((line) => line.endsWith(".m4s")).length >= wanted;
    }, { timeoutMs: 60_000 });
    return side;
  }

  /** Bytes sent so far: `{media, rest}`; `rest`: playlists and answers, without what HTTP puts before them. */
  async sent() {
    const { part, playlist, page, other } = await (await fetch(`${this.url}/counters`)).json();
    return { media: part, rest: playlist + page + other };
  }

  /** What a viewer took and gave so far, media bytes. */
  stats(page) {
    return page.evaluate(() => window.counted);
  }

  async stop() {
    this.encoder.alive();
    await this.encoder.stop();
    await this.origin.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
