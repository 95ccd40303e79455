// What is known of one stream: the gateway's word about it, its verified window, and the gateway's clock; and which of the
// gateways that have it this viewer is at. When that one is gone it is at another at once; when it only says nothing any
// more, another is asked beside it, and is the one as soon as it has news: also later, for as long as both are silent. When
// the first is back and steady, the viewer goes back there.

import type { Exchange } from "./clock.ts";
import { GatewayClock } from "./clock.ts";
import { Feed, type StreamObject } from "./feed.ts";
import type { Gateways } from "./gateways.ts";
import { Home } from "./home.ts";
import { HttpParts, type PartSource, PeerParts } from "./parts.ts";
import { StreamPeer } from "./peer.ts";
import { Silence } from "./silence.ts";
import type { Counters } from "./stats.ts";
import { type Position, partUrl, socketUrl } from "./url.ts";

export interface FollowHandlers {
  /** The gateway said what the stream is, or the connection came or went. */
  told(): void;
  /** The stream has a peer, in place of the one before if there was one. */
  met(peer: StreamPeer): void;
  /** The verified window moved on, or all that there was of it is here. */
  news(): void;
  /** The link became too narrow for what is selected. */
  narrowed(): void;
  /** What was known is void: the stream began its numbers anew, or is another now. */
  anew(): void;
  /** Everything comes from another gateway from now on. */
  moved(): void;
  /** Whether a way back to the first gateway is not seen. */
  returns(): boolean;
  /** The gateway offers another stream than the one that was asked for by name. */
  impostor(): void;
}

/** A stream's peer, the source of its parts, and the newest part at its last news. */
interface Met {
  peer: StreamPeer;
  parts: PeerParts;
  latest: Position | null;
}

/** Bytes of envelopes that come before the peer is compiled, a mirror's window and what is behind it among them. */
const MAX_EARLY = 4 << 20;

/** A gateway that is asked beside one that is silent has so long to know more. */
const ANSWERS_MS = 2_500;
/** Nothing is looked at sooner again. */
const SOONEST_MS = 20;
/** The first gateway is back when it has what is newest within this. */
const NEWEST_MS = 1_000;
/** Where nobody else could be asked, it is looked for others after so long. */
const ALONE_MS = 1_000;

/** A gateway that is asked beside the one where the viewer is. */
interface Other {
  gateway: string;
  feed: Feed<StreamObject>;
  /** It has said what it knows. */
  answers: boolean;
  /** It is the first, where the viewer goes as soon as that has told its window. */
  isHome: boolean;
  untilMs: number;
  /** Who had answered, and was left for this one. */
  instead: string | null;
  /** It is the one from now on. */
  take(): void;
}

export class Follow {
  readonly gateways: Gateways;
  readonly clock = new GatewayClock();
  /** The gateway's own word, which nothing but texts and the waiting depend on. */
  object: StreamObject | null = null;
  /** Whether the socket is open; null before the first try ended. */
  connected: boolean | null = null;
  /**
   * Whether all is here that the gateway knew when its socket opened. A mirror tells a window that may be a minute old and then
   * what came since, one after the other: whoever began to play before the last of it would be that far behind live.
   */
  isUpToDate = false;
  #asked: string;
  #counters: Counters;
  #handlers: FollowHandlers;
  #feed: Feed<StreamObject>;
  #met: Met | null = null;
  #compiled = false;
  #early: Uint8Array[] = [];
  #earlyBytes = 0;
  /** A gateway that was started again has a new clock; the old offset holds until its first answer. */
  #newGateway = false;
  #other: Other | null = null;
  #silence = new Silence(performance.now());
  #watch: { timer: ReturnType<typeof setTimeout>; atMs: number } | null = null;
  #closed = false;
  #home = new Home();
  #homeWatch: ReturnType<typeof setTimeout> | undefined;

