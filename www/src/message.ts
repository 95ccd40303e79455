// What the player says over the picture, in words. Pure, so that each sentence can be tested.

import type { State } from "./state.ts";

/** What is known when something has to be said. */
export interface Situation {
  state: State;
  /** Whether the gateway's socket is open; null before the first try ended. */
  connected: boolean | null;
  /** Whether the gateway has told about the stream yet. */
  told: boolean;
  /** Whether the gateway knows a stream by this name. */
  known: boolean;
  live: boolean;
  /** Whether the gateway, a mirror of it, has heard nothing of it yet. */
  sought: boolean;
  /** Whether a picture was on screen before. */
  seen: boolean;
  /** Whether it is what is past that is on screen, or on its way there. */
  past: boolean;
  /** What the viewer calls the stream. */
  name: string;
  /** What of the past is not shown, and why, in a sentence. */
  untrue: string | null;
  failure: Failure | null;
}

export type Failure =
  | { kind: "webassembly" }
  | { kind: "mse" }
  | { kind: "codec"; codecs: string }
  | { kind: "name"; name: string }
  | { kind: "load"; reason: string }
  | { kind: "media"; reason: string };

export interface Message {
  text: string;
  /** `error` wants the viewer's attention; `wait` goes away by itself. */
  kind: "error" | "wait";
}

/** The sentence to show, or null when the picture speaks for itself. */
export function message(now: Situation): Message | null {
  if (now.failure) return { kind: "error", text: failureText(now.failure) };
  if (now.untrue) return { kind: "error", text: now.untrue };
  if (now.connected === false && now.state !== "playing") {
    return { kind: "wait", text: "The gateway does not answer. Trying again by itself…" };
  }
  if (now.state === "playing" || now.past || !now.told) return null;
  if (!now.known) {
    return {
      kind: "error",
      text: `There is no stream “${now.name}” on this gateway. Should it begin, it starts here by itself.`,
    };
  }
  if (now.sought) {
    return {
      kind: "wait",
      text: "This gateway passes on a stream of another one, which has not reached it yet. It starts here by itself.",
    };
  }
  if (!now.live) {
    return {
      kind: "wait",
      text: now.seen
        ? "The stream has ended. Should it return, it goes on here by itself."
        : "Waiting for the stream to begin. It starts here by itself.",
    };
  }
  return null;
}

function failureText(failure: Failure): string {
  switch (failure.kind) {
    case "webassembly":
      return "This browser has no WebAssembly, which Meshlive needs to check what it shows. Another browser, or one without lockdown mode, will play it.";
    case "mse":
      return "This browser cannot play live video from a script (it has no Media Source Extensions) and no HLS of its own. A current Firefox, Chrome, Edge or Safari can.";
    case "codec":
      return `This stream needs ${codecNames(failure.codecs)}, which this browser cannot play. Another browser, or one with the system's codecs installed, can.`;
    case "name":
      return `The gateway offers “${failure.name}” under another stream name than the one asked for, so it is not shown.`;
    case "load":
      return `A part of the player did not load (${failure.reason}). Reload the page to try again.`;
    case "media":
      return `The picture could not be decoded (${failure.reason}). Reload the page to try again.`;
  }
}

const FAMILIES: [RegExp, string][] = [
  [/^avc[13]/, "H.264 video"],
  [/^(hvc1|hev1)/, "H.265 (HEVC) video"],
  [/^av01/, "AV1 video"],
  [/^vp0?9/, "VP9 video"],
  [/^mp4a/, "AAC sound"],
  [/^opus/i, "Opus sound"],
];

/** "H.264 video and AAC sound" for `avc1.64001f,mp4a.40.2` or a whole MIME type; unknown names stay as they are. */
export function codecNames(codecs: string): string {
  const list = /codecs="?([^"]*)"?/.exec(codecs)?.[1] ?? codecs;
  const names = list
    .split(",")
    .map((codec) => codec.trim())
    .filter((codec) => codec !== "")
    .map((codec) => FAMILIES.find(([pattern]) => pattern.test(codec))?.[1] ?? codec);
  return [...new Set(names)].join(" and ") || "a codec";
}
