// Whether the gateway where the viewer is says nothing any more, and when that is to be looked at. Pure.

/** Who gave nothing for so long, news or bytes, may be gone without a word: another is asked … */
const QUIET_MS = 1_000;
/** … and where that one knew no more, it is the stream that is silent: none is for so long, and twice as long each time. */
const NOBODY_MS = [1_000, 30_000] as const;

export class Silence {
  #aliveMs: number;
  /** What peers had given when that was looked at last; null since the last news. */
  #given: number | null = null;
  /** No other is asked before, and how long after that one is of no use. */
  #notBeforeMs = 0;
  #pauseMs: number = NOBODY_MS[0];

  constructor(nowMs: number) {
    this.#aliveMs = nowMs;
  }

  /** News came. */
  heard(nowMs: number): void {
    this.#aliveMs = nowMs;
    this.#given = null;
    this.#pauseMs = NOBODY_MS[0];
  }

  /** Bytes came over HTTP. */
  flowed(atMs: number): void {
    this.#aliveMs = Math.max(this.#aliveMs, atMs);
  }

  /** The other that was asked had nothing new. */
  nobody(nowMs: number): void {
    this.#notBeforeMs = nowMs + this.#pauseMs;
    this.#pauseMs = Math.min(2 * this.#pauseMs, NOBODY_MS[1]);
  }

  /** Whether it has been quiet for half as long as it may be. */
  isQuiet(nowMs: number): boolean {
    return nowMs - this.#aliveMs >= QUIET_MS / 2;
  }

  /** When to look, performance.now(): halfway, to see what has come by then, and when it was quiet for too long. */
  get dueMs(): number {
    if (this.#given === null) return this.#aliveMs + QUIET_MS / 2;
    return Math.max(this.#aliveMs + QUIET_MS, this.#notBeforeMs);
  }

  /**
   * Looks; true: another is to be asked. `given` says what peers have given in all, bytes, and is asked where it is quiet: on a
   * narrow link news may wait behind what is on its way.
   */
  look(nowMs: number, given: () => number): boolean {
    if (!this.isQuiet(nowMs)) this.#given = null;
    else {
      const sum = given();
      if (this.#given !== null && sum !== this.#given) this.#aliveMs = nowMs;
      this.#given = sum;
    }
    return this.#given !== null && nowMs >= this.dueMs;
  }
}
