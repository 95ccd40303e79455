// Which rendition the way here carries: down quickly, up with care, and not to and fro. Pure; time is an argument.

/** What is seen at one moment. */
export interface Sight {
  /** What peers and gateway together could give, bits per second; null while nobody knows. */
  estimate: number | null;
  /** The engine has just found the link too narrow: no single late part. */
  certain: boolean;
  /** Seconds buffered ahead of the picture. */
  buffered: number;
  /** The level of the newest part that came: a choice shows from the next segment on. */
  arriving: number;
  /** Bits per second of each level. */
  bitRates: readonly number[];
  /** performance.now(), ms. */
  nowMs: number;
}

/** What was chosen, and what the next choice has to know of the past. */
export interface Choice {
  /** Index among the levels. */
  level: number;
  /** Since when its parts come; null: those of the level before still do. */
  arrivedMs: number | null;
  /** The last way up: one that has to be taken back soon was a mistake. */
  upMs: number | null;
  /** How many times longer than usual the next way up is thought over, and since when. */
  caution: number;
  cautionMs: number;
  /** Since when the current level is too much, a higher one would fit, the buffer is short; null: it is not so. */
  tightMs: number | null;
  roomMs: number | null;
  shortMs: number | null;
  /** What was buffered then, seconds: a buffer that fills again is given time. */
  shortFrom: number;
  /** What is usually buffered, seconds; a viewer that is close to the live edge never has much. */
  usual: number;
  seenMs: number;
}

/** A level that needs more than this share of the estimate is too much … */
const CARRIES = 0.95;
/** … and the one to go down to needs at most this, … */
const CARRIES_WELL = 0.8;
/** … one to go up to even less: what is tried must not have to be taken back. */
const CARRIES_EASILY = 0.7;
/** An estimate that is down for less than this may be one late part. */
const DOWN_AFTER_MS = 100;
/** Below this share of the usual the buffer is short, whatever the estimate says. */
const SHORT = 0.5;
const SHORT_AFTER_MS = 1_000;
/** Seconds by which a short buffer must have grown to be given time. */
const FILLS = 0.1;
/** What a change does to the buffer is seen so long after its first part. */
const SETTLES_MS = 2_000;
const UP_AFTER_MS = 3_000;
/** A way up that is taken back within this time was a mistake; each such time without one halves the caution. */
const MISTAKE_MS = 20_000;
const FORGIVE_MS = 120_000;
const CAUTION_AT_MOST = 16;
/** Time constant of `usual`. */
const USUAL_MS = 10_000;

/** The choice to begin with, or one that someone else made. */
export function begin(level: number, nowMs: number): Choice {
  const unknown = {
    arrivedMs: null,
    upMs: null,
    tightMs: null,
    roomMs: null,
    shortMs: null,
    shortFrom: 0,
    usual: 0,
  };
  return { level, caution: 1, cautionMs: nowMs, seenMs: nowMs, ...unknown };
}

/** To be called several times a second; the same `sight` again changes nothing. */
export function choose(before: Choice, sight: Sight): Choice {
  const { estimate, certain, buffered, arriving, bitRates, nowMs } = sight;
  const needed = bitRates[before.level];
  if (needed === undefined) return begin(cheapest(bitRates), nowMs);
  const weight = Math.min(1, (nowMs - before.seenMs) / USUAL_MS);
  const usual = before.usual === 0 ? buffered : before.usual + (buffered - before.usual) * weight;
  const since = (is: boolean, ms: number | null): number | null => (is ? (ms ?? nowMs) : null);
  const arrivedMs = before.arrivedMs ?? (arriving === before.level ? nowMs : null);
  const settled = arrivedMs !== null && nowMs - arrivedMs >= SETTLES_MS;
  const isShort = settled && buffered < usual * SHORT;
  const fills = isShort && (before.shortMs === null || buffered > before.shortFrom + FILLS);
  const easily = estimate === null ? before.level : fitting(bitRates, estimate * CARRIES_EASILY);
  const now: Choice = {
    ...before,
    arrivedMs,
    usual,
    seenMs: nowMs,
    tightMs: since(estimate !== null && estimate * CARRIES < needed, before.tightMs),
    shortMs: isShort ? (fills ? nowMs : before.shortMs) : null,
    shortFrom: fills ? buffered : before.shortFrom,
    roomMs: since((bitRates[easily] ?? 0) > needed, before.roomMs),
  };
  if (nowMs - now.cautionMs >= FORGIVE_MS)
    Object.assign(now, { caution: Math.max(1, now.caution / 2), cautionMs: nowMs });
  const lasts = (ms: number | null, atLeast: number): boolean => ms !== null && nowMs - ms >= atLeast;

  if (estimate !== null && lasts(now.tightMs, certain ? 0 : DOWN_AFTER_MS)) {
    const level = fitting(bitRates, estimate * CARRIES_WELL);
    if ((bitRates[level] ?? 0) < needed) return down(now, level, nowMs);
  }
  if (settled && lasts(now.shortMs, SHORT_AFTER_MS)) {
    const level = fitting(bitRates, needed - 1);
    if ((bitRates[level] ?? 0) < needed) return down(now, level, nowMs);
  }
  if (settled && now.shortMs === null && lasts(now.roomMs, UP_AFTER_MS * now.caution)) {
    const { caution, cautionMs } = now;
    return { ...begin(easily, nowMs), usual, caution, cautionMs, upMs: nowMs };
  }
  return now;
}

function down(now: Choice, level: number, nowMs: number): Choice {
  const { usual, caution, cautionMs, upMs } = now;
  const fresh = { ...begin(level, nowMs), usual };
  if (upMs === null || nowMs - upMs >= MISTAKE_MS) return { ...fresh, caution, cautionMs };
  return { ...fresh, caution: Math.min(caution * 2, CAUTION_AT_MOST) };
}

/** The level of the most bits that are at most `limit`; where none is so small, the smallest. */
function fitting(bitRates: readonly number[], limit: number): number {
  let best = cheapest(bitRates);
  bitRates.forEach((bits, level) => {
    if (bits <= limit && bits > (bitRates[best] ?? 0)) best = level;
  });
  return best;
}

function cheapest(bitRates: readonly number[]): number {
  return bitRates.indexOf(Math.min(...bitRates));
}

/** A load under way, on hls.js' timeline, seconds. */
export interface Load {
  /** Where the segment begins, and where it ends at the latest. */
  begins: number;
  ends: number;
  /** Where the media that is missing begins. */
  from: number;
}

/**
 * Whether a segment is sooner at its end in the rendition in which it was begun than in a smaller one, which begins with
 * it anew: only its first part can be decoded without the others.
 */
export function staying(load: Load, bitRate: number, smaller: number): boolean {
  return (load.ends - load.from) * bitRate <= (load.ends - load.begins) * smaller;
}
