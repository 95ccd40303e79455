// What flowed in the last two minutes, from the counters of `stats` alone. Pure; time is an argument.

import type { PeerStats, Stats } from "./stats.ts";

export const KEEP_MS = 120_000;
/** More samples than this are not kept, however often one looks. */
export const MOST_SAMPLES = 300;
/** Parts come in bursts; a rate is an average over about this many ms. */
const SMOOTH_MS = 4_000;

/** Rates in bits per second, times in seconds. */
export interface Sample {
  atMs: number;
  fromPeers: number;
  fromGateway: number;
  uploaded: number;
  latency: number | null;
  buffer: number;
}

/** One neighbour, or the gateway, and what goes to and fro, bits per second. */
export interface Flow {
  id: string;
  kind: PeerStats["kind"];
  in: number;
  out: number;
  rttMs: number | null;
}

type Counted = Pick<Stats, "bytesFromPeers" | "bytesFromGateway" | "bytesUploaded" | "latencyMs" | "peers">;

export class History {
  samples: Sample[] = [];
  /** Viewers that are linked at the moment, by their names, so that each keeps its place. */
  viewers: Flow[] = [];
  /** The gateway, by whatever way its bytes come. */
  gateway: Flow = { id: "", kind: "gateway", in: 0, out: 0, rttMs: null };
  #before: { atMs: number; stats: Counted } | null = null;

  /** Takes in the counters as they are at `nowMs`; `buffer` is what is buffered ahead, seconds. */
  add(stats: Counted, buffer: number, nowMs: number): void {
    const before = this.#before;
    const isAnew = before !== null && total(stats) < total(before.stats);
    if (isAnew)
      Object.assign(this, { samples: [], viewers: [], gateway: { ...this.gateway, in: 0, out: 0 } });
    this.#before = { atMs: nowMs, stats: { ...stats, peers: stats.peers.map((peer) => ({ ...peer })) } };
    // Peers leave and return with fresh counters; what is only seen once has no rate yet.
    const rate = (last: number, now: number, then: number | undefined): number => {
      if (!before || isAnew || then === undefined || now < then) return 0;
      const ms = Math.max(1, nowMs - before.atMs);
      const weight = this.samples.length === 0 ? 1 : 1 - Math.exp(-ms / SMOOTH_MS);
      const next = last + (((now - then) * 8_000) / ms - last) * weight;
      return next < 1 ? 0 : next;
    };
    const flow = (peer: PeerStats, last: Flow | undefined): Flow => {
      const then = before?.stats.peers.find(({ id }) => id === peer.id);
      return {
        ...{ id: peer.id, kind: peer.kind, rttMs: peer.rttMs },
        in: rate(last?.in ?? 0, peer.bytesIn, then?.bytesIn),
        out: rate(last?.out ?? 0, peer.bytesOut, then?.bytesOut),
      };
    };
    const lasting = new Map(this.viewers.map((one) => [one.id, one]));
    this.viewers = stats.peers
      .filter(({ kind }) => kind === "viewer")
      .map((peer) => flow(peer, lasting.get(peer.id)))
      .sort(byName);
    const linked = stats.peers.find(({ kind }) => kind === "gateway");
    const last = this.samples.at(-1);
    const fromGateway = rate(last?.fromGateway ?? 0, stats.bytesFromGateway, before?.stats.bytesFromGateway);
    this.gateway = {
      ...(linked ? flow(linked, this.gateway) : { ...this.gateway, out: 0, rttMs: null }),
      in: fromGateway,
    };
    if (!before || isAnew) return;
    this.samples.push({
      atMs: nowMs,
      fromPeers: rate(last?.fromPeers ?? 0, stats.bytesFromPeers, before.stats.bytesFromPeers),
      fromGateway,
      uploaded: rate(last?.uploaded ?? 0, stats.bytesUploaded, before.stats.bytesUploaded),
      latency: stats.latencyMs === null ? null : stats.latencyMs / 1000,
      buffer,
    });
    const tooOld = this.samples.findIndex(({ atMs }) => nowMs - atMs <= KEEP_MS);
    this.samples.splice(0, Math.max(tooOld, this.samples.length - MOST_SAMPLES));
  }
}

export function byName(a: Flow, b: Flow): number {
  return a.id < b.id ? -1 : 1;
}

function total(stats: Counted): number {
  return stats.bytesFromPeers + stats.bytesFromGateway + stats.bytesUploaded;
}
