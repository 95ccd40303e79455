// A repair of hls.js 1.7.4: it can forget that it has loaded a part when a new playlist comes in at that moment.
//
// It then takes the segment for unfinished although all of it is buffered, asks for nothing, and the picture stands
// until the segment has left the list of parts, some six seconds later. That happens whenever parts are slower than
// announcements: on a weak machine, on a long way.

interface Loadable {
  readonly loaded: boolean;
  readonly url: string;
  readonly fragment: { readonly sn: number | "initSegment"; readonly end: number };
  elementaryStreams: { audiovideo: object | null };
}

export interface PartList {
  readonly partList: readonly Loadable[] | null;
  /** The newest segment that is complete. */
  readonly endSN: number;
}

/** Buffered ends are rounded to microseconds, and sound may end a frame before the picture. Seconds. */
const ROUNDING = 0.05;

/** Parts that are kept in mind: those that can be listed. */
const MAX_GIVEN = 64;

/** The parts that hls.js was given, the newest, by their URLs. */
export class Given {
  #urls = new Set<string>();

  add(url: string): void {
    const [oldest] = this.#urls;
    if (this.#urls.size === MAX_GIVEN && oldest !== undefined) this.#urls.delete(oldest);
    this.#urls.add(url);
  }

  has(url: string): boolean {
    return this.#urls.has(url);
  }
}

/**
 * Marks the parts of complete segments as loaded that hls.js was given and that lie wholly before `bufferedEnd` (seconds).
 * An open segment is left alone: another rendition may have filled the buffer there, and needs its own key frame first. And
 * that time alone says nothing: until hls.js has found where the media lie, its segments may be a second off. Gives their
 * number.
 */
export function settle(
  { partList, endSN }: PartList,
  bufferedEnd: number,
  given: Pick<Given, "has">,
): number {
  let settled = 0;
  for (const part of partList ?? []) {
    const { sn, end } = part.fragment;
    if (part.loaded || typeof sn !== "number" || sn > endSN || end > bufferedEnd + ROUNDING) continue;
    if (!given.has(part.url)) continue;
    part.elementaryStreams.audiovideo = { startPTS: end, endPTS: end, startDTS: end, endDTS: end };
    settled += 1;
  }
  return settled;
}
