// The numbers of a visit, as `document.querySelector('mesh-player').stats` shows them (architecture: the doors).

import { initial, type State, type Status, times } from "./state.ts";

export interface PeerStats {
  id: string;
  kind: "viewer" | "gateway";
  rttMs: number | null;
  bytesIn: number;
  bytesOut: number;
}

export interface Stats {
  state: State;
  /** From element connected to first frame shown. */
  firstFrameMs: number | null;
  /** Gateway's now − program date time of the frame on screen. */
  latencyMs: number | null;
  stalls: number;
  stallMs: number;
  playedMs: number;
  /** Media payload of the whole visit, verified bytes only. */
  bytesFromPeers: number;
  bytesFromGateway: number;
  bytesUploaded: number;
  partsFromPeers: number;
  partsFromGateway: number;
  partsRejected: number;
  partsDuplicate: number;
  rendition: string | null;
  peers: PeerStats[];
}

export type Counted = Pick<Stats, (typeof COUNTED)[number]>;

/** What the peer's engine counts, summed over the visit; the same names as in `Stats`. */
const COUNTED = [
  "bytesFromPeers",
  "bytesFromGateway",
  "bytesUploaded",
  "partsFromPeers",
  "partsFromGateway",
  "partsRejected",
  "partsDuplicate",
] as const;

/**
 * Counts through a visit; a new source (another rendition, a restart of the gateway) does not reset it. Parts are
 * counted by the peer's engine; here only what comes past it: init segments, and wrong bytes that HTTP gave.
 */
export class Counters {
  status: Status;
  rendition: string | null = null;
  #connectedMs: number;
  #firstFrameMs: number | null = null;
  #initBytes = 0;
  #rejected = 0;
  /** Of peers that were closed during this visit. */
  #before = Object.fromEntries(COUNTED.map((name) => [name, 0])) as Counted;

  constructor(nowMs: number) {
    this.status = initial(nowMs);
    this.#connectedMs = nowMs;
  }

  /** The moment the first frame came on screen; later ones change nothing. */
  frame(nowMs: number): void {
    this.#firstFrameMs ??= nowMs - this.#connectedMs;
  }

  /** The verified bytes of an init segment: these always come from the gateway. */
  init(bytes: number): void {
    this.#initBytes += bytes;
  }

  /** Bytes that HTTP gave and that did not match their CID. */
  rejected(): void {
    this.#rejected += 1;
  }

  /** A peer that is about to be closed: what it counted stays counted. */
  retire(engine: Counted): void {
    for (const name of COUNTED) this.#before[name] += engine[name];
  }

  /** `engine` is what the present peer has counted, or null without one. */
  read(nowMs: number, latencyMs: number | null, engine: (Counted & { peers: PeerStats[] }) | null): Stats {
    const count = (name: keyof Counted): number => this.#before[name] + (engine?.[name] ?? 0);
    return {
      state: this.status.state,
      firstFrameMs: this.#firstFrameMs,
      latencyMs,
      stalls: this.status.stalls,
      ...times(this.status, nowMs),
      bytesFromPeers: count("bytesFromPeers"),
      bytesFromGateway: count("bytesFromGateway") + this.#initBytes,
      bytesUploaded: count("bytesUploaded"),
      partsFromPeers: count("partsFromPeers"),
      partsFromGateway: count("partsFromGateway"),
      partsRejected: count("partsRejected") + this.#rejected,
      partsDuplicate: count("partsDuplicate"),
      rendition: this.rendition,
      peers: engine?.peers ?? [],
    };
  }
}
