// What there is to see of a stream, from its first recorded hour to now, as one line without its holes. Pure.

import type { Past } from "./past.ts";

/** A stretch of it that one playlist has. */
export interface Span {
  /** Milliseconds since 1970; `to` is not in it. */
  from: number;
  to: number;
  /** The day (by its CID) whose playlist has it; null: the run that is on air. */
  day: string | null;
  /** Where it begins in that playlist, seconds. */
  position: number;
}

/** Two stretches that are so close (ms) have no hole between them. */
const JOINED_MS = 5_000;

export class Timeline {
  readonly spans: readonly Span[];

  /** `spans` in the order of time, none over another. */
  constructor(spans: readonly Span[]) {
    this.spans = spans;
  }

  /** As a gateway lists it. */
  static of(past: Past): Timeline {
    const spans: Span[] = [];
    const open = past.open ? { from: past.open.from * 1000, to: past.open.to * 1000 } : null;
    for (const { cid, hours } of past.days) {
      // A day's playlist has all of its hours, also those that are not kept here any more.
      let position = 0;
      for (const { stretches, duration, held } of hours) {
        // Its duration is that of the longest rendition of each segment: a little too much over a day.
        if (!held) position += duration;
        for (const { from, to } of held ? stretches : []) {
          add(spans, { from: from * 1000, to: to * 1000, day: cid, position }, open?.from);
          position += to - from;
        }
      }
    }
    if (open) add(spans, { ...open, day: null, position: 0 });
    return new Timeline(spans);
  }

  /** The same, and its last stretch goes on until now (ms since 1970): for a stream that is on air. */
  until(now: number): Timeline {
    const last = this.spans.at(-1);
    if (!last || last.day !== null || now <= last.to) return this;
    return new Timeline([...this.spans.slice(0, -1), { ...last, to: now }]);
  }

  get isEmpty(): boolean {
    return this.spans.length === 0;
  }

  /** Milliseconds of all of it. */
  get length(): number {
    return this.spans.reduce((sum, { from, to }) => sum + to - from, 0);
  }

  /** When the last of it ends, ms since 1970; 0 where there is nothing. */
  get end(): number {
    return this.spans.at(-1)?.to ?? 0;
  }

  /** How far a time (ms since 1970) is from the beginning, ms; in a hole, where that is. */
  offset(at: number): number {
    let sum = 0;
    for (const { from, to } of this.spans) sum += Math.max(0, Math.min(at, to) - from);
    return sum;
  }

  /** The time (ms since 1970) so far from the beginning, ms. */
  timeAt(offset: number): number {
    let left = Math.max(0, offset);
    for (const { from, to } of this.spans) {
      if (left < to - from) return from + left;
      left -= to - from;
    }
    return this.end;
  }

  /** The stretch in which a time lies, or the next behind it; null behind the last. */
  find(at: number): Span | null {
    return this.spans.find(({ to }) => at < to) ?? null;
  }

  /** Where holes are, as shares (0 to 1) of the whole. */
  holes(): number[] {
    const { length } = this;
    const found: number[] = [];
    let sum = 0;
    this.spans.forEach(({ from, to }, at) => {
      const before = this.spans[at - 1];
      if (before && from - before.to > JOINED_MS) found.push(sum / length);
      sum += to - from;
    });
    return found;
  }
}

/** Adds what is not there yet, and lies before `end`. */
function add(spans: Span[], { from, to, day, position }: Span, end = Number.POSITIVE_INFINITY): void {
  const begin = Math.max(from, spans.at(-1)?.to ?? 0);
  const until = Math.min(to, end);
  if (begin < until) spans.push({ from: begin, to: until, day, position: position + (begin - from) / 1000 });
}

/** `14:03:20`, with its day where that is not today's; times in ms since 1970, in the viewer's time zone. */
export function clockText(at: number, now: number, timeZone?: string): string {
  const zone = timeZone ? { timeZone } : {};
  const day = (time: number) => new Intl.DateTimeFormat("en", { dateStyle: "short", ...zone }).format(time);
  const time = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", ...zone }).format(at);
  if (day(at) === day(now)) return time;
  const date = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", ...zone }).format(at);
  return `${date}, ${time}`;
}
