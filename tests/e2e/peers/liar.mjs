// A liar: our own peer (wasm-peer's feature `liar`), built apart from the page, in a page with nothing else.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { open } from "../browser.mjs";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const folder = process.env.MESHLIVE_LIAR ?? `${root}target/liar`;

/** Compiles it; minutes the first time. With MESHLIVE_LIAR what stands there is taken as it is. */
export function compile() {
  if (process.env.MESHLIVE_LIAR) return;
  const target = "wasm32-unknown-unknown";
  const run = (command, ...args) => execFileSync(command, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  run("cargo", "build", "-q", "--locked", "-p", "meshlive-wasm-peer", "--features", "liar", "--target", target, "--profile", "wasm");
  const wasm = `${process.env.CARGO_TARGET_DIR ?? "target"}/${target}/wasm/meshlive_wasm_peer.wasm`;
  run("wasm-bindgen", "--target", "web", "--out-dir", folder, wasm);
}

const TYPES = { js: "text/javascript", wasm: "application/wasm" };

/** Serves the empty page that loads it: `{url, close}`. */
export async function serve() {
  const server = createServer((request, answer) => {
    const file = request.url.slice(1);
    const type = TYPES[file.split(".").pop()];
    answer.setHeader("content-type", type ?? "text/html");
    answer.end(type ? readFileSync(`${folder}/${file}`) : '<!doctype html><html lang="en"><title>a liar</title><link rel="icon" href="data:,">');
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${server.address().port}/`, close };
}

/** A viewer of a stream that follows and shares it all, and lies. */
export class Liar {
  /** A viewer like others, so far. */
  static async start(browser, pages, gateway, stream) {
    const liar = new Liar();
    liar.page = await open(browser, pages.url);
    const peer = await gateway.text("/api/v1/peer");
    await liar.page.evaluate(inPage, { stream, peer, origin: gateway.url });
    return liar;
  }

  /** From now on it lies: some of "altered unknown forged foreign replayed"; "" is the truth. */
  lie(lies) {
    return this.page.evaluate((words) => window.liar.lie(words), lies);
  }

  /** `{linked: [every viewer that it was ever linked to], now: [those of now], given}`. */
  seen() {
    return this.page.evaluate(() => window.liar.seen());
  }

  finish() {
    return this.page.finish();
  }
}

async function inPage({ stream, peer: network, origin }) {
  const module = await import("/meshlive_wasm_peer.js");
  await module.default();
  const linked = new Set();
  const stats = () => JSON.parse(peer.stats());
  const viewers = () => stats().peers.filter(({ kind }) => kind === "viewer").map(({ id }) => id);
  const host = {
    async fetch(key, rendition, msn, part) {
      const since = performance.now();
      const answer = await fetch(`${origin}/live/${stream}/${rendition}/${msn}.${part}.m4s`).catch(() => undefined);
      const bytes = answer?.ok ? new Uint8Array(await answer.arrayBuffer()) : undefined;
      peer.fetched(key, bytes, performance.now() - since);
    },
    abort() {},
    ready() {},
    gone() {},
    news() {
      const renditions = JSON.parse(peer.renditions()).map(({ id }) => id);
      if (renditions.join() === selected) return;
      selected = renditions.join();
      peer.select(renditions);
    },
  };
  let selected = "";
  const peer = new module.Peer(stream, host);
  peer.upload(2_500_000);
  peer.connect(network);
  setInterval(() => {
    for (const id of viewers()) linked.add(id);
  }, 10);
  window.liar = { lie: (lies) => peer.lie(lies), seen: () => ({ linked: [...linked], now: viewers(), given: stats().bytesUploaded }) };
}
