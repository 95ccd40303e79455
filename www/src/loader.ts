// hls.js' loader seam: its playlists are rendered from what was announced, its media comes from a `PartSource`.

import type {
  FragmentLoaderContext,
  HlsConfig,
  Loader,
  LoaderCallbacks,
  LoaderConfiguration,
  LoaderContext,
  LoaderStats,
  PlaylistLoaderContext,
} from "hls.js";
import { Groups } from "./groups.ts";
import { PartError, type PartSource, type Wanted } from "./parts.ts";
import type { StreamPeer } from "./peer.ts";
import type { Given } from "./settle.ts";
import { parseTarget, partUrl, waitsFor } from "./url.ts";

/** What both loaders stand on. */
export interface Source {
  /** The stream's folder on the gateway, see `liveBase`. */
  base: string;
  peer: StreamPeer;
  parts: PartSource;
  /** The playhead on hls.js' timeline, seconds. */
  playhead(): number;
  /** The end of what can be played from the playhead on without a gap, or null where nothing is. */
  bufferedEnd(): number | null;
  /** What hls.js was given. */
  given: Given;
}

/** Parts of one whole segment that are asked for at once; the page has six connections over all its tabs. */
const AT_ONCE = 4;

export type LoaderClass<T extends LoaderContext> = new (config: HlsConfig) => Loader<T>;

/** Playlists without any request: a blocking reload is answered when its announcement comes. */
export function playlistLoader(source: Source): LoaderClass<PlaylistLoaderContext> {
  const { base, peer } = source;
  let newest: string | null = null;
  const groups = new Groups({
    ahead: () => (source.bufferedEnd() ?? Number.NEGATIVE_INFINITY) - source.playhead(),
    part: () => peer.renditions().find(({ id }) => id === newest)?.partTarget ?? 1,
  });
  return class extends BaseLoader<PlaylistLoaderContext> {
    protected async answer(context: PlaylistLoaderContext, signal: AbortSignal): Promise<string> {
      const target = parseTarget(base, context.url);
      const wanted = waitsFor(context.url);
      const rendition = target?.kind === "playlist" ? target.rendition : null;
      // Who changes the rendition needs what is known of the new one now; on a link that became narrow the next
      // announcement comes behind all that is on its way.
      const changes = rendition !== newest;
      newest = rendition;
      if (wanted && !changes) await peer.until(groups.announced(wanted), signal);
      const shown = groups.upTo(peer.latest()?.msn ?? 0);
      const playlist = target && peer.playlist(target, shown);
      if (playlist === undefined) throw new PartError(404, `${context.url} is not announced`);
      // Its age counts from now, not from when the wait began.
      this.stats.loading.first = performance.now();
      return playlist;
    }
  };
}

/** Parts, whole segments and init segments by their URLs. */
export function partLoader(source: Source): LoaderClass<FragmentLoaderContext> {
  return class extends BaseLoader<FragmentLoaderContext> {
    protected async answer(context: FragmentLoaderContext, signal: AbortSignal): Promise<ArrayBuffer> {
      const wanted = locate(source, context.url);
      await Promise.all(
        replacing(source, context).map((one) => source.parts.part(one, signal).catch(() => null)),
      );
      const blocks: Uint8Array<ArrayBuffer>[] = [];
      for (let i = 0; i < wanted.length; i += AT_ONCE) {
        const some = wanted.slice(i, i + AT_ONCE);
        blocks.push(...(await Promise.all(some.map((one) => source.parts.part(one, signal)))));
        this.stats.loading.first ||= performance.now();
      }
      if (!signal.aborted) source.given.add(context.url);
      return join(blocks);
    }
  };
}

/** So much of a part may lie within what is buffered without replacing it, seconds. */
const OVERLAP = 0.05;

/**
 * The parts behind this one whose media is buffered already, from another rendition. The browser forgets the rest of a
 * segment when its beginning is replaced: the picture would wait for each of these parts. So the first is given when
 * the last is here, and what was buffered is shown meanwhile.
 */
export function replacing(source: Source, { url, part }: FragmentLoaderContext): Wanted[] {
  const { base, peer } = source;
  const target = parseTarget(base, url);
  const end = source.bufferedEnd();
  if (target?.kind !== "part" || !part || end === null) return [];
  const each = part.duration / (target.last + 1 - target.part);
  const within = Math.ceil((end - OVERLAP - part.start) / each);
  return within > 1
    ? some({ base, peer }, target.rendition, target.msn, target.part, target.part + within)
    : [];
}

