// Holds the picture at its target distance from the live edge by playing slightly faster or slower. Never seeks. Where
// hardly anything is buffered it plays slower still: who waits for a part sees a slow moment sooner than a picture that stands.

/** What is seen of the playback at one moment. Seconds. */
export interface Sight {
  /** From the picture on screen to the newest announced moment. */
  behind: number;
  /** What is buffered ahead of the picture. */
  buffered: number;
  /** performance.now(), ms. */
  nowMs: number;
  /** The way here has just become too narrow: what comes next takes a while. */
  narrowed: boolean;
}

export const SLOWEST = 0.95;
export const FASTEST = 1.1;
/** Errors smaller than this are left alone once the target was met: a change of rate costs an audio stretch. */
const TOLERANCE = 0.12;
/** A correction, once begun, goes on until this close. */
const MET = 0.03;
/** Rate change per second of error. */
const GAIN = 0.25;
/** With less than this buffered it stretches what there is, down to this rate; earlier where the way became narrow. */
const STRETCHED = 0.25;
const STRETCHED_IF_NARROW = 1;
export const MOST_STRETCHED = 0.5;
/** The edge moves in steps of a part; the average over this many ms shows where the picture stands. */
const SMOOTH_MS = 800;
/** With so many seconds buffered a picture that stands does not want for media, but for a processor or a sound device. */
export const ENOUGH = 0.5;
const STALL_ADDS = 0.25;
const STALL_ADDS_AT_MOST = 2;
/**
 * So long without a stall takes one back: soon at first, as a page that begins wants for a processor as much as for media,
 * and twice as long, up to the longest, with each stall that comes after one was taken back.
 */
const FORGIVES_MS = { first: 10_000, longest: 60_000 };

/** Pure: `rate(sight)` gives the playback rate, `stalled(buffered, nowMs)` widens the target for a while. */
export class LatencyController {
  /** Wanted distance from the edge before any allowance for stalls, seconds. */
  target: number;
  #allowance = 0;
  #allowanceAtMs = 0;
  #forgivesMs = FORGIVES_MS.first;
  #smooth: number | null = null;
  #smoothAtMs = 0;
  #correcting = false;

  constructor(target: number) {
    this.target = target;
  }

  /** The distance aimed at now: the target and what recent stalls have added to it. */
  goal(nowMs: number): number {
    const forgiven = Math.floor(Math.max(0, nowMs - this.#allowanceAtMs) / this.#forgivesMs);
    return this.target + Math.max(0, this.#allowance - STALL_ADDS * forgiven);
  }

  /** A stall for want of media says that the target was too bold for this network; time without one takes the widening back. */
  stalled(buffered: number, nowMs: number): void {
    this.restart();
    if (buffered >= ENOUGH) return;
    const current = this.goal(nowMs) - this.target;
    if (current < this.#allowance) this.#forgivesMs = Math.min(2 * this.#forgivesMs, FORGIVES_MS.longest);
    this.#allowance = Math.min(current + STALL_ADDS, STALL_ADDS_AT_MOST);
    this.#allowanceAtMs = nowMs;
  }

  /** Forgets the average: after a seek, a stall or a pause the old one says nothing. */
  restart(): void {
    this.#smooth = null;
    this.#correcting = false;
  }

  rate(sight: Sight): number {
    const elapsed = sight.nowMs - this.#smoothAtMs;
    this.#smoothAtMs = sight.nowMs;
    if (this.#smooth === null) this.#smooth = sight.behind;
    else this.#smooth += (sight.behind - this.#smooth) * Math.min(1, elapsed / SMOOTH_MS);
    const { buffered, narrowed } = sight;
    const enough = narrowed ? STRETCHED_IF_NARROW : STRETCHED;
    if (buffered < enough) return rounded(Math.max(MOST_STRETCHED, buffered / enough));
    const error = this.#smooth - this.goal(sight.nowMs);
    this.#correcting = Math.abs(error) > (this.#correcting ? MET : TOLERANCE);
    if (!this.#correcting) return 1;
    if (error > 0 && narrowed) return 1;
    return rounded(Math.min(FASTEST, Math.max(SLOWEST, 1 + error * GAIN)));
  }
}

function rounded(rate: number): number {
  return Math.round(rate * 100) / 100;
}
