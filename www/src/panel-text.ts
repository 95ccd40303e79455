// What the panel says in words: for whoever does not see its pictures, and beside them.

import type { Flow, History } from "./panel-history.ts";
import type { Stats } from "./stats.ts";

/** `420 kbit/s`, `1.2 Mbit/s`. */
export function rate(bitsPerSecond: number): string {
  if (bitsPerSecond >= 999_500) return `${(bitsPerSecond / 1e6).toFixed(1)} Mbit/s`;
  return `${Math.round(bitsPerSecond / 1_000)} kbit/s`;
}

export function bytes(count: number): string {
  if (count >= 999_500_000) return `${(count / 1e9).toFixed(1)} GB`;
  if (count >= 999_500) return `${(count / 1e6).toFixed(1)} MB`;
  return `${Math.round(count / 1_000)} KB`;
}

/** The last letters of a peer's name: the first ones are the same for all. */
export function short(id: string): string {
  return id.slice(-4);
}

function count(viewers: number): string {
  return viewers === 1 ? "1 viewer" : `${viewers} viewers`;
}

/** What flows now, in one sentence. */
export function now({ viewers, gateway }: Pick<History, "viewers" | "gateway">, sharing: boolean): string {
  const fromGateway = `${rate(gateway.in)} from the gateway`;
  if (!sharing) return `Sharing is off: ${fromGateway}, nothing from or to other viewers.`;
  if (viewers.length === 0) return `No other viewer is linked yet: ${fromGateway}.`;
  const sum = (way: "in" | "out"): number => viewers.reduce((all, viewer) => all + viewer[way], 0);
  const on = sum("out") > 0 ? `${rate(sum("out"))} passed on` : "nothing passed on";
  const giving = viewers.filter((viewer) => viewer.in > 0).length;
  const from =
    giving > 0 ? `${rate(sum("in"))} from ${count(giving)}` : `Nothing from ${count(viewers.length)}`;
  return `${from}, ${fromGateway}; ${on}.`;
}

/** What flowed during the whole visit. */
export function visit({ bytesFromPeers, bytesFromGateway, bytesUploaded }: Stats): string {
  const all = bytesFromPeers + bytesFromGateway;
  const percent = all === 0 ? 0 : Math.round((100 * bytesFromPeers) / all);
  const from = `${bytes(bytesFromPeers)} from viewers (${percent} %), ${bytes(bytesFromGateway)} from the gateway`;
  return `This visit: ${from}, ${bytes(bytesUploaded)} passed on.`;
}

/** One row of the table: who, what it gives, what it takes, how far away it is. */
export function row({ id, kind, in: given, out: taken, rttMs }: Flow): [string, string, string, string] {
  const who = kind === "gateway" ? "Gateway" : `Viewer ${short(id)}`;
  return [who, rate(given), rate(taken), rttMs === null ? "–" : `${Math.round(rttMs)} ms`];
}