/** The announced parts of a segment from `first` to before `end`, or all that follow. */
function some(
  { base, peer }: Pick<Source, "base" | "peer">,
  rendition: string,
  msn: number,
  first: number,
  end?: number,
): Wanted[] {
  return peer.locateParts(rendition, msn, first, end).map((found, index) => {
    const part = first + index;
    return { ...found, url: partUrl(base, rendition, msn, part), place: { rendition, msn, part }, first };
  });
}

/** Loads the init segments of all renditions: about a kilobyte each, which on a link that became narrow takes long. */
export async function loadInits(source: Source, signal: AbortSignal): Promise<void> {
  for (const { id } of source.peer.renditions()) {
    const playlist = source.peer.playlist({ kind: "playlist", rendition: id }) ?? "";
    const uri = [...playlist.matchAll(/^#EXT-X-MAP:URI="([^"]+)"/gm)].at(-1)?.[1];
    if (uri === undefined) continue;
    for (const init of locate(source, new URL(uri, source.base).href)) await source.parts.part(init, signal);
  }
}

/** What a URL needs, in order: one block, the parts that are taken at a time, or all of a whole segment. */
export function locate(source: Pick<Source, "base" | "peer">, url: string): Wanted[] {
  const { base, peer } = source;
  const target = parseTarget(base, url);
  const wanted: Wanted[] = [];
  if (target?.kind === "init") {
    const found = peer.locateInit(target.rendition, target.number);
    if (found) wanted.push({ ...found, url, place: null });
  } else if (target?.kind === "part") {
    const { rendition, msn, part, last } = target;
    const found = some(source, rendition, msn, part, last + 1);
    if (found.length === last + 1 - part) wanted.push(...found);
  } else if (target?.kind === "segment") {
    wanted.push(...some(source, target.rendition, target.msn, 0));
  }
  if (wanted.length === 0) throw new PartError(404, `${url} is not announced`);
  return wanted;
}

function join(blocks: Uint8Array<ArrayBuffer>[]): ArrayBuffer {
  const [only] = blocks;
  if (only && blocks.length === 1) return only.buffer;
  const whole = new Uint8Array(blocks.reduce((sum, block) => sum + block.length, 0));
  let at = 0;
  for (const block of blocks) {
    whole.set(block, at);
    at += block.length;
  }
  return whole.buffer;
}

/** The callbacks, times and abortion that hls.js expects around one answer. No time-outs: waiting is the point. */
export abstract class BaseLoader<T extends LoaderContext> implements Loader<T> {
  context: T | null = null;
  stats: LoaderStats = freshStats();
  #abort = new AbortController();
  #callbacks: LoaderCallbacks<T> | null = null;

  protected abstract answer(context: T, signal: AbortSignal): Promise<string | ArrayBuffer>;

  load(context: T, _config: LoaderConfiguration, callbacks: LoaderCallbacks<T>): void {
    this.context = context;
    this.#callbacks = callbacks;
    this.stats.loading.start = performance.now();
    this.answer(context, this.#abort.signal).then(
      (data) => this.#succeed(context, data),
      (error: unknown) => this.#fail(context, error),
    );
  }

  abort(): void {
    const { context } = this;
    if (!context || this.#abort.signal.aborted || this.stats.loading.end) return;
    this.stats.aborted = true;
    this.#abort.abort();
    this.#callbacks?.onAbort?.(this.stats, context, null);
  }

  destroy(): void {
    this.#callbacks = null;
    this.#abort.abort();
    this.context = null;
  }

  #succeed(context: T, data: string | ArrayBuffer): void {
    if (this.#abort.signal.aborted) return;
    const size = typeof data === "string" ? data.length : data.byteLength;
    this.stats.loading.end = performance.now();
    this.stats.loading.first ||= this.stats.loading.end;
    this.stats.loaded = size;
    this.stats.total = size;
    this.stats.chunkCount = 1;
    this.#callbacks?.onSuccess({ url: context.url, data, code: 200 }, this.stats, context, null);
  }

  #fail(context: T, error: unknown): void {
    if (this.#abort.signal.aborted) return;
    this.stats.loading.end = performance.now();
    const code = error instanceof PartError ? error.code : 0;
    this.#callbacks?.onError({ code, text: String(error) }, context, null, this.stats);
  }
}

function freshStats(): LoaderStats {
  return {
    aborted: false,
    loaded: 0,
    retry: 0,
    total: 0,
    chunkCount: 0,
    bwEstimate: 0,
    loading: { start: 0, first: 0, end: 0 },
    parsing: { start: 0, end: 0 },
    buffering: { start: 0, first: 0, end: 0 },
  };
}
