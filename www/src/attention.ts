// What the viewer sees, as the peer's engine is told it: where the playhead is, and which rendition is wanted.

/** The side of the peer that is needed here; see `StreamPeer`. */
export interface Attentive {
  playhead(programDateMs: number, moving: boolean): void;
  select(renditions: string[]): void;
}

/** A pause as long as this is no pause any more: nothing is taken for it. */
const LONG_PAUSE_MS = 30_000;

export class Attention {
  #peer: Attentive | null = null;
  #wanted: string[] = [];
  #selected: string[] = [];
  #paused: ReturnType<typeof setTimeout> | undefined;
  #away = false;
  #longPauseMs: number;

  constructor(longPauseMs = LONG_PAUSE_MS) {
    this.#longPauseMs = longPauseMs;
  }

  /** Another peer has taken the place of the one before. */
  set peer(peer: Attentive | null) {
    if (this.#peer === peer) return;
    this.#peer = peer;
    this.#selected = [];
    this.#select();
  }

  /** The renditions that playback loads from now on; none when there is no playback. */
  set wanted(renditions: string[]) {
    this.#wanted = renditions;
    this.#select();
  }

  /** Playback is there, or goes on from there; `at` is null as long as that has no date. */
  look(at: number | null, moving: boolean): void {
    if (at !== null) this.#peer?.playhead(at, moving);
  }

  /** It should be playing. */
  resume(): void {
    clearTimeout(this.#paused);
    this.#paused = undefined;
    this.#away = false;
    this.#select();
  }

  /** The viewer paused it. */
  pause(): void {
    this.#paused ??= setTimeout(() => {
      this.#away = true;
      this.#select();
    }, this.#longPauseMs);
  }

  close(): void {
    clearTimeout(this.#paused);
    this.#peer = null;
  }

  #select(): void {
    const now = this.#away ? [] : this.#wanted;
    if (now.join("\n") === this.#selected.join("\n")) return;
    this.#selected = now;
    this.#peer?.select(now);
  }
}
