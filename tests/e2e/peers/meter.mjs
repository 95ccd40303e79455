// What a site's gateway sends over its link while its stream goes on, in copies of what it publishes meanwhile: over a kill
// and a start, too.

import { execFileSync } from "node:child_process";
import { sum } from "./viewers.mjs";

/** Bytes of one answer, without fetching it. */
async function size(url) {
  const answer = await fetch(url, { method: "HEAD" });
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return Number(answer.headers.get("content-length"));
}

export class Meter {
  #site;
  #gateway;
  /** Where the playlists of its renditions are. */
  #paths;
  /** Bytes of closed segments, by their URL. */
  #sizes = new Map();
  /** What runs that have ended sent. */
  #before = {};

  constructor(site, gateway, paths) {
    this.#site = site;
    this.#gateway = gateway;
    this.#paths = paths;
  }

  /** The gateway is about to be killed: its counters begin anew. */
  async ends() {
    this.#before = await this.#sent();
  }

  /** The state now: `{at, link: [out, in], sent: {kind: bytes}, published: [{msn, open}]}`. */
  async read() {
    const { rx, tx } = JSON.parse(execFileSync("ip", ["-s", "-j", "link", "show", this.#site.link]))[0].stats64;
    const state = { at: performance.now(), link: [rx.bytes, tx.bytes], sent: await this.#sent() };
    state.published = await Promise.all(this.#paths.map((path) => this.#published(path)));
    return state;
  }

  /** Number of a rendition's open segment, and bytes of it. */
  async #published(path) {
    const text = await this.#gateway.text(path);
    let [msn, parts] = [Number(/#EXT-X-MEDIA-SEQUENCE:(\d+)/.exec(text)[1]), 0];
    const folder = this.#folder(path);
    const closed = [];
    for (const line of text.split("\n")) {
      if (line.startsWith("#EXT-X-PART:")) parts += 1;
      if (line === "" || line.startsWith("#")) continue;
      closed.push(`${folder}${msn}.m4s`);
      [msn, parts] = [msn + 1, 0];
    }
    const open = await Promise.all(Array.from({ length: parts }, (_, part) => size(`${folder}${msn}.${part}.m4s`)));
    for (const url of closed) if (!this.#sizes.has(url)) this.#sizes.set(url, await size(url));
    return { msn, open: sum(open) };
  }

  #folder(path) {
    return this.#gateway.url + path.replace(/\.m3u8$/, "/");
  }

  /** Copies between two states: `{published (bytes), media, bitswap, announcements, wire, back}`. */
  copies(from, to) {
    let published = 0;
    for (const [at, path] of this.#paths.entries()) {
      const [first, last] = [from.published[at], to.published[at]];
      published += last.open - first.open;
      for (let { msn } = first; msn < last.msn; msn += 1) published += this.#sizes.get(`${this.#folder(path)}${msn}.m4s`);
    }
    const copy = (bytes) => Math.round((1000 * bytes) / published) / 1000;
    const sent = (kind) => to.sent[kind] - from.sent[kind];
    const [wire, back] = [0, 1].map((way) => copy(to.link[way] - from.link[way]));
    const [media, announcements, bitswap] = ["part", "announcement", "bitswap"].map((kind) => copy(sent(kind)));
    return { seconds: Math.round((to.at - from.at) / 1000), published, media, bitswap, announcements, wire, back };
  }

  async #sent() {
    const text = await this.#gateway.text("/metrics");
    const sent = { bitswap: Number(/^meshlive_bitswap_sent_bytes_total (\d+)/m.exec(text)[1]) };
    for (const [, kind, value] of text.matchAll(/^meshlive_p2p_sent_bytes_total\{kind="(\w+)"\} (\d+)/gm)) sent[kind] = Number(value);
    for (const kind of Object.keys(sent)) sent[kind] += this.#before[kind] ?? 0;
    return sent;
  }
}
