// A stream's past as the gateway lists it, in the days and hours of whoever looks at it. Pure.

/** `/api/v1/streams/{stream}/archive`. */
export interface Past {
  stream: string;
  alias: string;
  title: string;
  root: string | null;
  /** The newest signed entry that says what the root is; see `Recorded`. */
  signed?: string | null;
  days: {
    /** UTC. */
    day: string;
    cid: string;
    bytes: number;
    hours: {
      start: string;
      cid: string;
      bytes: number;
      duration: number;
      /** When it was on air, seconds since 1970. */
      stretches: { from: number; to: number }[];
      held: boolean;
      title?: string;
    }[];
  }[];
  /** Where something begins that has a name, oldest first. */
  chapters?: Chapter[];
  /** What is past of the run on air and in no hour yet, seconds since 1970; null while nothing is on air. */
  open?: { from: number; to: number } | null;
}

export interface Chapter {
  /** Seconds since 1970. */
  at: number;
  title: string;
}

/** An hour of it. */
export interface Hour {
  /** When it begins, milliseconds since 1970. */
  start: number;
  cid: string;
  bytes: number;
  /** Seconds of media. */
  duration: number;
  /** Whether the gateway has it. */
  held: boolean;
  /** What the operator calls it. */
  title?: string;
  /** The UTC day whose playlist it is in. */
  day: { cid: string; name: string; bytes: number };
}

/** A segment on a player's timeline, as hls.js knows it. */
export interface Placed {
  /** Seconds on the player's timeline. */
  start: number;
  duration: number;
  /** Milliseconds since 1970. */
  programDateTime: number | null;
}

/** A day (`2026-11-22`) of a time zone; the viewer's own where none is named. */
export function localDay(at: number, timeZone?: string): string {
  const parts = new Intl.DateTimeFormat("en", {
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    ...(timeZone && { timeZone }),
  }).formatToParts(at);
  const of = (type: string) => parts.find((part) => part.type === type)?.value ?? "";
  return `${of("year")}-${of("month")}-${of("day")}`;
}

/** All hours by the local day in which they begin, both oldest first. */
export function byLocalDay(past: Past, timeZone?: string): Map<string, Hour[]> {
  const days = new Map<string, Hour[]>();
  for (const { day, cid, bytes, hours } of past.days) {
    for (const hour of hours) {
      const start = Date.parse(hour.start);
      if (Number.isNaN(start)) continue;
      const name = localDay(start, timeZone);
      const list = days.get(name) ?? [];
      list.push({ ...hour, start, day: { cid, name: day, bytes } });
      days.set(name, list);
    }
  }
  return days;
}

/** A month (0 to 11) in weeks that begin on Monday; null beside the month's own days. */
export function monthGrid(year: number, month: number): (string | null)[][] {
  const length = new Date(Date.UTC(year, month + 1, 0)).getUTCDate();
  const before = (new Date(Date.UTC(year, month, 1)).getUTCDay() + 6) % 7;
  const weeks: (string | null)[][] = [];
  for (let first = 1 - before; first <= length; first += 7) {
    weeks.push(
      Array.from({ length: 7 }, (_, at) => {
        const day = first + at;
        return day < 1 || day > length ? null : dayName(year, month, day);
      }),
    );
  }
  return weeks;
}

/** As in `localDay`. */
export function dayName(year: number, month: number, day: number): string {
  const two = (number: number) => String(number).padStart(2, "0");
  return `${year}-${two(month + 1)}-${two(day)}`;
}

/** Where a time is on the player's timeline, seconds: in a hole, the beginning of what follows; behind the end, the end. */
export function positionOf(segments: readonly Placed[], at: number): number | undefined {
  let last: number | undefined;
  for (const { start, duration, programDateTime } of segments) {
    if (programDateTime === null) continue;
    const into = (at - programDateTime) / 1000;
    if (into < 0) return start;
    if (into < duration) return start + into;
    last = start + duration;
  }
  return last;
}

/** The time of a place on the player's timeline, milliseconds since 1970. */
export function timeAt(segments: readonly Placed[], position: number): number | undefined {
  // A day has tens of thousands, and this is asked several times a second.
  let [low, high] = [0, segments.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((segments[middle]?.start ?? 0) <= position) low = middle + 1;
    else high = middle;
  }
  const found = segments[low - 1];
  if (!found || found.programDateTime === null || position >= found.start + found.duration) return undefined;
  return found.programDateTime + (position - found.start) * 1000;
}

/** A stretch by its two ends, in any order; null while one is missing or they are the same second. Seconds since 1970. */
export function stretch(
  from: number | undefined,
  to: number | undefined,
): { from: number; to: number } | null {
  if (from === undefined || to === undefined) return null;
  const ends = [Math.floor(Math.min(from, to)), Math.ceil(Math.max(from, to))] as const;
  return ends[0] < ends[1] ? { from: ends[0], to: ends[1] } : null;
}

/** What a page's address says behind `#`: `t=SECONDS`, and `to=SECONDS` where it ends. */
export function asked(hash: string): { at: number; to?: number } | null {
  const values = new URLSearchParams(hash.replace(/^#/, ""));
  const number = (name: string) => {
    const value = Number(values.get(name) || Number.NaN);
    return Number.isFinite(value) && value > 0 ? value : undefined;
  };
  const at = number("t");
  const to = number("to");
  if (at === undefined) return null;
  return to !== undefined && to > at ? { at, to } : { at };
}

/** Times of the pictures of an hour, seconds since 1970: one for every ten minutes of media, evenly over the hour. */
export function stills({ start, duration }: { start: number; duration: number }): number[] {
  const count = Math.max(1, Math.min(6, Math.round(duration / 600)));
  return Array.from({ length: count }, (_, at) => Math.floor(start / 1000 + (at * 3600) / count));
}

/** `1.2 GB`, as people say it. */
export function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** `58 min`, `1 h 5 min`, `40 s`. */
export function length(seconds: number): string {
  if (seconds < 59.5) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return minutes % 60 === 0 ? `${minutes / 60} h` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
