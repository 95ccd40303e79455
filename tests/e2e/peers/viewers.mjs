// Viewers of one small stream on the mesh, and who sent what to whom: measured in copies of the stream.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { launch, open, playing, stats } from "../browser.mjs";
import { Gateway, film, out, sleep } from "../gateway.mjs";
import { HOST } from "./net.mjs";

/** 320×180 at 400 kbit/s, passed through; at 15 frames a second eight viewers of it fit two slow cores. */
async function smallFilm() {
  mkdirSync(out, { recursive: true });
  const path = join(out, "peers-320x180-15-400k.mp4");
  if (existsSync(path)) return path;
  const rate = ["-b:v", "330k", "-minrate", "330k", "-maxrate", "330k", "-bufsize", "330k", "-b:a", "64k", "-preset", "veryfast"];
  await film(`${path}.part.mp4`, { seconds: 120, size: "320x180", rate: 15, extra: rate });
  renameSync(`${path}.part.mp4`, path);
  return path;
}

/** A gateway on the host's address, with the small stream as `film` unless `inputs` says otherwise. */
export async function gatewayOfFilm({ host = HOST, ...options } = {}) {
  const inputs = options.inputs ?? [`${await smallFilm()}?loop=1&name=film`];
  const gateway = await Gateway.start({ host, ...options, inputs });
  await sleep(4000); // some segments to begin with
  return gateway;
}

/** A browser process, at a site if one is given. */
export const browse = (options = {}) => launch({ ...options, mesh: true });

/** One page that plays a stream. */
export class Viewer {
  /**
   * @param {{sharing?: boolean, alias?: string, allow?: RegExp[], init?: () => void}} options
   * `sharing` is the viewer's own switch, as it was left at an earlier visit.
   */
  static async open(browser, gateway, { sharing = true, alias = "film", allow = [], init } = {}) {
    const viewer = new Viewer();
    const origin = gateway.url;
    const storageState = { cookies: [], origins: [{ origin, localStorage: [{ name: "meshlive-sharing", value: sharing ? "on" : "off" }] }] };
    const context = { viewport: { width: 480, height: 360 }, storageState };
    viewer.page = await open(browser, `${origin}/s/${alias}`, { context, allow, init });
    return viewer;
  }

  /** Opens it and waits until it plays. */
  static async watch(...args) {
    const viewer = await Viewer.open(...args);
    await viewer.playing();
    return viewer;
  }

  playing(timeoutMs) {
    return playing(this.page, timeoutMs);
  }

  stats() {
    return stats(this.page);
  }

  finish() {
    return this.page.finish();
  }
}

/** Opens as many viewers as there are options, one after the other, and waits until all play. */
export async function watchAll(browsers, gateway, options) {
  const opened = [];
  for (const [at, one] of options.entries()) opened.push(await Viewer.open(browsers[at % browsers.length], gateway, one));
  await Promise.all(opened.map((viewer) => viewer.playing(40_000)));
  return opened;
}

/**
 * Bytes that the gateway sent so far, without the headers of HTTP and below: media (`all`: over HTTP and pushed to peers),
 * what is none (`rest`: playlists, announcements, the page), and each kind by its way.
 */
export async function sent(gateway) {
  const text = await gateway.text("/metrics");
  const kinds = {};
  for (const [, way, kind, value] of text.matchAll(/^meshlive_(http|p2p)_sent_bytes_total\{kind="(\w+)"\} (\d+)/gm)) kinds[`${way} ${kind}`] = Number(value);
  const [http, p2p] = [kinds["http part"], kinds["p2p part"]];
  return { http, p2p, all: http + p2p, rest: sum(Object.values(kinds)) - http - p2p, kinds };
}

