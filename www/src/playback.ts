// One run of hls.js over one source: its settings, its errors, and the rate that holds the latency.

import Hls, {
  type ErrorData,
  type HlsConfig,
  type Level,
  type LevelDetails,
  type RetryConfig,
} from "hls.js/light";
import { ENOUGH, LatencyController } from "./latency.ts";
import { loadInits, locate, partLoader, playlistLoader, type Source } from "./loader.ts";
import { paced } from "./pace.ts";
import { rateController, type Ways } from "./rate-controller.ts";
import { Given, settle } from "./settle.ts";
import { parseTarget } from "./url.ts";

/** What must be buffered from the start position on before the picture begins, seconds. */
const START_WITH = 0.1;
/** Loading is slow where the picture has not begun after so long, and then it begins with so much, wherever that lies. */
const SLOW_MS = 1500;
const START_SLOWLY_WITH = 0.35;
/** A start this far off is left to the playback rate, before and after the first frame. */
const START_TOLERANCE = 0.3;
const LATE_TOLERANCE = 1.5;
/** So long after the first frame the start is over. */
const TUNE_IN_MS = 8_000;
/** Farther behind than this (a laptop that slept) the picture jumps; short of it, it catches up by speed. */
const JUMP_SECONDS = 45;
/** A decoder that fails more often than this within the window is not going to recover. */
const MEDIA_ERRORS = 3;
const MEDIA_ERRORS_WINDOW_MS = 20_000;
/** What follows one so soon is the same one: what was on its way to the decoder finds none. */
const SAME_ERROR_MS = 500;
/** A picture that stands since so long although enough is buffered is given a push. */
const STANDS_MS = 200;
/** So long after the way became too narrow, another rendition is on its way here. */
const NARROWED_MS = 6_000;

export interface PlaybackHandlers {
  /** The video element has its source: from here on it can be told to play. */
  attached(): void;
  /** The renditions are known: from here on one can be chosen. */
  parsed(): void;
  /** Another rendition is on screen, or the list of them changed. */
  levels(): void;
  /** From here on this rendition is loaded. */
  loading(rendition: string): void;
  /** Playback cannot go on; `codecs` names what the browser lacks, when it is that. */
  failed(reason: string, codecs: string | null): void;
  /** The source fell apart (numbers begun anew, a part gone): load it again. */
  again(): void;
}

export interface PlaybackSource extends Omit<Source, "playhead" | "bufferedEnd" | "given"> {
  /** Bits per second that peers and gateway could give; null until it is known. */
  estimate: () => number | null;
}

export class Playback {
  #hls: Hls;
  #video: HTMLVideoElement;
  #base: string;
  #handlers: PlaybackHandlers;
  #latency: LatencyController;
  #target: number;
  #source: Source;
  #closed = new AbortController();
  #mediaErrors: number[] = [];
  #sinceMs = performance.now();
  #beganSlowly = false;
  #shownAtMs: number | null = null;
  #stalledAtMs: number | null = null;
  #narrowed: () => void = () => {};
  #narrowedAtMs = Number.NEGATIVE_INFINITY;

  /** Whether this browser can play through hls.js at all (Media Source Extensions, also managed ones). */
  static supported(): boolean {
    return Hls.isMSESupported();
  }

  /** When media was loaded last, performance.now(), ms. */
  loadedMs = Number.NEGATIVE_INFINITY;

