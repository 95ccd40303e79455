// How far the viewer's monotonic clock is from the gateway's clock, from question-and-answer pairs.

/** One exchange: asked at `askedMs`, answered `clockMicros` by the gateway, heard at `heardMs` (performance.now). */
export interface Exchange {
  askedMs: number;
  clockMicros: number;
  heardMs: number;
}

/** Exchanges older than this say little: cheap quartz drifts about 50 ms in a quarter of an hour. */
const KEEP_MS = 15 * 60_000;
const KEEP_COUNT = 16;

/**
 * Minimum-round-trip filter: of the exchanges kept, the fastest has the least queueing in it, and its error
 * is at most half its round trip. The viewer's wall clock is never asked.
 */
export class GatewayClock {
  #exchanges: Exchange[] = [];

  add(exchange: Exchange): void {
    if (!(exchange.heardMs >= exchange.askedMs) || !Number.isFinite(exchange.clockMicros)) return;
    this.#exchanges.push(exchange);
    this.#exchanges = this.#exchanges
      .filter((kept) => exchange.heardMs - kept.heardMs <= KEEP_MS)
      .slice(-KEEP_COUNT);
  }

  /** Another gateway, or the same one started again: its clock may have stepped. */
  reset(): void {
    this.#exchanges = [];
  }

  /** The gateway's clock in ms since the Unix epoch at the viewer's `nowMs`, or null before the first answer. */
  at(nowMs: number): number | null {
    let best: Exchange | undefined;
    for (const exchange of this.#exchanges) {
      if (!best || exchange.heardMs - exchange.askedMs < best.heardMs - best.askedMs) best = exchange;
    }
    if (!best) return null;
    return best.clockMicros / 1000 + (nowMs - (best.askedMs + best.heardMs) / 2);
  }
}
