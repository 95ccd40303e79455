// One viewer of one stream: what is known of it, its playback and the screen, wired once. The element shows its `view`.

import { Attention } from "./attention.ts";
import type { StreamObject } from "./feed.ts";
import { Follow } from "./follow.ts";
import { Gateways } from "./gateways.ts";
import { type Failure, type Message, message } from "./message.ts";
import { Network } from "./network.ts";
import { loadPeer } from "./peer.ts";
import type { Playback } from "./playback.ts";
import { automatic, plays, type Qualities, qualities } from "./quality.ts";
import { Reloads } from "./reloads.ts";
import { Rewind, type RewindHost } from "./rewind.ts";
import { type ScreenHandlers, watchScreen } from "./screen.ts";
import type { Shown } from "./seek-bar.ts";
import { type Happening, handle } from "./state.ts";
import type { Counters, Stats } from "./stats.ts";
import { onlyPath } from "./url.ts";

export interface PlayerOptions {
  gateway: string;
  /** Stream name or alias. */
  stream: string;
  video: HTMLVideoElement;
  /** Over the picture, hidden: what is held while the source changes. */
  canvas: HTMLCanvasElement;
  /** Wanted latency in seconds, or null for the stream's own. */
  target: number | null;
  /** Whether it begins to play by itself. */
  autoplay: boolean;
  /** Whether it feeds other viewers and is fed by them; see `Player.sharing`. */
  sharing: boolean;
  /** Something in `view` is new. */
  changed(): void;
  /** The picture is at another time. */
  moved(): void;
  /** A source is attached that is wanted to play. */
  play(): void;
}

/** All that the element shows. */
export interface View {
  message: Message | null;
  object: StreamObject | null;
  qualities: Qualities;
  /** The viewer's choice of a rendition; null is automatic. */
  choice: string | null;
  /** Whether a picture was on screen; until then nothing is done that can wait. */
  seen: boolean;
}

/** Latency in seconds when neither the element nor the playlist says otherwise. */
const DEFAULT_TARGET = 1;
/**
 * Seconds that are added as soon as there are neighbours: a part has two ways more to go, the push to its seed and the
 * one from there, and when a neighbour fails or a link narrows there is time to get it elsewhere.
 */
const WITH_NEIGHBOURS = 0.9;

/** So long it is said what of the past is not shown, ms. */
const TOLD_MS = 20_000;

export class Player {
  #options: PlayerOptions;
  #base: string;
  #counters: Counters;
  #follow: Follow;
  #network: Network;
  #attention = new Attention();
  #makePlayback: typeof Playback | null = null;
  #playback: Playback | null = null;
  #native = false;
  #failure: Failure | null = null;
  #seen = false;
  /** Whether it should be playing whenever there is something to play. */
  #wanted: boolean;
  #choice: string | null = null;
  #sharing: boolean;
  /** The gateway whose socket was open when it was last heard of. */
  #connected: string | null = null;
  /** The playlist that the newest playback began with. */
  #loaded = "index.m3u8";
  #again: ReturnType<typeof setTimeout> | undefined;
  /** What of the past was not shown, and why. */
  #untrue: string | null = null;
  #untold: ReturnType<typeof setTimeout> | undefined;
  #closed = new AbortController();
  #reloads = new Reloads();
  /** The way back into what is past. */
  #rewind: Rewind;
  /** Whether someone wanted to know what is past. */
  #curious = false;

  constructor(options: PlayerOptions, counters: Counters) {
    this.#options = options;
    this.#counters = counters;
    this.#wanted = options.autoplay;
    this.#sharing = options.sharing;
    const gateways = new Gateways(options.gateway, options.stream, location.protocol === "https:");
    this.#base = gateways.base;
    this.#network = new Network(options.gateway, options.sharing);
    this.#rewind = new Rewind(this.#rewindHost());
    watchScreen(options.video, this.#screen(), this.#closed.signal);
    this.#happen("load");
    this.#follow = new Follow(gateways, options.stream, counters, {
      told: () => this.#told(),
      met: (peer) => {
        this.#attention.peer = peer;
        if (!this.#native) this.#network.peer = peer;
      },
      news: () => this.#news(),
      narrowed: () => this.#playback?.narrowed(),
      anew: () => this.#reload(),
      moved: () => this.#moved(),
      returns: () => !this.#native,
      impostor: () => this.#fail({ kind: "name", name: options.stream }),
    });
    this.#load();
  }

