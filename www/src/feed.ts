// The push from the gateway: one WebSocket that says what a stream is and carries its announcements.

import { backoffMs } from "./backoff.ts";
import type { Exchange } from "./clock.ts";
import type { Early } from "./early.ts";

/** A stream as the gateway's API shows it. */
export interface StreamObject {
  /** The stream name, or null while the gateway knows no such stream. */
  stream: string | null;
  alias: string;
  title?: string;
  live: boolean;
  /** The gateway follows it, and has heard nothing of it yet. */
  sought?: boolean;
  viewers?: number;
  notices?: string[];
  /** URLs of other gateways that have it; see `Gateways`. */
  gateways?: string[];
}

export interface FeedHandlers<T> {
  object(object: T): void;
  /** A signed manifest or announcement, not verified yet. */
  envelope?(bytes: Uint8Array): void;
  exchange?(exchange: Exchange): void;
  /** False after each loss and each try that failed, true when the socket is open. */
  connected(up: boolean): void;
}

/** Where a feed comes from. */
export interface Dial {
  /** The socket's address, asked before each try. */
  url(): string;
  /** The connection is lost, or did not come: in how many ms is the next try? Null: none any more. */
  lost(): number | null;
  /** It speaks. */
  heard(): void;
}

/** A gateway that answers no handshake for so long is away. */
const CONNECT_MS = 5_000;
/** Without a word for this long the socket is asked; without an answer for as long again it is given up. */
const SILENCE_MS = 6_000;
/** Clock exchanges at the beginning, one after the other; later one per minute keeps up with the drift. */
const FIRST_EXCHANGES = 6;
const EXCHANGE_EVERY_MS = 60_000;
/** The longest text frame that is looked at. */
const MAX_TEXT = 1 << 20;

/** One address, tried again later and later. */
export function always(url: string): Dial {
  let attempt = 0;
  return {
    url: () => url,
    lost: () => {
      attempt += 1;
      return backoffMs(attempt - 1, Math.random());
    },
    heard: () => {
      attempt = 0;
    },
  };
}

/** Stays connected until closed: returns with growing, scattered delays and at once when the network returns. */
export class Feed<T> {
  #dial: Dial;
  #handlers: FeedHandlers<T>;
  #socket: WebSocket | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;
  #heardMs = 0;
  #askedMs = 0;
  #exchanges = 0;
  #closed = false;
  #announcements = true;

  constructor(dial: Dial, handlers: FeedHandlers<T>) {
    this.#dial = dial;
    this.#handlers = handlers;
    addEventListener("online", this.#now);
    this.#connect();
  }

  /** Whether announcements are wanted; a new connection begins with all there is. */
  set announcements(wanted: boolean) {
    const socket = this.#socket;
    if (wanted === this.#announcements || socket?.readyState !== WebSocket.OPEN) return;
    this.#announcements = wanted;
    socket.send(JSON.stringify({ announcements: wanted }));
  }

  /** Drops the connection and asks for everything anew: what came does not fit together. */
  restart(): void {
    this.#lose();
  }

  close(): void {
    this.#closed = true;
    removeEventListener("online", this.#now);
    clearTimeout(this.#retry);
    this.#lose();
  }

  #now = (): void => {
    if (this.#socket || this.#closed) return;
    clearTimeout(this.#retry);
    this.#connect();
  };

  #connect(): void {
    const { socket, messages } = begun(this.#dial.url());
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#retry = setTimeout(() => this.#lose(), CONNECT_MS);
    socket.onopen = () => this.#opened();
    socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => this.#heard(data);
    socket.onclose = () => this.#lose();
    // What came before is told as if it came now, when whoever made this feed has it.
    queueMicrotask(() => {
      if (this.#socket === socket && socket.readyState === WebSocket.OPEN) this.#opened();
      for (const data of messages) if (this.#socket === socket) this.#heard(data);
    });
  }

  #opened(): void {
    clearTimeout(this.#retry);
    this.#handlers.connected(true);
    this.#exchanges = 0;
    this.#announcements = true;
    this.#heardMs = performance.now();
    this.#ask();
    if (this.#handlers.exchange) this.#watch = setInterval(() => this.#check(), SILENCE_MS);
  }

  #heard(data: string | ArrayBuffer): void {
    this.#dial.heard();
    this.#heardMs = performance.now();
    if (typeof data === "string") this.#text(data);
    else {
      this.#handlers.envelope?.(new Uint8Array(data));
      if (this.#heardMs - this.#askedMs > EXCHANGE_EVERY_MS) this.#ask();
    }
  }

  /** Does not wait for the closing handshake: a peer that is gone does not answer it. */
  #lose(): void {
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = undefined;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    clearInterval(this.#watch);
    if (this.#closed) return;
    clearTimeout(this.#retry);
    const afterMs = this.#dial.lost();
    this.#handlers.connected(false);
    if (afterMs !== null && !this.#closed) this.#retry = setTimeout(() => this.#connect(), afterMs);
  }

  #text(text: string): void {
    if (text.length > MAX_TEXT) return this.#lose();
    let message: { t0?: unknown; clock?: unknown };
    try {
      message = JSON.parse(text) as typeof message;
    } catch {
      return this.#lose();
    }
    if (typeof message.t0 !== "number" || typeof message.clock !== "number") {
      this.#handlers.object(message as T);
      return;
    }
    this.#handlers.exchange?.({
      askedMs: message.t0,
      clockMicros: message.clock,
      heardMs: performance.now(),
    });
    this.#exchanges += 1;
    if (this.#exchanges < FIRST_EXCHANGES) this.#ask();
  }

  #ask(): void {
    if (!this.#handlers.exchange) return;
    this.#askedMs = performance.now();
    this.#socket?.send(JSON.stringify({ t0: this.#askedMs }));
  }

  /** A gateway that vanished without a word leaves the socket open for minutes; a question finds out. */
  #check(): void {
    const silent = performance.now() - this.#heardMs;
    if (silent > 2 * SILENCE_MS) this.#lose();
    else if (silent > SILENCE_MS) this.#ask();
  }
}

/** The socket to this address that the page has opened already, once; or a new one. */
function begun(url: string): Early {
  const early = globalThis.meshliveEarly;
  if (early?.socket.url !== url || early.socket.readyState > WebSocket.OPEN)
    return { socket: new WebSocket(url), messages: [] };
  globalThis.meshliveEarly = undefined;
  return early;
}
