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

/** Where a verified part came from. */
export type Origin = "peers" | "gateway";

/** Counts through a visit; a new source (another rendition, a restart of the gateway) does not reset it. */
export class Counters {
  status: Status;
  rendition: string | null = null;
  #connectedMs: number;
  #firstFrameMs: number | null = null;
  #bytes = { peers: 0, gateway: 0 };
  #parts = { peers: 0, gateway: 0 };
  #rejected = 0;

  constructor(nowMs: number) {
    this.status = initial(nowMs);
    this.#connectedMs = nowMs;
  }

  /** The moment the first frame came on screen; later ones change nothing. */
  frame(nowMs: number): void {
    this.#firstFrameMs ??= nowMs - this.#connectedMs;
  }

  /** A part whose bytes match its CID. Init segments count as bytes, not as parts. */
  received(origin: Origin, bytes: number, isPart: boolean): void {
    this.#bytes[origin] += bytes;
    if (isPart) this.#parts[origin] += 1;
  }

  /** Bytes that did not match their CID. */
  rejected(): void {
    this.#rejected += 1;
  }

  read(nowMs: number, latencyMs: number | null, peers: PeerStats[]): Stats {
    return {
      state: this.status.state,
      firstFrameMs: this.#firstFrameMs,
      latencyMs,
      stalls: this.status.stalls,
      ...times(this.status, nowMs),
      bytesFromPeers: this.#bytes.peers,
      bytesFromGateway: this.#bytes.gateway,
      bytesUploaded: 0,
      partsFromPeers: this.#parts.peers,
      partsFromGateway: this.#parts.gateway,
      partsRejected: this.#rejected,
      partsDuplicate: 0,
      rendition: this.rendition,
      peers,
    };
  }
}
