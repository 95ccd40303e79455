// For tests: the protocol's golden stream and the real verifying peer, as node loads it.

import { readFileSync } from "node:fs";
import init from "../generated/meshlive_wasm_peer.js";

/** The name of the stream that signed the golden bytes. */
export const NAME = "k51qzi5uqu5dm0t4vbwri4lkg76q03b4x9tsvekgvbu4zli6454ff7w8wdosa4";

const golden = new URL("../../protocol/tests/golden/", import.meta.url);

export const text = (name: string): string => readFileSync(new URL(name, golden), "utf8");

export const bytes = (name: string): Uint8Array =>
  new Uint8Array(Buffer.from(text(`${name}.hex`).replace(/\s/g, ""), "hex"));

/** The bytes of a golden part; the first rendition is 0. */
export const part = (rendition: number, msn: number, index: number): Uint8Array =>
  new TextEncoder().encode(`part ${rendition} ${msn} ${index}`);

export async function loadPeerFromDisk(): Promise<void> {
  const wasm = new URL("../generated/meshlive_wasm_peer_bg.wasm", import.meta.url);
  await init({ module_or_path: readFileSync(wasm) });
}
