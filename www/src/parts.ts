// Where a part's bytes come from. The seam: whoever has a CID asks a `PartSource`.

import { backoffMs } from "./backoff.ts";
import type { Counters } from "./stats.ts";
import { partUrl } from "./url.ts";

/** Where a part belongs in its stream: what its URL says. */
export interface Place {
  rendition: string;
  msn: number;
  part: number;
}

/** One block that is needed: its name, its size in bytes, and the gateway's door to it. */
export interface Wanted {
  cid: string;
  size: number;
  url: string;
  /** Null for an init segment. */
  place: Place | null;
  /** The part of the segment from which on the player gets it: none of them is shown before all are here. */
  first?: number;
}

export interface PartSource {
  /** Gives the verified bytes of `wanted`. Rejects when they cannot be had or are wrong twice, and when `signal` aborts. */
  part(wanted: Wanted, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>>;
}

/** Why a part cannot be had; `code` is the HTTP status, or 0 when the bytes were wrong. */
export class PartError extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.name = "PartError";
    this.code = code;
  }
}

/** What `PeerParts` needs of a stream's peer; see `StreamPeer`. */
export interface Engine {
  locatePart(rendition: string, msn: number, part: number): { cid: string; size: number } | undefined;
  demand(place: Place, first: number): string | undefined;
  part(key: string): Uint8Array<ArrayBuffer> | undefined;
  fetched(key: string, bytes: Uint8Array | undefined, tookMs: number): void;
}

/** Where what is named by the first gateway's URLs is had at the moment; see `Gateways`. */
export interface Doors {
  readonly hasOthers: boolean;
  door(url: string): string;
  /** The same at another gateway that is worth trying, or null. */
  beside(url: string, nowMs: number): string | null;
}

/** One gateway that stays. */
const ONE: Doors = { hasOthers: false, door: (url) => url, beside: () => null };

/** A gateway that does not answer is gone, or soon known to be: so long what it was asked for waits for another. */
const MOVES_MS = 400;
const LOOK_MS = 20;
/** Another that is asked for what this one lacks has so long. */
const BESIDE_MS = 1_500;

/** A fetch that the engine wants. */
interface Fetching {
  attempt: AbortController;
  ended: boolean;
}

/** Parts of wrong bytes that are kept in mind. */
const MAX_WRONG = 256;

interface Waiting {
  resolve(bytes: Uint8Array<ArrayBuffer>): void;
  reject(reason: unknown): void;
}

/**
 * The peer's engine, which takes parts from other viewers, and from the gateway what these do not give in time: it
 * decides, here its wishes are done over HTTP and its answers brought to whoever waits. Init segments come over HTTP.
 */
export class PeerParts implements PartSource {
  #engine: Engine;
  #http: PartSource;
  #base: string;
  #doors: Doors;
  /** When bytes came over HTTP last, performance.now(). */
  aliveMs = Number.NEGATIVE_INFINITY;
  #waiting = new Map<string, Set<Waiting>>();
  #fetches = new Map<string, Fetching>();
  /** Fetched, and not good: neither is what the browser may have kept of it. */
  #wrong = new Set<string>();

  /** `base` is the stream's folder on the gateway that was asked first. */
  constructor(engine: Engine, http: PartSource, base: string, doors = ONE) {
    this.#engine = engine;
    this.#http = http;
    this.#base = base;
    this.#doors = doors;
  }

