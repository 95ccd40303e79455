// What stands in the quality menu: the announced renditions, best first.

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

/** Two of one height are told apart by their bit rate. */
export function qualities(renditions: Rendition[]): Qualities {
  const video = renditions.filter((one) => !one.audioOnly).sort((a, b) => b.bandwidth - a.bandwidth);
  const audio = renditions.find((one) => one.audioOnly);
  const label = (one: Rendition): string => {
    const name = `${one.height}p${one.frameRate > 31 ? Math.round(one.frameRate) : ""}`;
    const twins = video.filter(({ height }) => height === one.height).length > 1;
    return twins ? `${name}, ${(one.bandwidth / 1e6).toFixed(1)} Mbit/s` : name;
  };
  return {
    video: video.length > 1 ? video.map((one) => ({ rendition: one.id, label: label(one) })) : [],
    audioOnly: audio && video.length > 0 ? { rendition: audio.id, label: "Audio only" } : null,
  };
}
