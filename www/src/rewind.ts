// The way back from live into what is past, and to live again: which playlist has a time, and when the next one takes over.

import { Held } from "./held.ts";
import { checks } from "./peer.ts";
import type { Recorded, Replay, Untrue } from "./replay.ts";
import { Timeline } from "./timeline.ts";

/** The side of the player that is needed here. */
export interface RewindHost {
  video: HTMLVideoElement;
  /** Over the picture, hidden. */
  canvas: HTMLCanvasElement;
  /** The origin of the gateway where the viewer is, and the folder of the stream's doors there. */
  gateway(): { origin: string; folder: string };
  /** The origins of all gateways that are known, that one first. */
  gateways(): string[];
  /** The stream's name; null until it is known. */
  stream(): string | null;
  live(): boolean;
  /** The gateway's clock, ms since 1970. */
  now(): number;
  /** The viewer's choice of a rendition; null is automatic. */
  choice(): { rendition: string | null; audioOnly: boolean };
  /** Live playback ends: the video element is wanted for what is past. */
  left(): void;
  /** Live goes on. */
  back(): void;
  attached(): void;
  levels(): void;
  /** What there is to see changed, or where the picture is. */
  changed(): void;
  /** No gateway had this right, so it is not shown. */
  untrue(error: Untrue): void;
}

/** So close to now (ms) live is meant: the past ends with the last closed segment. */
const LIVE_MS = 8_000;
/** What is known of the past is asked anew after so long. */
const FRESH_MS = 30_000;
/** Where a playlist ends, the next begins: so much (ms) is passed over rather than shown twice. */
const NEXT_MS = 100;

export class Rewind {
  #host: RewindHost;
  #held: Held;
  #line = new Timeline([]);
  #askedMs = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | null = null;
  #replay: Replay | null = null;
  #recorded: Recorded | null = null;
  /** It was said that there is no true list. */
  #blamed = false;
  /** Where the picture is wanted while its playlist is not there yet, ms since 1970. */
  #wanted: number | null = null;
  /** The newest wish; an earlier one that was waiting is void. */
  #turn = 0;
  #closed = false;

  constructor(host: RewindHost) {
    this.#host = host;
    this.#held = new Held(host.video, host.canvas);
  }

  /** Whether what is past is on screen, or on its way there. */
  get isPast(): boolean {
    return this.#wanted !== null || this.#replay !== null;
  }

  /** All there is to see, up to now. */
  get timeline(): Timeline {
    return this.#host.live() ? this.#line.until(this.#host.now()) : this.#line;
  }

  get rendition(): string | null {
    return this.#replay?.rendition ?? null;
  }

  /** The time of what is on screen, ms since 1970; null while it is live. */
  programDateMs(): number | null {
    return this.#wanted ?? this.#replay?.programDateMs() ?? null;
  }

