// What is known of one stream: the gateway's word about it, its verified window, and the gateway's clock.

import { GatewayClock } from "./clock.ts";
import { Feed, type StreamObject } from "./feed.ts";
import { HttpParts, type PartSource, PeerParts } from "./parts.ts";
import { StreamPeer } from "./peer.ts";
import type { Counters } from "./stats.ts";
import { type Position, socketUrl } from "./url.ts";

export interface FollowHandlers {
  /** The gateway said what the stream is, or the connection came or went. */
  told(): void;
  /** The stream has a peer, in place of the one before if there was one. */
  met(peer: StreamPeer): void;
  /** The verified window moved on. */
  news(): void;
  /** The link became too narrow for what is selected. */
  narrowed(): void;
  /** What was known is void: the stream began its numbers anew, or is another now. */
  anew(): void;
  /** The gateway offers another stream than the one that was asked for by name. */
  impostor(): void;
}

/** A stream's peer, the source of its parts, and the newest part at its last news. */
interface Met {
  peer: StreamPeer;
  parts: PeerParts;
  latest: Position | null;
}

/** Envelopes that came before the peer was compiled; more would mean that it never will be. */
const MAX_EARLY = 256;

export class Follow {
  readonly clock = new GatewayClock();
  /** The gateway's own word, which nothing but texts and the waiting depend on. */
  object: StreamObject | null = null;
  /** Whether the socket is open; null before the first try ended. */
  connected: boolean | null = null;
  #base: string;
  #asked: string;
  #counters: Counters;
  #handlers: FollowHandlers;
  #feed: Feed<StreamObject>;
  #met: Met | null = null;
  #compiled = false;
  #early: Uint8Array[] = [];
  /** A gateway that was started again has a new clock; the old offset holds until its first answer. */
  #newGateway = false;

  /** `asked` is the stream name or alias that was asked for, `base` its folder on the gateway. */
  constructor(base: string, asked: string, counters: Counters, handlers: FollowHandlers) {
    this.#base = base;
    this.#asked = asked;
    this.#counters = counters;
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

  /** The verified window; null until the peer is compiled and the stream's name is known. */
  get peer(): StreamPeer | null {
    return this.#met?.peer ?? null;
  }

  /** Where the stream's parts come from; there as soon as the peer is. */
  get parts(): PartSource | null {
    return this.#met?.parts ?? null;
  }

  /** To be called once, when `loadPeer()` is done. */
  compiled(): void {
    this.#compiled = true;
    this.#meet();
  }

  /** To be called now and then: the socket need not bring again what the gateway's link to the peer brings. */
  look(): void {
    this.#feed.announcements = !(this.peer?.isTold ?? false);
  }

  close(): void {
    this.#feed.close();
    if (this.#met) this.#leave(this.#met);
    this.#met = null;
  }

  /** As soon as both the stream's name and the compiled peer are there: the peer, and what waited for it. */
  #meet(): void {
    const name = this.object?.stream;
    if (!name || !this.#compiled || this.peer?.stream === name) return;
    // An alias is the gateway's to give; a name that was asked for is not.
    if (this.#asked.startsWith("k51") && this.#asked !== name) return this.#handlers.impostor();
    const before = this.#met;
    let peer: StreamPeer;
    try {
      peer = new StreamPeer(name);
    } catch {
      return this.#handlers.impostor();
    }
    const http = new HttpParts((cid, bytes) => peer.verify(cid, bytes), this.#counters);
    const parts = new PeerParts(peer, http, this.#base);
    const met = { peer, parts, latest: null };
    peer.handlers = {
      fetch: (key, place) => parts.fetch(key, place),
      abort: (key) => parts.abort(key),
      ready: (key) => parts.ready(key),
      gone: (key) => parts.gone(key),
      news: () => this.#moved(met),
      narrowed: () => this.#handlers.narrowed(),
    };
    this.#met = met;
    this.#handlers.met(peer);
    if (before) {
      this.#handlers.anew();
      this.#leave(before);
    }
    const early = this.#early;
    this.#early = [];
    for (const bytes of early) this.#accept(peer, bytes);
  }

  #leave({ peer, parts }: Met): void {
    parts.close();
    this.#counters.retire(peer.stats());
    peer.close();
  }

  #envelope(bytes: Uint8Array): void {
    if (this.peer) this.#accept(this.peer, bytes);
    else if (this.#early.length < MAX_EARLY) this.#early.push(bytes);
  }

  #accept(peer: StreamPeer, bytes: Uint8Array): void {
    try {
      peer.accept(bytes);
    } catch (error) {
      // Not ours, or something before it was lost: a new connection begins with the whole window.
      console.warn(`mesh-player: an announcement is not accepted: ${error}`);
      this.#feed.restart();
    }
  }

  /** The window moved on, by the gateway's socket or by a neighbour. */
  #moved(met: Met): void {
    const { latest } = met;
    met.latest = met.peer.latest();
    if ((met.latest?.msn ?? -1) < (latest?.msn ?? -1)) this.#handlers.anew();
    this.#handlers.news();
  }
}
