// Two parts at a time, where enough is in reserve: each playlist and each part costs the page's thread the same, however
// short it is, and half as many are a sixth of all that a viewer's browser does.

import type { Position } from "./url.ts";

/** Who has less than this ahead takes each part as it comes, seconds. */
export const RESERVE = 1;
/** Segments whose parts may be listed: the one that comes next, the newest, and two before it. */
const LISTED = 4;

/** Which segments' parts are taken in pairs: said of each once, before the first of them is asked for. Pure. */
export class Pairs {
  #newest = Number.NEGATIVE_INFINITY;
  #pairs: number[] = [];

  /** The segments that are listed in pairs when the window ends with segment `msn`, by number. */
  upTo(msn: number, ahead: number): number[] {
    if (msn > this.#newest) {
      // What was begun before it stays as it is.
      if (this.#newest !== Number.NEGATIVE_INFINITY && ahead >= RESERVE) this.#pairs.push(msn);
      this.#newest = msn;
      this.#pairs = this.#pairs.filter((one) => one + LISTED > msn);
    }
    return this.#pairs;
  }

  /** What must be announced for `wanted`, as a player counts that was shown pairs. */
  announced(wanted: Position, ahead: number): Position {
    const { msn, part } = wanted;
    return this.upTo(msn, ahead).includes(msn) ? { msn, part: 2 * part + 1 } : wanted;
  }
}