  get stats(): Stats {
    const now = performance.now();
    const gatewayMs = this.#follow.clock.at(now);
    const shownMs = this.#shownMs();
    const latencyMs = this.#seen && gatewayMs !== null && shownMs !== null ? gatewayMs - shownMs : null;
    return this.#counters.read(now, latencyMs, this.#follow.peer?.stats() ?? null);
  }

  get view(): View {
    const { object, connected } = this.#follow;
    return {
      object,
      message: message({
        state: this.#counters.status.state,
        connected,
        told: object !== null,
        known: object?.stream != null,
        live: object?.live ?? false,
        sought: object?.sought ?? false,
        seen: this.#seen,
        past: this.#rewind.isPast,
        name: object?.alias || this.#options.stream,
        untrue: this.#untrue,
        failure: this.#failure,
      }),
      qualities: this.#qualities(),
      choice: this.#choice,
      seen: this.#seen,
    };
  }

  /** What the seek bar shows; null where this browser's own player has no way back. */
  get seekable(): Shown | null {
    if (!this.#makePlayback || this.#native) return null;
    const { timeline, isPast } = this.#rewind;
    return {
      timeline,
      at: this.#shownMs() ?? timeline.end,
      live: !isPast && (this.#follow.object?.live ?? false),
    };
  }

  /** Whether what is past is on screen. */
  get isPast(): boolean {
    return this.#rewind.isPast;
  }

  /** Asks what there is to see that is past, unless that is known. */
  recall(): void {
    this.#curious = true;
    if (this.#makePlayback && !this.#native && this.#follow.object?.stream) void this.#rewind.recall();
  }

  /** Shows a time, ms since 1970; null is live. */
  seek(at: number | null): void {
    this.#tell(null);
    void this.#rewind.seek(at);
  }

  /** Off: it plays over HTTP alone, uploads nothing, and no viewer is told its address. */
  get sharing(): boolean {
    return this.#sharing;
  }

  set sharing(on: boolean) {
    this.#sharing = on;
    this.#network.sharing = on;
  }

  /**
   * Null is automatic. What is not among that is a source of its own: of audio only, so that nothing of the video is
   * loaded; of the publisher's own codecs, so that these are never mixed with others.
   */
  choose(rendition: string | null): void {
    const reload = this.#path(rendition) !== this.#loaded;
    this.#choice = rendition;
    if (this.#rewind.isPast) this.#rewind.choose();
    else if (reload) {
      // The pause that this makes is the viewer's choice, not a stall.
      this.#happen("rest");
      this.#reload();
    } else this.#playback?.choose(rendition);
    this.#update();
  }

  jumpToLive(): void {
    if (this.#rewind.isPast) this.seek(null);
    else this.#playback?.jumpToLive();
  }

  close(): void {
    this.#closed.abort();
    clearTimeout(this.#again);
    clearTimeout(this.#untold);
    this.#rest();
    this.#rewind.close();
    this.#attention.close();
    this.#network.close();
    this.#follow.close();
  }

  /** Peer and hls.js come side by side; whichever is first waits for the other. */
  async #load(): Promise<void> {
    if (typeof WebAssembly !== "object") return this.#fail({ kind: "webassembly" });
    try {
      const [{ Playback }] = await Promise.all([import("./playback.ts"), loadPeer()]);
      if (this.#closed.signal.aborted) return;
      this.#native = !Playback.supported();
      if (this.#native && !this.#options.video.canPlayType("application/vnd.apple.mpegurl")) {
        return this.#fail({ kind: "mse" });
      }
      this.#makePlayback = Playback;
      this.#follow.compiled();
      this.#start();
      if (this.#curious) this.recall();
    } catch (error) {
      this.#fail({ kind: "load", reason: String(error) });
    }
  }

  #told(): void {
    const { object, connected } = this.#follow;
    const gateway = connected ? this.#follow.gateways.at : null;
    if (gateway !== null && gateway !== this.#connected) this.#network.renew(gateway);
    this.#connected = gateway;
    if (this.#curious && this.#rewind.timeline.isEmpty) this.recall();
    const { state } = this.#counters.status;
    if (this.#rewind.isPast) return this.#update();
    if (object && !object.stream) this.#happen("fail");
    else if (object && !object.live && !this.#seen) this.#happen("rest");
    else if (object?.live && (!this.#seen || state === "ended")) this.#happen("load");
    this.#update();
  }

  /** Begins to play as soon as there is something to play and something to play it with. */
  #start(): void {
    const { video, target } = this.#options;
    const { peer, parts } = this.#follow;
    if (this.#playback || !this.#makePlayback || !peer || !parts || this.#failure) return;
    if (this.#rewind.isPast || !this.#follow.isUpToDate) return;
    if (peer.ended || peer.latest() === null || peer.renditions().length === 0) return;
    this.#happen("load");
    if (this.#native) {
      if (video.src) return;
      video.src = `${this.#follow.gateways.folder()}index.m3u8`;
      if (this.#wanted) this.#options.play();
      return;
    }
    const wanted = target ?? peer.holdBack() ?? DEFAULT_TARGET;
    const path = this.#path(this.#choice);
    this.#loaded = path;
    const source = { base: this.#base, peer, parts, estimate: () => peer.estimate };
    this.#playback = new this.#makePlayback(video, source, path, wanted, {
      attached: () => {
        this.#rewind.attached();
        if (this.#wanted) this.#options.play();
      },
      parsed: () => this.#playback?.choose(this.#choice),
      levels: () => {
        this.#counters.rendition = this.#playback?.rendition ?? this.#counters.rendition;
        this.#update();
      },
      loading: (rendition) => {
        this.#attention.wanted = [rendition];
      },
      failed: (reason, codecs) => {
        const all = peer.renditions().map((rendition) => rendition.codecs);
        if (codecs === null) this.#fail({ kind: "media", reason });
        else this.#fail({ kind: "codec", codecs: codecs || all.join(",") });
      },
      again: () => {
        clearTimeout(this.#again);
        const afterMs = this.#reloads.afterMs(this.#counters.status, performance.now());
        this.#again = setTimeout(() => this.#reload(), afterMs);
      },
    });
  }

  #reload(): void {
    this.#rest();
    this.#start();
  }

  #rewindHost(): RewindHost {
    const { video, canvas } = this.#options;
    return {
      video,
      canvas,
      gateway: () => ({ origin: this.#follow.gateways.at, folder: this.#follow.gateways.folder() }),
      gateways: () => this.#follow.gateways.all,
      stream: () => this.#follow.peer?.stream ?? null,
      live: () => this.#follow.object?.live ?? false,
      now: () => this.#follow.clock.at(performance.now()) ?? Date.now(),
      choice: () => ({
        rendition: this.#choice,
        audioOnly: this.#choice !== null && this.#choice === this.#qualities().audioOnly?.rendition,
      }),
      left: () => {
        // What this takes is the viewer's wish, not a stall.
        this.#rest();
        this.#happen("rest");
        this.#happen("load");
      },
      back: () => {
        this.#happen("rest");
        this.#start();
        if (!this.#playback) this.#rewind.release();
      },
      attached: () => this.#wanted && this.#options.play(),
      levels: () => {
        this.#counters.rendition = this.#rewind.rendition ?? this.#counters.rendition;
        this.#update();
      },
      changed: () => this.#update(),
      untrue: (error) => {
        this.#tell(error);
        this.#update();
      },
    };
  }

  /** Says for a while, or until something else is sought, what of the past is not shown. */
  #tell(untrue: Error | null): void {
    clearTimeout(this.#untold);
    this.#untrue = untrue?.message ?? null;
    if (!untrue) return;
    this.#untold = setTimeout(() => {
      this.#untrue = null;
      this.#update();
    }, TOLD_MS);
  }

  /** The program date time of what is on screen, ms since 1970. */
  #shownMs(): number | null {
    return this.#rewind.programDateMs() ?? this.#playback?.programDateMs() ?? this.#nativeDateMs();
  }

  /** Safari's own player knows one address; all else is asked at the new gateway by itself. */
  #moved(): void {
    if (!this.#native || !this.#options.video.src) return;
    this.#options.video.src = `${this.#follow.gateways.folder()}index.m3u8`;
    if (this.#wanted) this.#options.play();
  }

  /** Ends the playback that there is. */
  #rest(): void {
    this.#playback?.close();
    this.#playback = null;
    this.#attention.wanted = [];
  }

  /** Tells the engine where the picture is. */
  #look = (): void => {
    const { video } = this.#options;
    const moving = !video.paused && !video.seeking && video.readyState > 2;
    // Where nothing can be shown it only waits to be somewhere else: at the start before it is at the live edge.
    const at = video.readyState < 2 ? null : (this.#playback?.programDateMs() ?? null);
    this.#attention.look(at, moving);
    this.#options.moved();
    this.#follow.look();
    // Not taken back when they leave: others come, and each change of pace is heard.
    if (this.#options.target === null && (this.#follow.peer?.neighbours ?? 0) > 0)
      this.#playback?.linger(WITH_NEIGHBOURS);
  };

  /** A choice that the stream no longer has falls back to automatic. */
  #news(): void {
    const renditions = this.#choice === null ? [] : (this.#follow.peer?.renditions() ?? []);
    const isGone = renditions.length > 0 && !renditions.some(({ id }) => id === this.#choice);
    if (isGone) this.choose(null);
    // A stream that was silent for a while had ended, and goes on.
    const isBack = this.#playback?.ended && !this.#follow.peer?.ended;
    const loadedMs = this.#playback?.loadedMs ?? Number.NEGATIVE_INFINITY;
    const isStuck = this.#reloads.isStuck(this.#counters.status, loadedMs, performance.now());
    if (isBack || isStuck) this.#reload();
    this.#start();
  }

  /** The playlist below the stream's folder that a choice is in. */
  #path(choice: string | null): string {
    const renditions = this.#follow.peer?.renditions() ?? [];
    const chosen = renditions.find(({ id }) => id === choice);
    if (!chosen || automatic(renditions, plays).includes(chosen)) return "index.m3u8";
    return chosen.audioOnly ? "index.m3u8?audio=1" : onlyPath(chosen.id);
  }

  /** Safari's own player chooses by itself. */
  #qualities(): Qualities {
    return qualities(this.#native ? [] : (this.#follow.peer?.renditions() ?? []), plays);
  }

  #screen(): ScreenHandlers {
    return {
      shown: () => {
        this.#counters.frame(performance.now());
        this.#seen = true;
        this.#network.begin();
        this.#update();
      },
      wanted: (play) => {
        this.#wanted = play;
        if (play) this.#attention.resume();
        else this.#attention.pause();
      },
      moved: this.#look,
      happen: (happening) => this.#happen(happening),
      starved: (seeking) => {
        // There the viewer seeks, and waits for that.
        if (this.#rewind.isPast) return seeking ? undefined : this.#happen("starve");
        // A publisher that stopped is the stream's end, not this viewer's stall.
        if (this.#follow.object?.live === false) return this.#happen("end");
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
    this.#rest();
    this.#rewind.release();
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
