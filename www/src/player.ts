// One viewer of one stream: feed, peer, playback and clock, wired once. The element above shows its `view`.

import { GatewayClock } from "./clock.ts";
import { Feed, type StreamObject } from "./feed.ts";
import { type Failure, type Message, message } from "./message.ts";
import { HttpParts } from "./parts.ts";
import { loadPeer, type Rendition, StreamPeer } from "./peer.ts";
import type { Playback, Quality } from "./playback.ts";
import { type ScreenHandlers, watchScreen } from "./screen.ts";
import { type Happening, handle } from "./state.ts";
import type { Counters, Stats } from "./stats.ts";
import { liveBase, socketUrl } from "./url.ts";

export interface PlayerOptions {
  gateway: string;
  /** Stream name or alias. */
  stream: string;
  video: HTMLVideoElement;
  /** Wanted latency in seconds, or null for the stream's own. */
  target: number | null;
  /** Whether it begins to play by itself. */
  autoplay: boolean;
  /** Something in `view` is new. */
  changed(): void;
  /** A source is attached that is wanted to play. */
  play(): void;
}

/** All that the element shows. */
export interface View {
  message: Message | null;
  object: StreamObject | null;
  qualities: Quality[];
  /** A rendition without video, when the stream has one. */
  audioOnly: string | null;
  /** The viewer's choice; null is automatic. */
  choice: string | null;
}

/** Envelopes that came before the peer was compiled; more would mean that it never will be. */
const MAX_EARLY = 256;
/** Latency in seconds when neither the element nor the playlist says otherwise. */
const DEFAULT_TARGET = 1;
/** A source that fell apart is loaded again this much later. */
const AGAIN_MS = 500;

export class Player {
  #options: PlayerOptions;
  #base: string;
  #feed: Feed<StreamObject>;
  #clock = new GatewayClock();
  #counters: Counters;
  #peer: StreamPeer | null = null;
  #compiled = false;
  #early: Uint8Array[] = [];
  #makePlayback: typeof Playback | null = null;
  #playback: Playback | null = null;
  #native = false;
  #object: StreamObject | null = null;
  #connected: boolean | null = null;
  /** A gateway that was started again has a new clock; the old offset holds until its first answer. */
  #newGateway = false;
  #failure: Failure | null = null;
  #seen = false;
  /** Whether it should be playing whenever there is something to play. */
  #wanted: boolean;
  #choice: string | null = null;
  #again: ReturnType<typeof setTimeout> | undefined;
  #closed = new AbortController();

  constructor(options: PlayerOptions, counters: Counters) {
    this.#options = options;
    this.#counters = counters;
    this.#wanted = options.autoplay;
    this.#base = liveBase(options.gateway, options.stream);
    watchScreen(options.video, this.#screen(), this.#closed.signal);
    this.#happen("load");
    this.#feed = new Feed<StreamObject>(socketUrl(`${this.#base}announcements`), {
      object: (object) => this.#told(object),
      envelope: (bytes) => this.#envelope(bytes),
      exchange: (exchange) => {
        if (this.#newGateway) this.#clock.reset();
        this.#newGateway = false;
        this.#clock.add(exchange);
      },
      connected: (up) => {
        this.#newGateway = true;
        this.#connected = up;
        this.#update();
      },
    });
    this.#load();
  }

  get stats(): Stats {
    const now = performance.now();
    const gatewayMs = this.#clock.at(now);
    const shownMs = this.#playback?.programDateMs() ?? this.#nativeDateMs();
    const latencyMs = this.#seen && gatewayMs !== null && shownMs !== null ? gatewayMs - shownMs : null;
    return this.#counters.read(now, latencyMs, []);
  }

  get view(): View {
    const object = this.#object;
    return {
      object,
      message: message({
        state: this.#counters.status.state,
        connected: this.#connected,
        told: object !== null,
        known: object?.stream != null,
        live: object?.live ?? false,
        seen: this.#seen,
        name: object?.alias || this.#options.stream,
        failure: this.#failure,
      }),
      qualities:
        this.#playback?.qualities.filter(({ rendition }) => rendition !== this.#audioOnly()?.id) ?? [],
      audioOnly: this.#audioOnly()?.id ?? null,
      choice: this.#choice,
    };
  }

