// Our peer's network alone (wasm-peer's feature `trial`), built apart from the page and served on this host.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { until } from "../e2e/gateway.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = process.env.MESHLIVE_TRIAL ?? `${root}target/trial`;

/** Compiles it; minutes the first time. With MESHLIVE_TRIAL what stands there is taken as it is. */
export function compile() {
  if (process.env.MESHLIVE_TRIAL) return;
  const target = "wasm32-unknown-unknown";
  const run = (command, ...args) => execFileSync(command, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  run("cargo", "build", "-q", "--locked", "-p", "meshlive-wasm-peer", "--features", "trial", "--target", target, "--profile", "wasm");
  const wasm = `${process.env.CARGO_TARGET_DIR ?? "target"}/${target}/wasm/meshlive_wasm_peer.wasm`;
  run("wasm-bindgen", "--target", "web", "--out-dir", folder, wasm);
}

const TYPES = { js: "text/javascript", wasm: "application/wasm" };

/** An empty page with our peer, and with the bundle of `page` if one is named, at `/` of a host's address: `{url, close}`. */
export async function serve(page, host = "127.0.0.1") {
  const bundle = page && (await build({ entryPoints: [page], bundle: true, format: "esm", target: "es2022", write: false }));
  const server = createServer((request, answer) => {
    const file = request.url.split("?")[0].slice(1);
    const type = TYPES[file.split(".").pop()];
    answer.setHeader("content-type", type ?? "text/html");
    if (!type) answer.end('<!doctype html><html lang="en"><title>a peer</title><link rel="icon" href="data:,">');
    else answer.end(file === "page.js" ? bundle.outputFiles[0].contents : readFileSync(`${folder}/${file}`));
  });
  await new Promise((resolve) => server.listen(0, host, resolve));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://${host}:${server.address().port}/`, close };
}

/** Our peer in a page: `id`, and what it has seen. */
export class Ours {
  static async start(page) {
    const ours = new Ours();
    ours.page = page;
    ours.id = await page.evaluate(async () => {
      const module = await import("/meshlive_wasm_peer.js");
      await module.default();
      window.trial = new module.Trial();
      return window.trial.id();
    });
    return ours;
  }

  /** Keeps connected to the gateway at these addresses, and waits until it is reachable there: its address. */
  async reach(addresses, stun = []) {
    await this.page.evaluate(([all, urls]) => window.trial.reach(all, urls), [addresses, stun]);
    const seen = await this.until("a reservation", ({ listens }) => listens.some((one) => one.includes("/webrtc/")));
    return seen.listens.find((one) => one.includes("/webrtc/"));
  }

  seen() {
    return this.page.evaluate(() => JSON.parse(window.trial.seen()));
  }

  /** What was seen once `holds` for it. */
  async until(what, holds, timeoutMs = 15_000) {
    let seen;
    try {
      await until(what, async () => holds((seen = await this.seen())), { timeoutMs, everyMs: 20 });
    } catch (error) {
      throw new Error(`${error.message}: ${JSON.stringify(seen)}`);
    }
    return seen;
  }

  /** Waits for the direct connection to this peer, and its identify and ping: `{agent, ms}`. */
  async connected(peer) {
    const { agents, pings } = await this.until(`a direct connection to ${peer}`, ({ connections, agents, pings }) =>
      connections.some(([id, address]) => id === peer && !/p2p-circuit(?!\/webrtc)/.test(address)) && agents[peer] && pings[peer] !== undefined,
    );
    return { agent: agents[peer], ms: pings[peer] };
  }

  /** Waits until no connection to this peer goes through the relay. */
  unrelayed(peer) {
    return this.until("the circuit's end", ({ connections }) => !connections.some(([id, address]) => id === peer && /p2p-circuit(?!\/webrtc)/.test(address)));
  }

  dialViewer(peer) {
    return this.page.evaluate((id) => window.trial.dialViewer(id), peer);
  }

  /** Ends all connections to this peer. */
  hangUp(peer) {
    return this.page.evaluate((id) => window.trial.hangUp(id), peer);
  }

  /** Milliseconds of a whole echo. */
  echo(peer, bytes) {
    return this.page.evaluate(([id, length]) => window.trial.echo(id, length), [peer, bytes]);
  }
}
