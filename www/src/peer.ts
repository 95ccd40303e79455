// The typed edge to the WebAssembly peer: what is verified, and waiting for what is not there yet.

import wasmFile from "peer.wasm";
import init, { Peer } from "../generated/meshlive_wasm_peer.js";
import { automatic, plays, withVariants } from "./quality.ts";
import { type Position, reached, type Target } from "./url.ts";

let loading: Promise<unknown> | undefined;

/** Fetches and compiles the peer once for all players of the page; a failed try does not spoil the next. */
export async function loadPeer(): Promise<void> {
  loading ??= init({ module_or_path: new URL(wasmFile, import.meta.url) });
  try {
    await loading;
  } catch (error) {
    loading = undefined;
    throw error;
  }
}

/** The name of some bytes, and how many they are. */
export interface Located {
  cid: string;
  size: number;
}

export interface Rendition {
  id: string;
  codecs: string;
  bandwidth: number;
  /** 0 without video, as height and frame rate. */
  width: number;
  height: number;
  frameRate: number;
  audioOnly: boolean;
}

interface Waiting {
  wanted: Position;
  epoch: bigint;
  resolve(): void;
}

/** One stream's verified live window. Make it only after `loadPeer()`. */
export class StreamPeer {
  readonly stream: string;
  #peer: Peer;
  #waiting = new Set<Waiting>();

  constructor(stream: string) {
    this.stream = stream;
    this.#peer = new Peer(stream);
  }

  /** Takes in a signed manifest or announcement. False when it is old news; throws when it does not verify. */
  accept(envelope: Uint8Array): boolean {
    const news = this.#peer.accept(envelope);
    if (news) this.#wake();
    return news;
  }

  get ended(): boolean {
    return this.#peer.ended;
  }

  /** The newest announced part, or null while there is none. */
  latest(): Position | null {
    const latest: unknown = JSON.parse(this.#peer.latest());
    if (typeof latest !== "object" || latest === null) return null;
    const { msn, part } = latest as Partial<Position>;
    return typeof msn === "number" && typeof part === "number" ? { msn, part } : null;
  }

  renditions(): Rendition[] {
    return JSON.parse(this.#peer.renditions()) as Rendition[];
  }

  /**
   * The playlist as of now, the same bytes as the gateway's; of a multivariant one only the variants that are asked for
   * or may be chosen automatically. Undefined for a rendition that is not announced.
   */
  playlist(target: Target): string | undefined {
    if (target.kind === "multivariant") {
      if (target.audioOnly) return this.#peer.audioPlaylist();
      const all = this.#peer.playlist(undefined, false);
      const wanted = target.only === null ? this.#automatic() : [target.only];
      return all && withVariants(all, (id) => wanted.length === 0 || wanted.includes(id));
    }
    if (target.kind === "playlist") return this.#peer.playlist(target.rendition, false);
    return undefined;
  }

  /** How far behind the live edge the stream wants to be played, seconds (RFC 8216bis §4.4.3.8, PART-HOLD-BACK). */
  holdBack(): number | null {
    const [first] = this.renditions();
    const playlist = first && this.#peer.playlist(first.id, false);
    const seconds = /PART-HOLD-BACK=(\d+(?:\.\d+)?)/.exec(playlist ?? "")?.[1];
    return seconds === undefined ? null : Number(seconds);
  }

  /** Resolves when `wanted` is announced, or can no longer be: the stream ended or began anew. */
  until(wanted: Position, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (this.#isThere(wanted)) return resolve();
      const waiting: Waiting = { wanted, epoch: this.#peer.epoch, resolve };
      this.#waiting.add(waiting);
      signal.addEventListener("abort", () => this.#waiting.delete(waiting), { once: true });
    });
  }

  locatePart(rendition: string, msn: number, part: number): Located | undefined {
    return parse(this.#peer.locate(rendition, BigInt(msn), part));
  }

  /** All announced parts of a segment, in order; none when the window does not hold it. */
  locateSegment(rendition: string, msn: number): Located[] {
    return JSON.parse(this.#peer.locateSegment(rendition, BigInt(msn)) ?? "[]") as Located[];
  }

  locateInit(rendition: string, number: number): Located | undefined {
    return parse(this.#peer.locateInit(rendition, number));
  }

  /** Whether `bytes` are what `cid` names. */
  verify(cid: string, bytes: Uint8Array): boolean {
    return this.#peer.verify(cid, bytes);
  }

  /** Frees the peer's memory; nothing may be called afterwards. */
  close(): void {
    this.#waiting.clear();
    this.#peer.free();
  }

  #automatic(): string[] {
    return automatic(this.renditions(), plays).map(({ id }) => id);
  }

  #isThere(wanted: Position): boolean {
    const latest = this.latest();
    return this.#peer.ended || (latest !== null && reached(latest, wanted));
  }

  #wake(): void {
    if (this.#waiting.size === 0) return;
    const latest = this.latest();
    for (const waiting of this.#waiting) {
      // A gateway that lost its store begins a new epoch at lower numbers: what is awaited will not come.
      const anew =
        this.#peer.epoch !== waiting.epoch && latest !== null && latest.msn + 1 < waiting.wanted.msn;
      if (anew || this.#isThere(waiting.wanted)) {
        this.#waiting.delete(waiting);
        waiting.resolve();
      }
    }
  }
}

function parse(json: string | undefined): Located | undefined {
  return json === undefined ? undefined : (JSON.parse(json) as Located);
}
