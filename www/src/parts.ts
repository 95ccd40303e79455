// Where a part's bytes come from. The seam: whoever has a CID and a deadline asks a `PartSource`.

import { backoffMs } from "./backoff.ts";
import type { Counters } from "./stats.ts";

/** One block that is needed: its name, its size in bytes, and the gateway's door to it. */
export interface Wanted {
  cid: string;
  size: number;
  url: string;
  isPart: boolean;
}

export interface PartSource {
  /**
   * Gives the verified bytes of `wanted`. `deadlineMs` is the time until the playhead is there (0 when it waits).
   * Rejects when the bytes cannot be had or are wrong twice, and when `signal` aborts.
   */
  part(wanted: Wanted, deadlineMs: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>>;
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

/** A gateway that sends nothing for so long is away, though nobody closed the connection. */
const PATIENCE_MS = 10_000;

/** The gateway's HTTP, from which wrong bytes are as unwelcome as from anyone. */
export class HttpParts implements PartSource {
  #verify: (cid: string, bytes: Uint8Array) => boolean;
  #counters: Counters;
  #patienceMs: number;

  constructor(
    verify: (cid: string, bytes: Uint8Array) => boolean,
    counters: Counters,
    patienceMs = PATIENCE_MS,
  ) {
    this.#verify = verify;
    this.#counters = counters;
    this.#patienceMs = patienceMs;
  }

  async part(wanted: Wanted, _deadlineMs: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    let wrong = false;
    for (let attempt = 0; ; attempt += 1) {
      const bytes = await this.#get(wanted, wrong ? "reload" : "default", signal);
      if (bytes === null) {
        // The gateway is away or starting again; the part is in its store, so the wait is worth it.
        await sleep(backoffMs(attempt, Math.random()), signal);
        continue;
      }
      if (bytes.length === wanted.size && this.#verify(wanted.cid, bytes)) {
        this.#counters.received("gateway", bytes.length, wanted.isPart);
        return bytes;
      }
      this.#counters.rejected();
      if (wrong) throw new PartError(0, `${wanted.url} gave bytes that are not ${wanted.cid}, twice`);
      wrong = true;
    }
  }

  /** The body, or null when the gateway is not there. Reads at most one byte more than the part has. */
  async #get(
    wanted: Wanted,
    cache: RequestCache,
    signal: AbortSignal,
  ): Promise<Uint8Array<ArrayBuffer> | null> {
    const attempt = new AbortController();
    const end = () => attempt.abort();
    if (signal.aborted) end();
    signal.addEventListener("abort", end);
    let patience = setTimeout(end, this.#patienceMs);
    const alive = () => {
      clearTimeout(patience);
      patience = setTimeout(end, this.#patienceMs);
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
}

/** Calls `alive` whenever something comes. */
async function readUpTo(
  response: Response,
  limit: number,
  alive: () => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const buffer = new Uint8Array(limit);
  let length = 0;
  const reader = response.body?.getReader();
  while (reader && length < limit) {
    const { done, value } = await reader.read();
    if (done) break;
    alive();
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
