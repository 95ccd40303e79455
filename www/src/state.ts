// The player's state, and how long it was in it. Pure: events and times in, state out.

export type State = "idle" | "loading" | "playing" | "stalled" | "ended" | "error";

export type Happening =
  /** The viewer or the page asked for the stream; a stream that had ended returns. */
  | "load"
  /** A frame is on the screen and the picture moves. */
  | "play"
  /** Nothing left to show although it should play. */
  | "starve"
  /** Paused by the viewer, or the stream has not begun. */
  | "rest"
  | "end"
  | "fail";

export interface Status {
  readonly state: State;
  readonly stalls: number;
  /** Finished intervals only; `times` adds the running one. */
  readonly stallMs: number;
  readonly playedMs: number;
  readonly sinceMs: number;
}

export function initial(nowMs: number): Status {
  return { state: "idle", stalls: 0, stallMs: 0, playedMs: 0, sinceMs: nowMs };
}

const NEXT: Record<Happening, Partial<Record<State, State>>> = {
  load: { idle: "loading", ended: "loading", error: "loading" },
  play: { idle: "playing", loading: "playing", stalled: "playing", ended: "playing" },
  // Waiting for the first frame is loading, not stalling.
  starve: { playing: "stalled" },
  rest: { loading: "idle", playing: "idle", stalled: "idle", error: "idle" },
  end: { idle: "ended", loading: "ended", playing: "ended", stalled: "ended", error: "ended" },
  fail: { idle: "error", loading: "error", playing: "error", stalled: "error", ended: "error" },
};

/** The status after `happening`; the same object when it changes nothing. */
export function handle(status: Status, happening: Happening, nowMs: number): Status {
  const state = NEXT[happening][status.state];
  if (!state) return status;
  const { stallMs, playedMs } = times(status, nowMs);
  const stalls = status.stalls + (state === "stalled" ? 1 : 0);
  return { state, stalls, stallMs, playedMs, sinceMs: nowMs };
}

/** Time stalled and time played up to now, ms. */
export function times(status: Status, nowMs: number): { stallMs: number; playedMs: number } {
  const running = Math.max(0, nowMs - status.sinceMs);
  return {
    stallMs: status.stallMs + (status.state === "stalled" ? running : 0),
    playedMs: status.playedMs + (status.state === "playing" ? running : 0),
  };
}