  /** Null is automatic. Audio only is a source of its own, so that nothing of the video is loaded. */
  choose(rendition: string | null): void {
    const audio = this.#audioOnly()?.id ?? null;
    const reload = audio !== null && (rendition === audio) !== (this.#choice === audio);
    this.#choice = rendition;
    if (reload) this.#reload();
    else this.#playback?.choose(rendition);
    this.#update();
  }

  jumpToLive(): void {
    this.#playback?.jumpToLive();
  }

  /** Seconds behind the live edge, or null. */
  behind(): number | null {
    return this.#playback?.behind() ?? null;
  }

  close(): void {
    this.#closed.abort();
    clearTimeout(this.#again);
    this.#feed.close();
    this.#playback?.close();
    this.#peer?.close();
    this.#playback = this.#peer = null;
  }

  /** Peer and hls.js come side by side; whichever is first waits for the other. */
  async #load(): Promise<void> {
    if (typeof WebAssembly !== "object") return this.#fail({ kind: "webassembly" });
    try {
      const [{ Playback }] = await Promise.all([import("./playback.ts"), loadPeer()]);
      if (this.#closed.signal.aborted) return;
      this.#compiled = true;
      this.#native = !Playback.supported();
      if (this.#native && !this.#options.video.canPlayType("application/vnd.apple.mpegurl")) {
        return this.#fail({ kind: "mse" });
      }
      this.#makePlayback = Playback;
      this.#meet();
    } catch (error) {
      this.#fail({ kind: "load", reason: String(error) });
    }
  }

  #told(object: StreamObject): void {
    this.#object = object;
    if (object.stream?.startsWith("k51") && !this.#peer) {
      const asked = this.#options.stream;
      if (asked.startsWith("k51") && asked !== object.stream)
        return this.#fail({ kind: "name", name: asked });
    }
    const { state } = this.#counters.status;
    if (!object.stream) this.#happen("fail");
    else if (!object.live && !this.#seen) this.#happen("rest");
    else if (object.live && (!this.#seen || state === "ended")) this.#happen("load");
    this.#meet();
    this.#update();
  }

  /** As soon as both the stream's name and the compiled peer are there: the peer, and what waited for it. */
  #meet(): void {
    const name = this.#object?.stream;
    if (!name || !this.#compiled || this.#failure) return;
    if (this.#peer?.stream !== name) {
      this.#peer?.close();
      this.#peer = new StreamPeer(name);
    }
    const early = this.#early;
    this.#early = [];
    for (const bytes of early) this.#accept(bytes);
    this.#start();
  }

  #envelope(bytes: Uint8Array): void {
    if (this.#peer) {
      this.#accept(bytes);
      this.#start();
    } else if (this.#early.length < MAX_EARLY) this.#early.push(bytes);
  }

  #accept(bytes: Uint8Array): void {
    const { ended, latest } = this.#where();
    try {
      this.#peer?.accept(bytes);
    } catch (error) {
      // Not ours, or something before it was lost: a new connection begins with the whole window.
      console.warn(`mesh-player: an announcement is not accepted: ${error}`);
      this.#feed.restart();
    }
    const now = this.#where();
    // hls.js leaves an ended playlist for good, and one whose numbers begin anew is another to it.
    if ((ended && !now.ended) || now.latest < latest) this.#reload();
  }

  #where(): { ended: boolean; latest: number } {
    return { ended: this.#peer?.ended ?? false, latest: this.#peer?.latest()?.msn ?? -1 };
  }

  /** Begins to play as soon as there is something to play and something to play it with. */
  #start(): void {
    const { video, target } = this.#options;
    const peer = this.#peer;
    if (this.#playback || !this.#makePlayback || !peer || this.#failure) return;
    if (peer.ended || peer.latest() === null || peer.renditions().length === 0) return;
    this.#happen("load");
    if (this.#native) {
      if (video.src) return;
      video.src = `${this.#base}index.m3u8`;
      if (this.#wanted) this.#options.play();
      return;
    }
    const parts = new HttpParts((cid, bytes) => peer.verify(cid, bytes), this.#counters);
    const audio = this.#audioOnly();
    const wanted = target ?? peer.holdBack() ?? DEFAULT_TARGET;
    const path = audio && this.#choice === audio.id ? "index.m3u8?audio=1" : "index.m3u8";
    this.#playback = new this.#makePlayback(video, { base: this.#base, peer, parts }, path, wanted, {
      attached: () => this.#wanted && this.#options.play(),
      levels: () => {
        this.#counters.rendition = this.#playback?.rendition ?? this.#counters.rendition;
        this.#update();
      },
      failed: (reason, codecs) => {
        const all = peer.renditions().map((rendition) => rendition.codecs);
        if (codecs === null) this.#fail({ kind: "media", reason });
        else this.#fail({ kind: "codec", codecs: codecs || all.join(",") });
      },
      again: () => {
        clearTimeout(this.#again);
        this.#again = setTimeout(() => this.#reload(), AGAIN_MS);
      },
    });
  }

  #reload(): void {
    this.#playback?.close();
    this.#playback = null;
    this.#start();
  }

  #audioOnly(): Rendition | undefined {
    if (!this.#peer || !this.#playback) return undefined;
    const all = this.#peer.renditions();
    return all.some((rendition) => !rendition.audioOnly) ? all.find((one) => one.audioOnly) : undefined;
  }

  #screen(): ScreenHandlers {
    return {
      shown: () => {
        this.#counters.frame(performance.now());
        this.#seen = true;
        this.#update();
      },
      wanted: (play) => {
        this.#wanted = play;
      },
      happen: (happening) => this.#happen(happening),
      starved: () => {
        // A publisher that stopped is the stream's end, not this viewer's stall.
        if (this.#object?.live === false) return this.#happen("end");
        if (this.#counters.status.state === "playing") this.#playback?.stalled();
        this.#happen("starve");
      },
    };
  }

  #nativeDateMs(): number | null {
    if (!this.#native) return null;
    const { video } = this.#options;
    // Safari's own: the date of the media timeline's zero.
    const start = (video as { getStartDate?: () => Date }).getStartDate?.().getTime();
    return start === undefined || Number.isNaN(start) ? null : start + video.currentTime * 1000;
  }

  #fail(failure: Failure): void {
    this.#failure ??= failure;
    this.#playback?.close();
    this.#playback = null;
    this.#happen("fail");
    this.#update();
  }

  #happen(happening: Happening): void {
    const before = this.#counters.status;
    this.#counters.status = handle(before, happening, performance.now());
    if (this.#counters.status.state !== before.state) this.#update();
  }

  #update(): void {
    if (!this.#closed.signal.aborted) this.#options.changed();
  }
}
