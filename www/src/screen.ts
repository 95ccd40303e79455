// What happens on the video element, in the player's words.

import type { Happening } from "./state.ts";

export interface ScreenHandlers {
  /** The first frame (or, without video, the first sound) is there. */
  shown(): void;
  /** The viewer wants it to play, or to rest. */
  wanted(play: boolean): void;
  /** Playback is at another place than was told last, or no longer moves, or moves again. */
  moved(): void;
  /** What the state follows from. */
  happen(happening: Happening): void;
  /** Nothing is left to show although it should play; `seeking`: what was to be shown next is not there either. */
  starved(seeking: boolean): void;
}

/** A seek that takes longer leads to where there is nothing. */
const SEEK_MS = 1_000;

/** Listens until `signal` aborts. */
export function watchScreen(video: HTMLVideoElement, handlers: ScreenHandlers, signal: AbortSignal): void {
  const on = (name: string, act: () => void) => video.addEventListener(name, act, { signal });
  const perFrame = "requestVideoFrameCallback" in video;
  let seen = false;
  const shown = () => {
    if (seen || signal.aborted) return;
    seen = true;
    handlers.shown();
  };
  if (perFrame) video.requestVideoFrameCallback(shown);
  on("play", () => handlers.wanted(true));
  on("playing", () => handlers.happen("play"));
  on("timeupdate", () => {
    // Sound alone has no frames; its first moment counts.
    if (!seen && video.currentTime > 0 && (!perFrame || video.videoWidth === 0)) shown();
    if (!video.paused && !video.seeking && video.readyState > 2) handlers.happen("play");
  });
  let seeks: ReturnType<typeof setTimeout> | undefined;
  on("waiting", () => {
    if (video.paused) return;
    if (!video.seeking) return handlers.starved(false);
    clearTimeout(seeks);
    seeks = setTimeout(() => {
      if (!signal.aborted && video.seeking && !video.paused) handlers.starved(true);
    }, SEEK_MS);
  });
  on("pause", () => {
    // A change of source pauses too, and is not the viewer's wish.
    if (video.ended || video.readyState === 0) return;
    handlers.wanted(false);
    handlers.happen("rest");
  });
  for (const name of ["timeupdate", "playing", "pause", "waiting", "seeked"]) on(name, handlers.moved);
  on("ended", () => handlers.happen("end"));
}
