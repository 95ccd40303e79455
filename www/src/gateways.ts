// Which gateway this viewer is at, and where it goes when that one is gone or silent. Any that has the stream will do:
// what it sends is checked against the stream's name.

import { backoffMs } from "./backoff.ts";
import { liveBase } from "./url.ts";

/** Others that are kept in mind, those that were told last. */
const MAX_OTHERS = 8;
/** The longest that a gateway's origin may be written. */
const MAX_URL = 256;

/** What is known of one: how often it failed in a row, and when it is worth trying again, performance.now(). */
interface Known {
  failures: number;
  notBeforeMs: number;
}

export class Gateways {
  /** The folder of the stream's doors at the gateway that was asked first: by it everything is named, wherever it comes from. */
  readonly base: string;
  #home: string;
  #at: string;
  #name: string | null = null;
  #secure: boolean;
  #known = new Map<string, Known>();
  #random: () => number;

  /** `home` is the origin of the gateway that is asked first, `asked` the stream's name or alias there; `secure`: the page is https. */
  constructor(home: string, asked: string, secure: boolean, random = Math.random) {
    this.base = liveBase(home, asked);
    this.#home = new URL(home).origin;
    this.#at = this.#home;
    this.#secure = secure;
    this.#random = random;
    this.#known.set(this.#home, fresh());
  }

  /** The stream's own name, by which every gateway knows it. */
  set name(name: string) {
    this.#name = name;
  }

  /** The origin of the gateway where this viewer is. */
  get at(): string {
    return this.#at;
  }

  /** All that are known, that one first. */
  get all(): string[] {
    return [this.#at, ...[...this.#known.keys()].filter((origin) => origin !== this.#at)];
  }

  /** Whether it is where it began. */
  get isHome(): boolean {
    return this.#at === this.#home;
  }

  /** The origin of the gateway where it began. */
  get home(): string {
    return this.#home;
  }

  /** Whether there is any other to go to. */
  get hasOthers(): boolean {
    return this.#name !== null && this.#known.size > 1;
  }

  /** The folder of the stream's doors at a gateway. */
  folder(gateway = this.#at): string {
    return gateway === this.#home || this.#name === null ? this.base : liveBase(gateway, this.#name);
  }

  /** Where what is named so is to be had at the moment. */
  door(url: string): string {
    return url.startsWith(this.base) ? this.folder() + url.slice(this.base.length) : url;
  }

  /** The same at another gateway that is worth trying now; null where there is none. */
  beside(url: string, nowMs: number): string | null {
    const other = this.other(nowMs);
    return other !== null && url.startsWith(this.base)
      ? this.folder(other) + url.slice(this.base.length)
      : null;
  }

  /** A gateway tells of others. A page on https may not ask those that are not. */
  told(urls: unknown): void {
    if (!Array.isArray(urls)) return;
    for (const text of urls.slice(0, MAX_OTHERS)) {
      const origin = typeof text === "string" && text.length <= MAX_URL ? originOf(text) : null;
      if (origin === null || (this.#secure && !origin.startsWith("https:"))) continue;
      const known = this.#known.get(origin) ?? fresh();
      // Behind those that were told earlier, which are the first to be forgotten.
      this.#known.delete(origin);
      this.#known.set(origin, known);
    }
    for (const other of [...this.#known.keys()]) {
      if (this.#known.size <= MAX_OTHERS + 1) break;
      if (other !== this.#home && other !== this.#at) this.#known.delete(other);
    }
  }

  /** This one speaks. */
  well(gateway: string): void {
    this.#known.set(gateway, fresh());
  }

  /** This one is gone, or has nothing of the stream: it is not tried for a while. */
  failed(gateway: string, nowMs: number): void {
    const known = this.#known.get(gateway) ?? fresh();
    known.notBeforeMs = nowMs + backoffMs(known.failures, this.#random());
    known.failures += 1;
    this.#known.set(gateway, known);
  }

  /** Another than where it is, and than `but`, that is worth trying now, any of them; null where there is none. */
  other(nowMs: number, but?: string): string | null {
    if (!this.hasOthers) return null;
    const free = [...this.#known].filter(
      ([origin, one]) => origin !== this.#at && origin !== but && one.notBeforeMs <= nowMs,
    );
    // Any: the viewers of a gateway that is gone do not all go to the same one.
    return free[Math.floor(this.#random() * free.length)]?.[0] ?? null;
  }

  /** From now on it is there. */
  go(gateway: string): void {
    this.#at = gateway;
  }

  /** The one where it is is gone: goes to another at once, or where none is left, to the first worth it again; in how many ms? */
  leave(nowMs: number): number {
    this.failed(this.#at, nowMs);
    const other = this.other(nowMs);
    if (other !== null) {
      this.#at = other;
      return 0;
    }
    const all = this.hasOthers
      ? [...this.#known]
      : [...this.#known].filter(([origin]) => origin === this.#at);
    const [first] = all.sort(([, one], [, two]) => one.notBeforeMs - two.notBeforeMs);
    if (!first) return 0; // never: where it is is known
    this.#at = first[0];
    return Math.max(0, first[1].notBeforeMs - nowMs);
  }
}

function fresh(): Known {
  return { failures: 0, notBeforeMs: Number.NEGATIVE_INFINITY };
}

function originOf(text: string): string | null {
  try {
    const { origin, protocol } = new URL(text);
    return protocol === "http:" || protocol === "https:" ? origin : null;
  } catch {
    return null;
  }
}
