// Our side: a gateway in a network namespace of its own, FFmpeg publishing to it over RTMP from there.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Gateway, binary, out, sleep, until } from "../../e2e/gateway.mjs";
import { sent } from "../../e2e/peers/viewers.mjs";
import { Encoder } from "./encoder.mjs";

const ALIAS = "film";

export class Ours {
  allow = [];

  /** @param {{site: object, kbit: number, picture: string, row: {sharing?: boolean}}} options */
  static async start({ site, kbit, picture, row }) {
    const side = new Ours();
    side.sharing = row.sharing !== false;
    side.gateway = await Gateway.start({ host: site.address, inputs: [], program: [...site.enter, binary()] });
    const { stdout, stderr, code } = await side.gateway.command("keys", "new", ALIAS);
    if (code !== 0) throw new Error(stderr);
    await sleep(1200); // a running gateway sees new keys within a second
    const secret = /publish secret\s+(\S+)/.exec(stdout)[1];
    const output = ["-f", "flv", `rtmp://127.0.0.1:${side.gateway.ports.rtmp}/live/${secret}`];
    side.encoder = new Encoder({ kbit, picture, output, enter: site.enter });
    side.page = `${side.gateway.url}/s/${ALIAS}`;
    await until("the stream is live", async () => {
      side.encoder.alive();
      const { streams } = await side.gateway.json("/api/v1/streams");
      return streams.find(({ alias, live }) => alias === ALIAS && live);
    }, { timeoutMs: 30_000 });
    await sleep(6000); // some segments to begin with
    return side;
  }

  get storage() {
    const value = this.sharing ? "on" : "off";
    return { cookies: [], origins: [{ origin: this.gateway.url, localStorage: [{ name: "meshlive-sharing", value }] }] };
  }

  /** Bytes sent so far: `{media, rest, kinds}`, over HTTP and to peers together. */
  async sent() {
    const { all, rest, kinds } = await sent(this.gateway);
    return { media: all, rest, kinds };
  }

  async stats(page) {
    const one = await page.evaluate(() => JSON.parse(JSON.stringify(document.querySelector("mesh-player").stats)));
    const parts = one.partsFromPeers + one.partsFromGateway;
    const mean = parts > 0 ? (one.bytesFromPeers + one.bytesFromGateway) / parts : 0;
    const { bytesFromPeers, bytesFromGateway, bytesUploaded, partsDuplicate } = one;
    return { fromPeers: bytesFromPeers, fromOrigin: bytesFromGateway, uploaded: bytesUploaded, duplicates: partsDuplicate * mean, ownStalls: one.stalls, ownLatencyMs: one.latencyMs };
  }

  async stop() {
    this.encoder.alive();
    await this.encoder.stop();
    await this.gateway.dispose();
    writeFileSync(join(out, "comparison-gateway.log"), this.gateway.log);
  }
}