  /** `asked` is the stream name or alias that was asked for. */
  constructor(gateways: Gateways, asked: string, counters: Counters, handlers: FollowHandlers) {
    this.gateways = gateways;
    this.#asked = asked;
    this.#counters = counters;
    this.#handlers = handlers;
    this.#feed = this.#ask(null);
    this.#listenLater(this.#silence.dueMs);
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
    // Who is silent tells nothing, whatever its link said a moment ago.
    this.#feed.announcements = this.#silence.isQuiet(performance.now()) || !(this.peer?.isTold ?? false);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#watch?.timer);
    clearTimeout(this.#homeWatch);
    this.#forget();
    this.#feed.close();
    if (this.#met) this.#leave(this.#met);
    this.#met = null;
  }

  /** Of the gateway where the viewer is, or of another beside it, which is to know more first; see `Other`. */
  #ask(
    beside: string | null,
    { isHome = false, instead = null }: Partial<Pick<Other, "isHome" | "instead">> = {},
  ): Feed<StreamObject> {
    const { gateways } = this;
    let asked = beside;
    let object: StreamObject | null = null;
    let exchanges: Exchange[] = [];
    const dial = {
      url: () => socketUrl(`${gateways.folder(asked ?? gateways.at)}announcements`),
      lost: () => {
        if (asked !== null) {
          const other = this.#other;
          this.#other = null;
          this.#unheard(asked, other?.gateway === asked ? other.instead : null);
          return null;
        }
        const before = gateways.at;
        const afterMs = gateways.leave(performance.now());
        if (gateways.at !== before) this.#arrived();
        return afterMs;
      },
      heard: () => gateways.well(asked ?? gateways.at),
    };
    const take = (): void => {
      asked = null;
      this.#newGateway = true;
      this.isUpToDate = false;
      this.connected = true;
      if (object) this.object = object;
      for (const exchange of exchanges) this.#exchanged(exchange);
      exchanges = [];
    };
    const feed = new Feed<StreamObject>(dial, {
      object: (told) => {
        gateways.told(told.gateways);
        // Another than the first is only asked for the stream's own name.
        if (told.stream !== this.peer?.stream && (asked !== null || !gateways.isHome)) return feed.restart();
        object = told;
        if (asked !== null) {
          if (this.#other?.gateway === asked) this.#other.answers = true;
          return;
        }
        this.object = told;
        this.#meet();
        this.#handlers.told();
      },
      envelope: (bytes) => {
        if (asked === null) this.#envelope(bytes);
        else this.#compare(bytes);
      },
      exchange: (exchange) => {
        if (asked === null) this.#exchanged(exchange);
        else exchanges.push(exchange);
      },
      connected: (up) => {
        if (asked !== null) return;
        this.#newGateway = true;
        if (up) this.isUpToDate = false;
        this.connected = up;
        this.#handlers.told();
      },
    });
    if (beside !== null) {
      const untilMs = performance.now() + ANSWERS_MS;
      this.#other = { gateway: beside, feed, answers: false, isHome, untilMs, instead, take };
    }
    return feed;
  }

  #exchanged(exchange: Exchange): void {
    if (this.#newGateway) this.clock.reset();
    this.#newGateway = false;
    this.clock.add(exchange);
    if (this.isUpToDate) return;
    // It answers when it has told all there was.
    this.isUpToDate = true;
    this.#handlers.news();
  }

  /**
   * Waits for the moment at which the gateway would have been silent for too long. All news move it on, and leave the timer as
   * it is: what it finds then is that it is to be set again.
   */
  #listenLater(atMs: number): void {
    if (this.#watch && this.#watch.atMs <= atMs) return;
    clearTimeout(this.#watch?.timer);
    const timer = setTimeout(() => this.#listen(), Math.max(SOONEST_MS, atMs - performance.now()));
    this.#watch = { timer, atMs };
  }

  /** Whether the gateway still gives anything; where it does not, another is asked. */
  #listen(): void {
    const { peer, gateways } = this;
    const now = performance.now();
    this.#watch = null;
    if (this.#other && now >= this.#other.untilMs) {
      const { gateway, answers, instead } = this.#other;
      this.#silence.nobody(now);
      // Who answers and knows no more either may be the first to have news when there are any.
      if (answers) this.#other.untilMs = Number.POSITIVE_INFINITY;
      else {
        this.#forget();
        this.#unheard(gateway, instead);
      }
    }
    if (this.#other && this.#other.untilMs < Number.POSITIVE_INFINITY)
      return this.#listenLater(this.#other.untilMs);
    // Then news begin it again.
    if (!peer || peer.ended || peer.latest() === null) return this.#forget();
    this.#silence.flowed(this.#met?.parts.aliveMs ?? 0);
    const given = () => peer.stats().peers.reduce((sum, { bytesIn }) => sum + bytesIn, 0);
    if (!this.#silence.look(now, given)) return this.#listenLater(this.#silence.dueMs);
    const other = gateways.other(now, this.#other?.gateway);
    if (other !== null) {
      const instead = this.#other?.answers ? this.#other.gateway : null;
      this.#forget();
      this.#ask(other, { instead });
    }
    this.#listenLater(now + (other === null ? ALONE_MS : ANSWERS_MS));
  }

  #lookHomeLater(): void {
    clearTimeout(this.#homeWatch);
    if (this.gateways.isHome) return;
    const afterMs = Math.max(SOONEST_MS, this.#home.dueMs - performance.now());
    this.#homeWatch = setTimeout(() => this.#lookHome(), afterMs);
  }

  /** Whether the first gateway has what is newest; when it has had that for long enough the viewer goes there. */
  async #lookHome(): Promise<void> {
    const { gateways, peer } = this;
    const latest = peer?.latest();
    const [first] = peer?.renditions() ?? [];
    // It was asked for its window, and did not give it.
    if (this.#other?.isHome) this.#forget();
    let had = false;
    if (latest && first && !peer?.ended && !this.#other && this.#handlers.returns()) {
      const url = partUrl(gateways.folder(gateways.home), first.id, latest.msn, latest.part);
      had = await answers(url);
    }
    if (gateways.isHome || this.#closed) return;
    const isSteady = this.#home.looked(had, performance.now());
    if (isSteady && !this.#other) this.#ask(gateways.home, { isHome: true });
    this.#lookHomeLater();
  }

  /** Another gateway than the one that is silent says something: is it new? */
  #compare(bytes: Uint8Array): void {
    const other = this.#other;
    if (!other) return;
    this.#other = null; // where it is new, it is no news of the one that is silent
    let isNew = false;
    try {
      isNew = this.peer?.accept(bytes) ?? false;
    } catch {
      return other.feed.restart(); // and is none any more
    }
    if (!isNew && !other.isHome) {
      this.#other = other;
      return;
    }
    this.#feed.close();
    this.#feed = other.feed;
    if (!other.isHome) this.gateways.failed(this.gateways.at, performance.now());
    this.gateways.go(other.gateway);
    other.take();
    this.#arrived();
    this.#handlers.told();
  }

  /** Another gateway is of no use: whoever answered before it is listened to again. */
  #unheard(gateway: string, instead: string | null): void {
    this.gateways.failed(gateway, performance.now());
    if (instead !== null) this.#ask(instead);
  }

  #arrived(): void {
    this.#met?.parts.moved();
    this.#home.moved(this.gateways.isHome, performance.now());
    this.#lookHomeLater();
    this.#handlers.moved();
  }

  #forget(): void {
    this.#other?.feed.close();
    this.#other = null;
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
    this.gateways.name = name;
    const verify = (cid: string, bytes: Uint8Array): boolean => peer.verify(cid, bytes);
    const http = new HttpParts(verify, this.#counters, undefined, this.gateways);
    const parts = new PeerParts(peer, http, this.gateways.base, this.gateways);
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
    this.#earlyBytes = 0;
    for (const bytes of early) this.#accept(peer, bytes);
  }

  #leave({ peer, parts }: Met): void {
    parts.close();
    this.#counters.retire(peer.stats());
    peer.close();
  }

  #envelope(bytes: Uint8Array): void {
    if (this.peer) this.#accept(this.peer, bytes);
    else if (this.#earlyBytes + bytes.length <= MAX_EARLY) {
      this.#early.push(bytes);
      this.#earlyBytes += 1 + bytes.length;
    }
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
    this.#silence.heard(performance.now());
    if (!this.#other?.isHome) this.#forget();
    this.#listenLater(this.#silence.dueMs);
    met.latest = met.peer.latest();
    if ((met.latest?.msn ?? -1) < (latest?.msn ?? -1)) this.#handlers.anew();
    this.#handlers.news();
  }
}

/** Whether a gateway has this, and soon; it waits itself for what it is to have in a moment. */
async function answers(url: string): Promise<boolean> {
  const signal = AbortSignal.timeout(NEWEST_MS);
  try {
    return (await fetch(url, { method: "HEAD", signal, credentials: "omit", cache: "no-store" })).ok;
  } catch {
    return false;
  }
}
