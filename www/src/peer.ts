// The typed edge to the WebAssembly peer: what is verified, and waiting for what is not there yet.

import wasmFile from "peer.wasm";
import init, {
  directoryNames,
  isFile,
  Peer,
  signedPlaylist,
  signedRoot,
} from "../generated/meshlive_wasm_peer.js";
import type { Place } from "./parts.ts";
import { automatic, plays, withVariants } from "./quality.ts";
import type { Checks, Names } from "./recorded.ts";
import type { PeerStats } from "./stats.ts";
import { type Latest, type Position, reached, type Target } from "./url.ts";

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
  /** How long its parts are at most, seconds. */
  partTarget: number;
  audioOnly: boolean;
}

/** The engine's numbers of this stream; see `Stats`. */
export interface EngineStats {
  bytesFromPeers: number;
  bytesFromGateway: number;
  bytesUploaded: number;
  partsFromPeers: number;
  partsFromGateway: number;
  partsRejected: number;
  partsDuplicate: number;
  /** What peers and gateway together give at the moment, bits per second. */
  estimate: number | null;
  peers: PeerStats[];
}

/** What the peer tells, always from a task of its own. Keys are those that `demand` gives. */
export interface PeerHandlers {
  /** This part is wanted over HTTP; `fetched` answers. */
  fetch(key: string, place: Place): void;
  /** It is no longer wanted. */
  abort(key: string): void;
  /** `part` has it; also said of parts that were not demanded. */
  ready(key: string): void;
  /** What was demanded is not to be had any more. */
  gone(key: string): void;
  /** The verified window moved on. */
  news(): void;
  /** The link became too narrow for what is selected; `estimate` says so from now on. */
  narrowed(): void;
}

interface Waiting {
  wanted: Position;
  epoch: bigint;
  resolve(): void;
}

/** One stream's verified live window, and this viewer's place among its viewers. Make it only after `loadPeer()`. */
export class StreamPeer {
  readonly stream: string;
  /** Who does and hears what the peer wants; to be set right after it was made. */
  handlers: PeerHandlers | null = null;
  #peer: Peer;
  #waiting = new Set<Waiting>();

