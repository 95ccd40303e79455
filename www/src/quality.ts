// Which renditions are chosen among: by the bandwidth alone, and by the viewer in the quality menu.

import { codecNames } from "./message.ts";
import type { Rendition } from "./peer.ts";

export interface Quality {
  rendition: string;
  label: string;
}

export interface Qualities {
  /** With a picture; a single one is no choice and left out. */
  video: Quality[];
  /** Sound alone, where the stream has it beside a picture. */
  audioOnly: Quality | null;
}

/** Whether the browser plays `codecs` from a script. */
export type Plays = (codecs: string) => boolean;

/** As Media Source Extensions say, also managed ones. */
export function plays(codecs: string): boolean {
  const { ManagedMediaSource: managed, MediaSource: plain } = globalThis as Partial<
    Record<"ManagedMediaSource" | "MediaSource", typeof MediaSource>
  >;
  return (managed ?? plain)?.isTypeSupported(`video/mp4; codecs="${codecs}"`) ?? true;
}

function isCommon(codec: string): boolean {
  return /^(avc1|mp4a)\./.test(codec);
}

/**
 * What "Auto" chooses among: H.264 with AAC, so that it never goes to and fro between codecs; where there is none that
 * plays, whatever does. What plays nowhere stays, so that the player says which codec it lacks.
 */
export function automatic(renditions: Rendition[], plays: Plays): Rendition[] {
  const video = renditions.filter((one) => !one.audioOnly);
  const playable = video.filter(({ codecs }) => plays(codecs));
  const common = playable.filter(({ codecs }) => codecs.split(",").every(isCommon));
  return [common, playable, video].find(({ length }) => length > 0) ?? [];
}

/** Two of one height are told apart by their bit rate, those that are never chosen by themselves by their codecs. */
export function qualities(renditions: Rendition[], plays: Plays): Qualities {
  const auto = automatic(renditions, plays);
  const others = renditions.filter((one) => !one.audioOnly && !auto.includes(one) && plays(one.codecs));
  const byBandwidth = (a: Rendition, b: Rendition): number => b.bandwidth - a.bandwidth;
  const video = [...auto.sort(byBandwidth), ...others.sort(byBandwidth)];
  const audio = renditions.find((one) => one.audioOnly);
  const label = (one: Rendition): string => {
    const name = `${one.height}p${one.frameRate > 31 ? Math.round(one.frameRate) : ""}`;
    if (!auto.includes(one)) {
      const codecs = one.codecs.split(",").filter((codec) => !isCommon(codec));
      return `${name}, ${codecNames(codecs.join(","))}`;
    }
    const twins = auto.filter(({ height }) => height === one.height).length > 1;
    return twins ? `${name}, ${(one.bandwidth / 1e6).toFixed(1)} Mbit/s` : name;
  };
  return {
    video: video.length > 1 ? video.map((one) => ({ rendition: one.id, label: label(one) })) : [],
    audioOnly: audio && video.length > 0 ? { rendition: audio.id, label: "Audio only" } : null,
  };
}

/** The multivariant playlist with those variants alone that `keep` wants. */
export function withVariants(playlist: string, keep: (rendition: string) => boolean): string {
  return playlist.replace(/#EXT-X-STREAM-INF:.*\n(.*)\.m3u8\n/g, (variant, id: string) =>
    keep(decodeURIComponent(id)) ? variant : "",
  );
}