  /** Asks what there is, unless that is known and fresh. */
  recall(): Promise<void> {
    if (performance.now() - this.#askedMs < FRESH_MS) return this.#asking ?? Promise.resolve();
    this.#askedMs = performance.now();
    this.#asking = this.#ask();
    return this.#asking;
  }

  /** Shows a time, ms since 1970; null is live. The picture stays until the other is there. */
  async seek(at: number | null): Promise<void> {
    this.#turn += 1;
    const turn = this.#turn;
    if (at === null || (this.#host.live() && at > this.#host.now() - LIVE_MS)) return this.#toLive();
    const span = this.#line.find(at);
    // Behind all that is closed: of a stream on air that is live, of another its end.
    if (!span) return this.#host.live() ? this.#toLive() : undefined;
    const time = Math.max(at, span.from);
    const url = this.#url(span.day);
    if (this.#replay?.url === url) {
      this.#wanted = null;
      this.#replay.seek(time);
      this.#host.changed();
      return;
    }
    this.#held.hold();
    this.#wanted = time;
    this.#host.changed();
    const { Replay } = await import("./replay.ts");
    const recorded = this.#recorded;
    if (turn !== this.#turn || this.#closed || !recorded) return;
    this.#replay?.close();
    this.#host.left();
    const position = span.position + (time - span.from) / 1000;
    const { rendition } = this.#host.choice();
    const replay: Replay = new Replay(this.#host.video, recorded, url, time, position, rendition, {
      attached: () => {
        this.#held.attached();
        this.#host.attached();
      },
      levels: () => this.#host.levels(),
      ended: () => this.#next(replay),
      left: () => this.#again(replay),
      failed: (reason, untrue) => this.#failed(replay, reason, untrue),
    });
    this.#replay = replay;
    this.#wanted = null;
    this.#host.changed();
  }

  /** The rendition that is chosen from now on. */
  choose(): void {
    if (!this.#replay) return;
    const at = this.programDateMs();
    const isOther = at !== null && this.#replay.url !== this.#url(this.#line.find(at)?.day ?? null);
    if (isOther) void this.seek(at);
    else this.#replay.choose(this.#host.choice().rendition);
  }

  /** Live has a picture, or none will come: nothing is held any more. */
  release(): void {
    this.#held.release();
  }

  /** The video element has live's source. */
  attached(): void {
    this.#held.attached();
  }

  close(): void {
    this.#closed = true;
    this.#replay?.close();
    this.#replay = null;
    this.#held.release();
  }

  #toLive(): void {
    this.#wanted = null;
    if (!this.#replay) return this.#host.changed();
    if (this.#host.live()) this.#held.hold();
    this.#replay.close();
    this.#replay = null;
    this.#host.back();
    this.#host.changed();
  }

  /** Goes on behind a playlist that was played to its end. */
  async #next(replay: Replay): Promise<void> {
    const at = replay.programDateMs() ?? this.#spanOf(replay)?.to;
    if (this.#replay !== replay || at === undefined) return;
    this.#held.hold();
    await this.#renew();
    if (this.#replay !== replay) return;
    const span = this.#line.find(at + NEXT_MS);
    if (span) await this.seek(Math.max(at + NEXT_MS, span.from));
    else if (this.#host.live()) this.#toLive();
    else this.#held.release();
  }

  /** Its time is in another playlist by now. */
  async #again(replay: Replay): Promise<void> {
    const at = replay.programDateMs() ?? this.#spanOf(replay)?.from;
    await this.#renew();
    if (this.#replay === replay && at !== undefined) await this.seek(at);
  }

  /** Once more at the gateway where the viewer is by now; what cannot be had there, either, is not shown. */
  async #failed(replay: Replay, reason: string, untrue: Untrue | null): Promise<void> {
    if (this.#replay !== replay) return;
    if (untrue) {
      this.#host.untrue(untrue);
      // All gateways were asked.
      return this.#host.live() ? this.#toLive() : this.#stop();
    }
    console.warn(`mesh-player: what is past cannot be played: ${reason} (${replay.url})`);
    const at = replay.programDateMs();
    await this.#renew();
    if (this.#replay !== replay) return;
    const span = at === null ? null : this.#line.find(at);
    if (at !== null && span && this.#url(span.day) !== replay.url) return this.seek(at);
    this.#toLive();
  }

  /** Nothing plays any more. */
  #stop(): void {
    this.#replay?.close();
    this.#replay = null;
    this.#held.release();
    this.#host.back();
    this.#host.changed();
  }

  #spanOf(replay: Replay) {
    return this.#line.spans.findLast(({ day }) => this.#url(day) === replay.url);
  }

  #url(day: string | null): string {
    const { origin, folder } = this.#host.gateway();
    const { audioOnly } = this.#host.choice();
    if (day === null) return `${folder}earlier/index.m3u8${audioOnly ? "?audio=1" : ""}`;
    return new URL(`/ipfs/${day}/${audioOnly ? "audio" : "index"}.m3u8`, origin).href;
  }

  #renew(): Promise<void> {
    this.#askedMs = Number.NEGATIVE_INFINITY;
    return this.recall();
  }

  async #ask(): Promise<void> {
    const { Recorded, Untrue } = await import("./replay.ts");
    const stream = this.#host.stream();
    if (stream === null || this.#closed) return;
    if (this.#recorded?.stream !== stream)
      this.#recorded = new Recorded(stream, () => this.#host.gateways(), checks);
    try {
      const past = await this.#recorded.past();
      if (this.#closed) return;
      this.#line = Timeline.of(past);
      this.#host.changed();
    } catch (error) {
      // No gateway that has it: there is nothing to see then. A list that is not the stream's is spoken of once.
      if (!(error instanceof Untrue) || this.#closed || this.#blamed) return;
      this.#blamed = true;
      this.#host.untrue(error);
    }
  }
}
