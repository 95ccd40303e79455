// One run of hls.js over what is past: a day's playlist, or the run that is on air. The twin of `Playback`.

import Hls, { type Fragment } from "hls.js/light";
import { positionOf, timeAt } from "./past.ts";
import { pastLoaders } from "./past-loader.ts";
import type { Recorded, Untrue } from "./recorded.ts";

export { Recorded, Untrue } from "./recorded.ts";

export interface ReplayHandlers {
  /** The video element has its source: from here on it can be told to play. */
  attached(): void;
  /** Another rendition is on screen. */
  levels(): void;
  /** It has played to its end. */
  ended(): void;
  /** What is on screen has left the playlist: it goes on elsewhere. */
  left(): void;
  /** It cannot go on; what no gateway had right, where it is that. */
  failed(reason: string, untrue: Untrue | null): void;
}

/** A place of which no more than this (seconds) is wrong is not corrected: the picture would be sought twice. */
const CLOSE = 0.5;
/** So near (seconds) the place is the one that was wanted: what is not there is passed over. */
const NEAR = 3;
/** A decoder that fails more often is not going to recover. */
const MEDIA_ERRORS = 3;

export class Replay {
  readonly url: string;
  #hls: Hls;
  #video: HTMLVideoElement;
  /** The time that is wanted until it is on screen, ms since 1970; and where that is, seconds, once the playlist is there. */
  #wanted: number | null;
  #position: number | null = null;
  #errors = 0;
  #closed = new AbortController();

  /** From `at` (ms since 1970) on, which is about `position` (seconds) of the playlist. */
  constructor(
    video: HTMLVideoElement,
    recorded: Recorded,
    url: string,
    at: number,
    position: number,
    choice: string | null,
    handlers: ReplayHandlers,
  ) {
    this.url = url;
    this.#video = video;
    this.#wanted = at;
    const hls = new Hls({
      ...pastLoaders(recorded, (error) => handlers.failed(error.message, error)),
      autoStartLoad: false,
      // See `playback.ts`.
      enableWorker: false,
      startFragPrefetch: true,
      testBandwidth: false,
      abrEwmaDefaultEstimate: 4_000_000,
      liveDurationInfinity: true,
      maxBufferLength: 30,
      backBufferLength: 60,
    });
    this.#hls = hls;
    hls.on(Hls.Events.ERROR, (_, { fatal, type, details }) => {
      if (!fatal) return;
      this.#errors += 1;
      if (type === Hls.ErrorTypes.MEDIA_ERROR && this.#errors <= MEDIA_ERRORS) return hls.recoverMediaError();
      handlers.failed(details, null);
    });
    hls.on(Hls.Events.MEDIA_ATTACHED, () => handlers.attached());
    hls.once(Hls.Events.MANIFEST_PARSED, () => {
      this.choose(choice);
      hls.startLoad(position);
    });
    hls.once(Hls.Events.LEVEL_LOADED, () => this.#correct());
    hls.on(Hls.Events.LEVEL_SWITCHED, () => handlers.levels());
    hls.on(Hls.Events.LEVEL_UPDATED, (_, { details }) => {
      // An hour closed, and the run on air begins an hour later.
      if (details.live && !video.seeking && video.currentTime < details.fragmentStart) handlers.left();
    });
    const { signal } = this.#closed;
    video.addEventListener("ended", () => handlers.ended(), { signal });
    for (const name of ["seeked", "timeupdate", "loadeddata"])
      video.addEventListener(name, this.#arrived, { signal });
    hls.loadSource(url);
    hls.attachMedia(video);
  }

  close(): void {
    this.#closed.abort();
    this.#hls.destroy();
  }

  /** Another time of the same playlist, ms since 1970. */
  seek(at: number): void {
    this.#wanted = at;
    this.#correct(0);
  }

  /** A rendition by its id; null lets the bandwidth decide. */
  choose(rendition: string | null): void {
    const level = this.#hls.levels.findIndex(({ uri }) => renditionOf(uri) === rendition);
    if (level >= 0 || !this.#hls.autoLevelEnabled) this.#hls.loadLevel = level;
  }

  /** The rendition on screen. */
  get rendition(): string | null {
    const level = this.#hls.levels[this.#hls.currentLevel] ?? this.#hls.levels[this.#hls.loadLevel];
    return level ? renditionOf(level.uri) : null;
  }

  /** The time of what is on screen, ms since 1970. */
  programDateMs(): number | null {
    return this.#wanted ?? timeAt(this.#segments(), this.#video.currentTime) ?? null;
  }

  /** To where it is wanted, as soon as the playlist says where that is. */
  #correct(tolerance = CLOSE): void {
    const position = this.#wanted === null ? undefined : positionOf(this.#segments(), this.#wanted);
    if (position === undefined) return;
    this.#position = position;
    const at = this.#video.currentTime || this.#hls.startPosition;
    if (Math.abs(at - position) > tolerance) this.#video.currentTime = position;
  }

  /** What is wanted is on screen. */
  #arrived = (): void => {
    const { currentTime, readyState, seeking } = this.#video;
    if (this.#position === null || seeking || readyState < 2) return;
    if (Math.abs(currentTime - this.#position) > NEAR) return;
    this.#wanted = null;
    this.#position = null;
  };

  #segments(): Fragment[] {
    const { levels, currentLevel, latestLevelDetails } = this.#hls;
    return (levels[currentLevel]?.details ?? latestLevelDetails)?.fragments ?? [];
  }
}

/** `day-720p.m3u8` of a day, `720p/index.m3u8` of the run on air. */
function renditionOf(uri: string): string | null {
  const found = /\/day-([^/?]+)\.m3u8$|\/([^/]+)\/index\.m3u8$/.exec(uri);
  const id = found?.[1] ?? found?.[2];
  return id === undefined ? null : decodeURIComponent(id);
}
