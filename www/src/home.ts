// When a viewer that had to leave the gateway of its page goes back there. That one is the nearest, as a rule, and whoever
// stays elsewhere has everything over a longer way. Pure.

/** Home is steady when it had what is newest so many times in a row … */
const LOOKS = 5;
/** … within so long; twice as long after each time that it was left again, up to the longest. */
const STEADY_MS = [10_000, 60_000] as const;
/** Whoever was at home for so long leaves it as if for the first time. */
const SETTLED_MS = 120_000;
/** While it is away it is looked for later and later, up to this. */
const AWAY_MS = 30_000;

export class Home {
  #random: () => number;
  /** Since when the viewer is there; null while it is elsewhere. */
  #sinceMs: number | null = Number.NEGATIVE_INFINITY;
  #steadyMs: number = STEADY_MS[0];
  #good = 0;
  #pauseMs = 0;
  #dueMs = 0;

  constructor(random = Math.random) {
    this.#random = random;
  }

  /** The viewer has moved. */
  moved(isHome: boolean, nowMs: number): void {
    if (isHome) {
      this.#sinceMs ??= nowMs;
      return;
    }
    if (this.#sinceMs === null) return;
    const settled = nowMs - this.#sinceMs >= SETTLED_MS;
    this.#steadyMs = settled ? STEADY_MS[0] : Math.min(2 * this.#steadyMs, STEADY_MS[1]);
    this.#sinceMs = null;
    this.#again(0, nowMs);
  }

  /** When home is to be asked next for what is newest, performance.now(); while the viewer is elsewhere. */
  get dueMs(): number {
    return this.#dueMs;
  }

  /** Whether it had it. True: it is steady, and worth going back to. */
  looked(had: boolean, nowMs: number): boolean {
    this.#again(had ? this.#good + 1 : 0, nowMs);
    if (!had) {
      this.#pauseMs = Math.min(2 * this.#pauseMs, AWAY_MS);
      this.#dueMs = nowMs + this.#scattered(this.#pauseMs);
    }
    return this.#good >= LOOKS;
  }

  #again(good: number, nowMs: number): void {
    if (good !== 0 || this.#good !== 0 || this.#pauseMs === 0) this.#pauseMs = this.#steadyMs / LOOKS;
    this.#good = good;
    this.#dueMs = nowMs + this.#scattered(this.#pauseMs);
  }

  /** A thousand viewers do not return in the same instant. */
  #scattered(ms: number): number {
    return ms * (0.75 + 0.5 * this.#random());
  }
}
