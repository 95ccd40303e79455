// What is known of one stream: the gateway's word about it, its verified window, and the gateway's clock.

import { GatewayClock } from "./clock.ts";
import { Feed, type StreamObject } from "./feed.ts";
import { StreamPeer } from "./peer.ts";
import { socketUrl } from "./url.ts";

export interface FollowHandlers {
  /** The gateway said what the stream is, or the connection came or went. */
  told(): void;
  /** The verified window moved on. */
  news(): void;
  /** What was known is void: the stream returned after its end, began its numbers anew, or is another now. */
  anew(): void;
  /** The gateway offers another stream than the one that was asked for by name. */
  impostor(): void;
}

/** Envelopes that came before the peer was compiled; more would mean that it never will be. */
const MAX_EARLY = 256;

export class Follow {
  readonly clock = new GatewayClock();
  /** The verified window; null until the peer is compiled and the stream's name is known. */
  peer: StreamPeer | null = null;
  /** The gateway's own word, which nothing but texts and the waiting depend on. */
  object: StreamObject | null = null;
  /** Whether the socket is open; null before the first try ended. */
  connected: boolean | null = null;
  #asked: string;
  #handlers: FollowHandlers;
  #feed: Feed<StreamObject>;
  #compiled = false;
  #early: Uint8Array[] = [];
  /** A gateway that was started again has a new clock; the old offset holds until its first answer. */
  #newGateway = false;

  /** `asked` is the stream name or alias that was asked for, `base` its folder on the gateway. */
  constructor(base: string, asked: string, handlers: FollowHandlers) {
    this.#asked = asked;
    this.#handlers = handlers;
    this.#feed = new Feed<StreamObject>(socketUrl(`${base}announcements`), {
      object: (object) => {
        this.object = object;
        this.#meet();
        handlers.told();
      },
      envelope: (bytes) => this.#envelope(bytes),
      exchange: (exchange) => {
        if (this.#newGateway) this.clock.reset();
        this.#newGateway = false;
        this.clock.add(exchange);
      },
      connected: (up) => {
        this.#newGateway = true;
        this.connected = up;
        handlers.told();
      },
    });
  }

  /** To be called once, when `loadPeer()` is done. */
  compiled(): void {
    this.#compiled = true;
    this.#meet();
  }

  close(): void {
    this.#feed.close();
    this.peer?.close();
    this.peer = null;
  }

  /** As soon as both the stream's name and the compiled peer are there: the peer, and what waited for it. */
  #meet(): void {
    const name = this.object?.stream;
    if (!name || !this.#compiled || this.peer?.stream === name) return;
    // An alias is the gateway's to give; a name that was asked for is not.
    if (this.#asked.startsWith("k51") && this.#asked !== name) return this.#handlers.impostor();
    const before = this.peer;
    try {
      this.peer = new StreamPeer(name);
    } catch {
      return this.#handlers.impostor();
    }
    if (before) this.#handlers.anew();
    before?.close();
    const early = this.#early;
    this.#early = [];
    for (const bytes of early) this.#accept(this.peer, bytes);
  }

  #envelope(bytes: Uint8Array): void {
    if (this.peer) this.#accept(this.peer, bytes);
    else if (this.#early.length < MAX_EARLY) this.#early.push(bytes);
  }

  #accept(peer: StreamPeer, bytes: Uint8Array): void {
    const { ended } = peer;
    const latest = peer.latest()?.msn ?? -1;
    try {
      peer.accept(bytes);
    } catch (error) {
      // Not ours, or something before it was lost: a new connection begins with the whole window.
      console.warn(`mesh-player: an announcement is not accepted: ${error}`);
      return this.#feed.restart();
    }
    // hls.js leaves an ended playlist for good, and one whose numbers begin anew is another to it.
    if ((ended && !peer.ended) || (peer.latest()?.msn ?? -1) < latest) this.#handlers.anew();
    this.#handlers.news();
  }
}