  /** `path` is the playlist below the stream's folder; `target` the wanted latency in seconds. */
  constructor(
    video: HTMLVideoElement,
    source: PlaybackSource,
    path: string,
    target: number,
    handlers: PlaybackHandlers,
  ) {
    this.#video = video;
    this.#base = source.base;
    this.#handlers = handlers;
    this.#latency = new LatencyController(target);
    this.#target = target;
    const given = new Given();
    const [playhead, bufferedEnd] = [() => video.currentTime, () => this.#bufferedEnd()];
    const whole = { ...source, given, playhead, bufferedEnd };
    this.#source = whole;
    const ways = {
      estimate: source.estimate,
      onNarrowed: (act: () => void) => {
        this.#narrowed = act;
      },
    };
    this.#hls = new Hls(settings(whole, ways, target));
    this.#hls.on(Hls.Events.ERROR, (_, data) => this.#error(data));
    this.#hls.on(Hls.Events.MEDIA_ATTACHED, () => handlers.attached());
    this.#hls.on(Hls.Events.MANIFEST_PARSED, () => {
      handlers.parsed();
      handlers.levels();
    });
    this.#hls.on(Hls.Events.LEVEL_SWITCHED, () => handlers.levels());
    this.#hls.on(Hls.Events.LEVEL_SWITCHING, (_, { level }) => {
      const loading = this.#hls.levels[level];
      const rendition = loading && this.#renditionOf(loading);
      if (rendition) handlers.loading(rendition);
    });
    this.#hls.on(Hls.Events.LEVELS_UPDATED, () => handlers.levels());
    this.#hls.on(Hls.Events.BUFFER_APPENDED, () => {
      this.loadedMs = performance.now();
      this.#push();
    });
    this.#hls.on(Hls.Events.BUFFER_APPENDED, this.#tuneIn);
    this.#hls.once(Hls.Events.LEVEL_UPDATED, (_, { details }) => this.#loadFirst(details));
    this.#hls.on(Hls.Events.LEVEL_UPDATED, (_, { details }) => {
      const end = this.#bufferedEnd();
      if (end !== null) settle(details, end, given);
    });
    if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback(this.#shown);
    video.addEventListener("playing", this.#shown, { once: true });
    video.addEventListener("timeupdate", this.#steer);
    this.#hls.attachMedia(video);
    this.#hls.loadSource(source.base + path);
  }

  /** Ends this run; the video element keeps its last frame until the next source. */
  close(): void {
    this.#closed.abort();
    this.#video.removeEventListener("timeupdate", this.#steer);
    this.#video.removeEventListener("playing", this.#shown);
    this.#video.playbackRate = 1;
    this.#hls.destroy();
  }

  /** The rendition on screen. */
  get rendition(): string | null {
    const level = this.#hls.levels[this.#hls.currentLevel] ?? this.#hls.levels[this.#hls.loadLevel];
    return level ? this.#renditionOf(level) : null;
  }

  /**
   * The viewer's choice by rendition; null lets the bandwidth decide. From the next segment on: what is buffered
   * plays out, so that a choice costs no stall.
   */
  choose(rendition: string | null): void {
    const level = this.#hls.levels.findIndex((one) => this.#renditionOf(one) === rendition);
    if (level >= 0 || !this.#hls.autoLevelEnabled) this.#hls.loadLevel = level;
  }

  /** The program date time of what is on screen, ms since the Unix epoch. */
  programDateMs(): number | null {
    // Not hls.js' own `playingDate`: that keeps a segment's first guess of where it lies on the timeline.
    const details = this.#hls.latestLevelDetails;
    if (!details) return null;
    const now = this.#video.currentTime;
    const segments = details.fragmentHint ? [...details.fragments, details.fragmentHint] : details.fragments;
    const shown = segments.findLast(({ start, programDateTime }) => start <= now && programDateTime !== null);
    return shown?.programDateTime ? shown.programDateTime + (now - shown.start) * 1000 : null;
  }

  /** Whether the newest playlist said that the stream has ended: hls.js asks for no other then. */
  get ended(): boolean {
    return this.#hls.latestLevelDetails?.live === false;
  }

  /** Seconds behind the newest announced moment, or null before there is a playlist. */
  behind(): number | null {
    const details = this.#hls.latestLevelDetails;
    if (!details) return null;
    return details.edge + Math.min(details.age, details.targetduration) - this.#video.currentTime;
  }

  /** To the live edge, at the viewer's wish. */
  jumpToLive(): void {
    const position = this.#hls.liveSyncPosition;
    if (position !== null) this.#video.currentTime = position;
    this.#latency.restart();
  }

  /** Plays so many seconds farther behind the live edge than it began. */
  linger(seconds: number): void {
    this.#latency.target = this.#target + seconds;
  }

  stalled(): void {
    this.#stalledAtMs = performance.now();
    this.#latency.stalled(this.#ahead(), this.#stalledAtMs);
  }

  /** The link became too narrow for what is loaded: nothing is waited for, and what is buffered is stretched. */
  narrowed(): void {
    this.#narrowed();
    this.#narrowedAtMs = performance.now();
    this.#steer();
  }

  /**
   * Chromium wants twice as much sound buffered with each time that it runs out, up to seconds, before it goes on; a
   * viewer close to the live edge never has that much. A seek makes it forget.
   */
  #push(): void {
    const video = this.#video;
    if (this.#stalledAtMs === null || video.paused || video.seeking) return;
    if (video.readyState > 2) {
      this.#stalledAtMs = null;
      return;
    }
    const now = performance.now();
    if (this.#ahead() < ENOUGH || now - this.#stalledAtMs < STANDS_MS) return;
    this.#stalledAtMs = now;
    video.currentTime += 0.001;
  }

  /**
   * hls.js shows nothing before all announced parts of the first segment are loaded, and then begins where the
   * live edge was when it set out. This puts the playhead where the picture should be by now, as soon as that is
   * buffered: before the first frame, or once more right after it when loading was slow. From then on never. Where
   * loading takes long the first picture that there is comes first, and that place when there is enough in reserve.
   */
  #tuneIn = (): void => {
    const video = this.#video;
    const wanted = this.#hls.liveSyncPosition;
    const last = video.buffered.length - 1;
    if (last < 0 || wanted === null) return;
    const shownMs = this.#shownAtMs === null ? null : performance.now() - this.#shownAtMs;
    const off = Math.abs(video.currentTime - wanted);
    const tolerance = shownMs === null ? START_TOLERANCE : LATE_TOLERANCE;
    if (shownMs !== null && (shownMs > TUNE_IN_MS || off < tolerance)) return this.#tuned();
    const [start, end] = [video.buffered.start(last), video.buffered.end(last)];
    const isBuffered = wanted >= start && wanted <= end - (this.#beganSlowly ? ENOUGH : START_WITH);
    if (isBuffered && off >= tolerance) {
      if (shownMs !== null) this.#tuned();
      video.currentTime = wanted;
    } else if (!this.#beganSlowly && shownMs === null && performance.now() - this.#sinceMs > SLOW_MS) {
      // Whoever loads no faster than live moves on would wait for that place for long.
      const hasNothing = video.readyState < 2 && (video.currentTime < start || video.currentTime > end);
      if (!hasNothing || end - start < START_SLOWLY_WITH) return;
      this.#beganSlowly = true;
      video.currentTime = start;
    }
  };

  /** hls.js asks for what it begins with when it has the init segment; here that is asked for beside it. */
  #loadFirst({ partList }: LevelDetails): void {
    const wanted = this.#hls.liveSyncPosition;
    const parts = partList ?? [];
    const first = parts.findLast(({ independent, start }) => independent && start <= (wanted ?? 0));
    if (wanted === null || !first) return;
    const until = Math.min(wanted + START_WITH, first.start + START_SLOWLY_WITH);
    for (const { url } of parts.filter(({ start }) => start >= first.start && start < until)) {
      for (const one of locate(this.#source, url)) {
        this.#source.parts.part(one, this.#closed.signal).catch(() => {});
      }
    }
  }

  #tuned(): void {
    this.#hls.off(Hls.Events.BUFFER_APPENDED, this.#tuneIn);
  }

  #shown = (): void => {
    if (this.#shownAtMs !== null) return;
    this.#shownAtMs = performance.now();
    // Whoever goes to another rendition loads what is still missing.
    loadInits(this.#source, this.#closed.signal).catch(() => {});
  };

  /** Called by the element's own `timeupdate`, about four times a second while it plays. */
  #steer = (): void => {
    const video = this.#video;
    const behind = this.behind();
    if (behind === null || video.paused || video.seeking) return this.#latency.restart();
    const buffered = this.#ahead();
    const nowMs = performance.now();
    const narrowed = nowMs - this.#narrowedAtMs < NARROWED_MS;
    const rate = this.#latency.rate({ behind, buffered, nowMs, narrowed });
    if (video.playbackRate !== rate) video.playbackRate = rate;
  };

  /** The end of what can be played from here without a gap, or null where nothing is. */
  #bufferedEnd(): number | null {
    const { buffered, currentTime } = this.#video;
    for (let i = 0; i < buffered.length; i += 1) {
      if (buffered.start(i) <= currentTime && currentTime <= buffered.end(i)) return buffered.end(i);
    }
    return null;
  }

  /** What can be played from here without a gap, seconds. */
  #ahead(): number {
    const { currentTime } = this.#video;
    return (this.#bufferedEnd() ?? currentTime) - currentTime;
  }

  #renditionOf(level: Level): string | null {
    const target = parseTarget(this.#base, level.uri);
    return target?.kind === "playlist" ? target.rendition : null;
  }

  #error(data: ErrorData): void {
    const { ErrorDetails, ErrorTypes } = Hls;
    if (data.details === ErrorDetails.BUFFER_STALLED_ERROR || !data.fatal) return;
    const codecs = [
      ErrorDetails.MANIFEST_INCOMPATIBLE_CODECS_ERROR,
      ErrorDetails.BUFFER_ADD_CODEC_ERROR,
      ErrorDetails.BUFFER_INCOMPATIBLE_CODECS_ERROR,
    ];
    if (codecs.includes(data.details)) {
      return this.#handlers.failed(data.error.message, data.mimeType ?? "");
    }
    // Without an error of the element it is no decoder that failed: hls.js has lost its buffers.
    const isLost = data.details === ErrorDetails.BUFFER_APPEND_ERROR && this.#video.error === null;
    if (data.type === ErrorTypes.MEDIA_ERROR && !isLost) {
      const now = performance.now();
      this.#mediaErrors = this.#mediaErrors.filter((at) => now - at < MEDIA_ERRORS_WINDOW_MS);
      const isSame = now - (this.#mediaErrors.at(-1) ?? Number.NEGATIVE_INFINITY) < SAME_ERROR_MS;
      if (!isSame) this.#mediaErrors.push(now);
      if (this.#mediaErrors.length <= MEDIA_ERRORS) return this.#hls.recoverMediaError();
      return this.#handlers.failed(data.error.message, null);
    }
    this.#handlers.again();
  }
}

function settings(source: Source, ways: Ways, target: number): Partial<HlsConfig> {
  return {
    pLoader: playlistLoader(source),
    fLoader: partLoader(source),
    abrController: rateController(ways),
    ...paced(),
    lowLatencyMode: true,
    // The worker would need a blob: script, and passing fragmented MP4 through costs the page next to nothing.
    enableWorker: false,
    // The controls take a finite duration for a recording.
    liveDurationInfinity: true,
    liveSyncDuration: target,
    liveMaxLatencyDuration: JUMP_SECONDS,
    // Catching up is `LatencyController`'s.
    maxLiveSyncPlaybackRate: 1,
    liveSyncOnStallIncrease: 0,
    maxBufferLength: 10,
    backBufferLength: 10,
    // The first rendition is chosen as if the way were good; one segment later it is known.
    abrEwmaDefaultEstimate: 4_000_000,
    startFragPrefetch: true,
    manifestLoadPolicy: patient(null),
    playlistLoadPolicy: patient(null),
    // A part that could not be had is asked for again soon: the picture has one second.
    fragLoadPolicy: patient({ maxNumRetry: 6, retryDelayMs: 200, maxRetryDelayMs: 1_000, backoff: "linear" }),
  };
}

/** No time-outs: whoever loads knows better when to give up. Playlists come from memory, a second try is no use. */
function patient(errorRetry: RetryConfig | null): HlsConfig["playlistLoadPolicy"] {
  const never = Number.POSITIVE_INFINITY;
  return { default: { maxTimeToFirstByteMs: never, maxLoadTimeMs: never, timeoutRetry: null, errorRetry } };
}