/** The media playlist of a rendition, the first one when none is named: `{url, first, segments: [{url, seconds}]}`. */
export async function playlist(gateway, { alias = "film", rendition } = {}) {
  let path = `/live/${alias}/${rendition}.m3u8`;
  if (!rendition) {
    const lines = (await gateway.text(`/live/${alias}/index.m3u8`)).split("\n");
    path = new URL(lines.find((line) => line.trim() && !line.startsWith("#")).trim(), `${gateway.url}/live/${alias}/index.m3u8`).pathname;
  }
  const text = await gateway.text(path);
  const first = Number(/#EXT-X-MEDIA-SEQUENCE:(\d+)/.exec(text)[1]);
  const found = [...text.matchAll(/#EXTINF:([\d.]+),[^\n]*\n(?:#[^\n]*\n)*([^#\n]+)/g)];
  const segments = found.map(([, seconds, uri], at) => ({ msn: first + at, url: new URL(uri.trim(), gateway.url + path).href, seconds: Number(seconds) }));
  return { first, segments, next: first + segments.length };
}

/** Bytes per second of the segments closed since `msn`, as the playlist and the sizes of the files say. */
async function rate(gateway, msn, which) {
  const { segments } = await playlist(gateway, which);
  const closed = segments.filter((segment) => segment.msn >= msn);
  assert.ok(closed.length > 0, `no segment was closed since ${msn}`);
  let [bytes, seconds] = [0, 0];
  for (const segment of closed) {
    const answer = await fetch(segment.url, { method: "HEAD" });
    bytes += Number(answer.headers.get("content-length"));
    seconds += segment.seconds;
  }
  return bytes / seconds;
}

const SUMMED = ["bytesFromPeers", "bytesFromGateway", "bytesUploaded", "partsFromPeers", "partsFromGateway", "partsRejected", "stalls", "stallMs", "playedMs"];

/**
 * What flows while `act` goes on. Bytes are in copies of the stream, of which one is what it published meanwhile:
 * `{gateway, http, p2p, rest, viewers: [{fromPeers, fromGateway, uploaded, stalls, …}], seconds}`.
 */
export async function during(gateway, viewers, act, which) {
  const { next } = await playlist(gateway, which);
  const since = performance.now();
  const before = [await sent(gateway), ...(await Promise.all(viewers.map((viewer) => viewer.stats())))];
  await act();
  const seconds = (performance.now() - since) / 1000;
  const after = [await sent(gateway), ...(await Promise.all(viewers.map((viewer) => viewer.stats())))];
  const copy = seconds * (await rate(gateway, next, which));
  const difference = (at) => (name) => after[at][name] - before[at][name];
  const [all, http, p2p, rest] = ["all", "http", "p2p", "rest"].map((name) => difference(0)(name) / copy);
  const each = viewers.map((_, at) => {
    const parts = Object.fromEntries(SUMMED.map((name) => [name, difference(at + 1)(name)]));
    const { bytesFromPeers, bytesFromGateway, bytesUploaded, ...rest } = parts;
    const { latencyMs, state, peers } = after[at + 1];
    return { fromPeers: bytesFromPeers / copy, fromGateway: bytesFromGateway / copy, uploaded: bytesUploaded / copy, ...rest, latencyMs, state, peers };
  });
  return { gateway: all, http, p2p, rest, viewers: each, seconds, copyBytes: copy };
}

export const seconds = (count) => () => sleep(count * 1000);

export const sum = (numbers) => numbers.reduce((total, one) => total + one, 0);

/** For the message of an assertion: who sent what, in one line each. */
export function told(seen) {
  const short = (value) => (typeof value === "number" ? Math.round(value * 100) / 100 : value);
  const line = (one) => Object.entries(one).map(([name, value]) => `${name} ${name === "peers" ? value.map((p) => `${p.kind[0]}:${p.id.slice(-4)} in ${p.bytesIn} out ${p.bytesOut} rtt ${p.rttMs}`).join(", ") : short(value)}`).join(" · ");
  const { viewers, ...rest } = seen;
  return [line(rest), ...viewers.map(line)].join("\n");
}

export function between(value, low, high, what, seen) {
  assert.ok(value >= low && value <= high, `${what}: ${value.toFixed(3)} is not within ${low} and ${high}\n${told(seen)}`);
}