  constructor(stream: string) {
    this.stream = stream;
    this.#peer = new Peer(stream, {
      fetch: (key, rendition, msn, part) => this.handlers?.fetch(key, { rendition, msn, part }),
      abort: (key) => this.handlers?.abort(key),
      ready: (key) => this.handlers?.ready(key),
      gone: (key) => this.handlers?.gone(key),
      news: () => {
        this.#wake();
        this.handlers?.news();
      },
      narrowed: () => this.handlers?.narrowed(),
    });
  }

  /** Takes in a signed manifest or announcement. False when it is old news; throws when it does not verify. */
  accept(envelope: Uint8Array): boolean {
    return this.#peer.accept(envelope);
  }

  /** Brings the network; `answer` is what `GET /api/v1/peer` says. Throws when it is nothing of the kind. */
  connect(answer: string): void {
    this.#peer.connect(answer);
  }

  /** Dials other viewers from now on, those that it has heard of first. */
  meet(): void {
    this.#peer.meet();
  }

  /** Leaves the network: playback goes on over HTTP. */
  disconnect(): void {
    this.#peer.disconnect();
  }

  /**
   * Wants a part now, which the player gets with those of its segment from `first` on. Gives the key by which `handlers`
   * hear of it, or undefined when there is no such rendition.
   */
  demand({ rendition, msn, part }: Place, first: number): string | undefined {
    return this.#peer.demand(rendition, BigInt(msn), part, first);
  }

  /** A part that is here, verified. */
  part(key: string): Uint8Array<ArrayBuffer> | undefined {
    return this.#peer.part(key) as Uint8Array<ArrayBuffer> | undefined;
  }

  /** What became of `handlers.fetch`; undefined when the gateway does not give it. */
  fetched(key: string, bytes: Uint8Array | undefined, tookMs: number): void {
    this.#peer.fetched(key, bytes, tookMs);
  }

  /** Where playback is, ms since the Unix epoch on the stream's timeline, and whether it moves. */
  playhead(programDateMs: number, moving: boolean): void {
    this.#peer.playhead(programDateMs, moving);
  }

  /** The renditions that are wanted as they appear, by their ids. */
  select(renditions: string[]): void {
    this.#peer.select(renditions);
  }

  /** What may be given to others, bytes per second; 0 turns it off. */
  upload(bytesPerSecond: number): void {
    this.#peer.upload(bytesPerSecond);
  }

  /** What peers and gateway together give at the moment, bits per second; null until it is known. */
  get estimate(): number | null {
    return this.#peer.estimate ?? null;
  }

  /** Other viewers that are linked to this one. */
  get neighbours(): number {
    return this.#peer.neighbours;
  }

  /** Whether the gateway's link brings announcements, so that the page's own socket need not. */
  get isTold(): boolean {
    return this.#peer.isTold;
  }

  stats(): EngineStats {
    return JSON.parse(this.#peer.stats()) as EngineStats;
  }

  get ended(): boolean {
    return this.#peer.ended;
  }

  /** The newest announced part, or null while there is none. */
  latest(): Latest | null {
    return JSON.parse(this.#peer.latest()) as Latest | null;
  }

  renditions(): Rendition[] {
    return JSON.parse(this.#peer.renditions()) as Rendition[];
  }

  /**
   * The playlist as of now, the same bytes as the gateway's; of a multivariant one only the variants that are asked for
   * or may be chosen automatically. Undefined for a rendition that is not announced. Of the segments in `groups` so many parts
   * come at a time, see `Groups`.
   */
  playlist(target: Target, groups: ReadonlyMap<number, number> = new Map()): string | undefined {
    if (target.kind === "multivariant") {
      if (target.audioOnly) return this.#peer.audioPlaylist();
      const all = this.#peer.playlist(undefined, new BigUint64Array());
      const wanted = target.only === null ? this.#automatic() : [target.only];
      return all && withVariants(all, (id) => wanted.length === 0 || wanted.includes(id));
    }
    if (target.kind !== "playlist") return undefined;
    return this.#peer.playlist(target.rendition, BigUint64Array.from([...groups].flat(), BigInt));
  }

  /** How far behind the live edge the stream wants to be played, seconds (RFC 8216bis §4.4.3.8, PART-HOLD-BACK). */
  holdBack(): number | null {
    const [first] = this.renditions();
    const playlist = first && this.playlist({ kind: "playlist", rendition: first.id });
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

  /** The announced parts of a segment from `first` to before `end`, in order; none when the window does not hold it. */
  locateParts(rendition: string, msn: number, first = 0, end = 0xffff_ffff): Located[] {
    return JSON.parse(this.#peer.locateParts(rendition, BigInt(msn), first, end) ?? "[]") as Located[];
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

/** What is past, checked; to be used only after `loadPeer()`. */
export const checks: Checks = {
  root: (stream, entry) => {
    const [epoch, sequence, root] = signedRoot(stream, entry)?.split(" ") ?? [];
    return root === undefined
      ? null
      : { epoch: Number(epoch), sequence: Number(sequence), root: root || null };
  },
  playlist: (stream, name, text) => {
    const [epoch, sequence] = signedPlaylist(stream, name, text)?.split(" ") ?? [];
    return sequence === undefined ? null : { epoch: Number(epoch), sequence: Number(sequence) };
  },
  names: (cid, bytes) => {
    const lines = directoryNames(cid, bytes);
    if (lines === undefined) return null;
    const names: Names = new Map();
    for (const [, cid = "", size, name = ""] of lines.matchAll(/^(\S+) (\d+) (.*)$/gm))
      names.set(name, { cid, bytes: Number(size) });
    return names;
  },
  isFile,
};

function parse(json: string | undefined): Located | undefined {
  return json === undefined ? undefined : (JSON.parse(json) as Located);
}
