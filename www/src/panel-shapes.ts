// The geometry of the panel's pictures: points and paths from numbers. Pure.

export interface Point {
  x: number;
  y: number;
}

/** Neighbours that are drawn; the table has all of them. */
export const MOST_DRAWN = 8;
export const CENTRE: Point = { x: 200, y: 132 };
export const GATEWAY: Point = { x: 200, y: 30 };
export const RADIUS = 21;
/** The widest arrow, for what is the most that flows in any one direction. */
const WIDEST = 16;
const THINNEST = 1.5;

/** Where the neighbours stand: around the lower side, as the gateway has the upper one; seen from the right to the left. */
export function around(count: number): Point[] {
  const span = Math.min(212, 62 * (count - 1));
  return Array.from({ length: count }, (_, i) => {
    const degrees = 90 + (count === 1 ? 0 : span * (i / (count - 1) - 0.5));
    const angle = (degrees * Math.PI) / 180;
    return { x: CENTRE.x + 158 * Math.cos(angle), y: CENTRE.y + 104 * Math.sin(angle) };
  });
}

/** The width of an arrow that carries `rate`, where `most` is the widest. */
export function width(rate: number, most: number): number {
  return rate <= 0 ? 0 : Math.max(THINNEST, (WIDEST * rate) / Math.max(rate, most));
}

/**
 * An arrow from one circle to another, on the right-hand side of the line between them, so that the arrow of the
 * other direction has room beside it.
 */
export function arrow(from: Point, to: Point, wide: number): string {
  const length = Math.hypot(to.x - from.x, to.y - from.y);
  const along = { x: (to.x - from.x) / length, y: (to.y - from.y) / length };
  const head = Math.min(14, wide / 2 + 6);
  const aside = wide / 2 + 2;
  const at = (distance: number, side: number): string => {
    const x = from.x + along.x * distance - along.y * side;
    const y = from.y + along.y * distance + along.x * side;
    return `${round(x)} ${round(y)}`;
  };
  const [start, neck, tip] = [RADIUS + 3, length - RADIUS - 3 - head, length - RADIUS - 3];
  const half = wide / 2;
  const points = [
    at(start, aside - half),
    at(neck, aside - half),
    at(neck, aside - half - 3),
    at(tip, aside),
  ];
  points.push(at(neck, aside + half + 3), at(neck, aside + half), at(start, aside + half));
  return `M${points.join("L")}Z`;
}

/** A chart's place: time goes from `sinceMs` at the left to `untilMs` at the right, values from 0 up to `top`. */
export interface Frame {
  width: number;
  height: number;
  sinceMs: number;
  untilMs: number;
  top: number;
}

export type Value = readonly [atMs: number, value: number];

/** A line through the values; a null makes a gap. */
export function line(frame: Frame, values: readonly (readonly [number, number | null])[]): string {
  let drawing = false;
  let path = "";
  for (const [atMs, value] of values) {
    if (value === null) {
      drawing = false;
      continue;
    }
    path += `${drawing ? "L" : "M"}${place(frame, [atMs, value])}`;
    drawing = true;
  }
  return path;
}

/** The area between two series of the same times. */
export function area(frame: Frame, lower: readonly Value[], upper: readonly Value[]): string {
  if (upper.length < 2) return "";
  const there = upper.map((value) => place(frame, value));
  const back = [...lower].reverse().map((value) => place(frame, value));
  return `M${[...there, ...back].join("L")}Z`;
}

/** The next round number at or above `value` (1, 2 or 5 and zeros), so that a scale does not flicker. */
export function ceiling(value: number, atLeast: number): number {
  const wanted = Math.max(value, atLeast);
  const power = 10 ** Math.floor(Math.log10(wanted));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= wanted * 0.9999) ?? 10 * power;
}

function place({ width, height, sinceMs, untilMs, top }: Frame, [atMs, value]: Value): string {
  const x = ((atMs - sinceMs) / (untilMs - sinceMs)) * width;
  const y = height - (Math.min(value, top) / top) * height;
  return `${round(x)} ${round(y)}`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