  part(wanted: Wanted, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    const { place } = wanted;
    if (!place) return this.#http.part(wanted, signal);
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const key = this.#engine.demand(place, wanted.first ?? place.part);
      if (key === undefined) return reject(gone(wanted.url));
      const waiting: Waiting = { resolve, reject };
      const all = this.#waiting.get(key) ?? new Set();
      this.#waiting.set(key, all.add(waiting));
      const stop = (): void => {
        all.delete(waiting);
        reject(signal.reason);
      };
      signal.addEventListener("abort", stop, { once: true });
    });
  }

  /** The engine has this part. */
  ready(key: string): void {
    this.#wrong.delete(key);
    // Each gets a copy of its own: what is given to a player is the player's.
    for (const { resolve, reject } of this.#take(key)) {
      const bytes = this.#engine.part(key);
      if (bytes) resolve(bytes);
      else reject(gone(key));
    }
  }

  /** The engine cannot have this part any more. */
  gone(key: string): void {
    for (const { reject } of this.#take(key)) reject(gone(key));
  }

  /** The engine wants this part over HTTP. It checks what comes, and says when to try again. */
  async fetch(key: string, place: Place): Promise<void> {
    const { rendition, msn, part } = place;
    const located = this.#engine.locatePart(rendition, msn, part);
    if (!located) return this.#engine.fetched(key, undefined, 0);
    this.abort(key);
    const fetching: Fetching = { attempt: new AbortController(), ended: false };
    this.#fetches.set(key, fetching);
    const named = partUrl(this.#base, rendition, msn, part);
    const cache = this.#wrong.has(key) ? "reload" : "default";
    const askedMs = performance.now();
    let bytes: Uint8Array<ArrayBuffer> | null = null;
    let url: string;
    do {
      url = this.#doors.door(named);
      fetching.attempt = new AbortController();
      try {
        const alive = (): void => {
          this.aliveMs = performance.now();
        };
        bytes = await get({ ...located, url }, cache, fetching.attempt.signal, PATIENCE_MS, alive);
      } catch (error) {
        if (error instanceof PartError) break;
      }
    } while (!bytes && (await this.#moves(named, url, fetching)));
    bytes ??= await this.#beside(named, located, fetching);
    if (fetching.ended) return;
    this.#fetches.delete(key);
    // Until the engine says that it is not.
    if (bytes && this.#wrong.size < MAX_WRONG) this.#wrong.add(key);
    this.#engine.fetched(key, bytes ?? undefined, performance.now() - askedMs);
  }

  /** The engine no longer wants it over HTTP. */
  abort(key: string): void {
    const fetching = this.#fetches.get(key);
    if (!fetching) return;
    fetching.ended = true;
    fetching.attempt.abort();
    this.#fetches.delete(key);
  }

  /** This viewer is at another gateway: what is under way is asked for there. */
  moved(): void {
    for (const { attempt } of this.#fetches.values()) attempt.abort();
  }

  /** Whether what was not had there is soon to be had elsewhere. */
  async #moves(named: string, url: string, fetching: Fetching): Promise<boolean> {
    const untilMs = performance.now() + (this.#doors.hasOthers ? MOVES_MS : 0);
    while (!fetching.ended && this.#doors.door(named) === url) {
      if (performance.now() >= untilMs) return false;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    return !fetching.ended;
  }

  /** A gateway may be there and lack a part: one that was given to another mirror to be passed on, which then was gone. */
  async #beside(
    named: string,
    located: { size: number },
    fetching: Fetching,
  ): Promise<Uint8Array<ArrayBuffer> | null> {
    const url = fetching.ended ? null : this.#doors.beside(named, performance.now());
    if (url === null) return null;
    fetching.attempt = new AbortController();
    return get({ ...located, url }, "default", fetching.attempt.signal, BESIDE_MS).catch(() => null);
  }

  /** The engine is gone, and with it all that is under way. */
  close(): void {
    for (const key of [...this.#fetches.keys()]) this.abort(key);
    for (const key of [...this.#waiting.keys()]) this.gone(key);
  }

  #take(key: string): Iterable<Waiting> {
    const waiting = this.#waiting.get(key) ?? [];
    this.#waiting.delete(key);
    return waiting;
  }
}

function gone(what: string): PartError {
  return new PartError(404, `${what} is not in the live window any more`);
}

/** A gateway that sends nothing for so long is away, though nobody closed the connection. */
const PATIENCE_MS = 10_000;

/** The gateway's HTTP alone, from which wrong bytes are as unwelcome as from anyone. */
export class HttpParts implements PartSource {
  #verify: (cid: string, bytes: Uint8Array) => boolean;
  #counters: Counters;
  #patienceMs: number;
  #doors: Doors;
  /** Init segments by CID, the newest: a way to another rendition is not to wait for its. */
  #inits = new Map<string, Uint8Array<ArrayBuffer>>();

  constructor(
    verify: (cid: string, bytes: Uint8Array) => boolean,
    counters: Counters,
    patienceMs = PATIENCE_MS,
    doors = ONE,
  ) {
    this.#verify = verify;
    this.#counters = counters;
    this.#patienceMs = patienceMs;
    this.#doors = doors;
  }

  async part(wanted: Wanted, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    const known = this.#inits.get(wanted.cid);
    if (known) return known.slice();
    let wrong = false;
    for (let attempt = 0; ; attempt += 1) {
      const there = { ...wanted, url: this.#doors.door(wanted.url) };
      const bytes = await get(there, wrong ? "reload" : "default", signal, this.#patienceMs);
      if (bytes === null) {
        // The gateway is away or starting again; the bytes are in its store, so the wait is worth it.
        await sleep(backoffMs(attempt, Math.random()), signal);
        continue;
      }
      if (bytes.length === wanted.size && this.#verify(wanted.cid, bytes)) {
        this.#counters.init(bytes.length);
        if (!wanted.place) this.#keep(wanted.cid, bytes);
        return bytes;
      }
      this.#counters.rejected();
      if (wrong) throw new PartError(0, `${wanted.url} gave bytes that are not ${wanted.cid}, twice`);
      wrong = true;
    }
  }

  #keep(cid: string, init: Uint8Array<ArrayBuffer>): void {
    const [oldest] = this.#inits.keys();
    if (this.#inits.size === MAX_INITS && oldest !== undefined) this.#inits.delete(oldest);
    this.#inits.set(cid, init.slice());
  }
}

/** Init segments that are kept: of all renditions, and of those before a change of the encoder's settings. */
const MAX_INITS = 16;

/**
 * The body, or null when the gateway is not there, or sends nothing for `patienceMs`. Reads at most one byte more than
 * `wanted` has.
 */
export async function get(
  wanted: Pick<Wanted, "url" | "size">,
  cache: RequestCache,
  signal: AbortSignal,
  patienceMs: number,
  came: (bytes: number) => void = () => {},
): Promise<Uint8Array<ArrayBuffer> | null> {
  const attempt = new AbortController();
  const end = () => attempt.abort();
  if (signal.aborted) end();
  signal.addEventListener("abort", end);
  let patience = setTimeout(end, patienceMs);
  const alive = (bytes: number) => {
    came(bytes);
    clearTimeout(patience);
    patience = setTimeout(end, patienceMs);
  };
  try {
    const response = await fetch(wanted.url, { signal: attempt.signal, cache, credentials: "omit" });
    if (response.status >= 500) return null;
    if (!response.ok) throw new PartError(response.status, `${wanted.url} answers ${response.status}`);
    return await readUpTo(response, wanted.size + 1, alive);
  } catch (error) {
    if (error instanceof PartError || signal.aborted) throw error;
    return null;
  } finally {
    clearTimeout(patience);
    signal.removeEventListener("abort", end);
  }
}

/** Calls `alive` whenever something comes, with its bytes. */
async function readUpTo(
  response: Response,
  limit: number,
  alive: (bytes: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const buffer = new Uint8Array(limit);
  let length = 0;
  const reader = response.body?.getReader();
  while (reader && length < limit) {
    const { done, value } = await reader.read();
    if (done) break;
    alive(value.length);
    const taken = value.subarray(0, limit - length);
    buffer.set(taken, length);
    length += taken.length;
  }
  if (length === limit) await reader?.cancel();
  return buffer.slice(0, length);
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        reject(signal.reason);
      },
      { once: true },
    );
  });
}
