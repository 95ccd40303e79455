// What the URLs of a live stream mean, and how they are made. The twin of the gateway's `http` doors.

/** What a URL below `/live/{stream}/` names. */
export type Target =
  | { kind: "multivariant"; audioOnly: boolean; only: string | null }
  | { kind: "playlist"; rendition: string }
  | { kind: "part"; rendition: string; msn: number; part: number; last: number }
  | { kind: "segment"; rendition: string; msn: number }
  | { kind: "init"; rendition: string; number: number };

/** A position in the live window: media sequence number and part within that segment. */
export interface Position {
  msn: number;
  part: number;
}

/** Where the live window ends; `last`: no other part of that segment will come. */
export interface Latest extends Position {
  last: boolean;
}

/** The folder of a stream's doors, with a slash at its end. */
export function liveBase(gateway: string, stream: string): string {
  return new URL(`/live/${encodeURIComponent(stream)}/`, gateway).href;
}

/** The WebSocket address that belongs to an http address. */
export function socketUrl(url: string): string {
  return url.replace(/^http/, "ws");
}

/** The playlist below a stream's folder that holds nothing but one rendition; the page's own, no door of the gateway. */
export function onlyPath(rendition: string): string {
  return `index.m3u8?only=${encodeURIComponent(rendition)}`;
}

/** The address of one part. */
export function partUrl(base: string, rendition: string, msn: number, part: number): string {
  return `${base}${encodeURIComponent(rendition)}/${msn}.${part}.m4s`;
}

/** What `url` names within the stream at `base`, or undefined when it is none of its doors. */
export function parseTarget(base: string, url: string): Target | undefined {
  const [path = "", query = ""] = url.split(/[?#]/, 2);
  if (!path.startsWith(base)) return undefined;
  const rest = path.slice(base.length);
  if (rest === "index.m3u8") {
    const asked = new URLSearchParams(query);
    return { kind: "multivariant", audioOnly: asked.get("audio") === "1", only: asked.get("only") };
  }
  const playlist = /^([^/]+)\.m3u8$/.exec(rest);
  if (playlist?.[1]) return { kind: "playlist", rendition: decodeURIComponent(playlist[1]) };
  const media = /^([^/]+)\/(?:(\d{1,15})(?:\.(\d{1,9})(?:-(\d{1,9}))?)?\.m4s|init-(\d{1,9})\.mp4)$/.exec(
    rest,
  );
  if (!media?.[1]) return undefined;
  const rendition = decodeURIComponent(media[1]);
  if (media[5] !== undefined) return { kind: "init", rendition, number: Number(media[5]) };
  const msn = Number(media[2]);
  if (media[3] === undefined) return { kind: "segment", rendition, msn };
  const part = Number(media[3]);
  return { kind: "part", rendition, msn, part, last: Number(media[4] ?? part) };
}

/**
 * The position a playlist request waits for (RFC 8216bis §6.2.5.2), or undefined when it asks for what there is.
 * `_HLS_msn` without `_HLS_part` means the whole segment: the first part of the next one says that it is there.
 */
export function waitsFor(url: string): Position | undefined {
  const query = new URL(url).searchParams;
  const msn = query.get("_HLS_msn");
  if (msn === null || !/^\d{1,15}$/.test(msn)) return undefined;
  const part = query.get("_HLS_part");
  if (part === null || !/^\d{1,9}$/.test(part)) return { msn: Number(msn) + 1, part: 0 };
  return { msn: Number(msn), part: Number(part) };
}

/** Whether `wanted` is there, or the window's end has gone by where it would be. */
export function reached(latest: Latest, wanted: Position): boolean {
  return (
    latest.msn > wanted.msn || (latest.msn === wanted.msn && (latest.last || latest.part >= wanted.part))
  );
}
