// Several parts at a time, as many as the reserve allows: each playlist and each load costs the page's thread the same,
// however short the part is, and that is most of what a viewer's browser does.

import type { Position } from "./url.ts";

/** So much is to be left when a group is waited for, seconds. */
export const KEPT = 0.6;
/** Parts that are taken at a time, at most. */
export const MOST = 4;
/** Segments whose parts may be listed: the one that comes next, the newest, and two before it. */
const LISTED = 4;

/** What a player can live on. */
export interface Reserve {
  /** Buffered ahead of the playhead, seconds. */
  ahead(): number;
  /** How long a part is, seconds. */
  part(): number;
}

/** How many parts of which segment are taken at a time: said of each once, before the first of them is asked for. */
export class Groups {
  #reserve: Reserve;
  #newest = Number.NEGATIVE_INFINITY;
  #sizes = new Map<number, number>();

  constructor(reserve: Reserve) {
    this.#reserve = reserve;
  }

  /** The segments of which several are listed at a time when the window ends with segment `msn`, and how many. */
  upTo(msn: number): ReadonlyMap<number, number> {
    if (msn > this.#newest) {
      // What was begun before it stays as it is.
      const size = this.#newest === Number.NEGATIVE_INFINITY ? 1 : this.#affords();
      if (size > 1) this.#sizes.set(msn, size);
      this.#newest = msn;
      for (const one of this.#sizes.keys()) if (one + LISTED <= msn) this.#sizes.delete(one);
    }
    return this.#sizes;
  }

  /** What must be announced for `wanted`, as a player counts that was shown groups. */
  announced({ msn, part }: Position): Position {
    const size = this.upTo(msn).get(msn) ?? 1;
    return { msn, part: size * (part + 1) - 1 };
  }

  #affords(): number {
    const parts = Math.floor((this.#reserve.ahead() - KEPT) / this.#reserve.part() + 1e-6);
    return Math.max(1, Math.min(MOST, parts));
  }
}
