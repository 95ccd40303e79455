// When a playback that is of no use any more is loaded anew: soon the first time, later each further one. Pure.

import type { Status } from "./state.ts";

/** Nothing moves and nothing is loaded for so long although the stream goes on … */
const STUCK_MS = 4_000;
/** … and doubled with each try, up to this. */
const LAST_STUCK_MS = 30_000;
/** What is loaded all the while but never shown: so many times as long. */
const LOADS = 4;
/** News come with each part; for so long without any it was the stream that stood still. */
const SILENT_MS = 2_000;
/** After an error; a stream that has just begun may need a few tries … */
const ERROR_MS = 500;
const SOON = 6;
/** … and with each one after these the pause is doubled, up to this. */
const LAST_ERROR_MS = 8_000;
/** Playing for so long, it is well again: what was before is forgotten. */
const WELL_MS = 5_000;

export class Reloads {
  #patienceMs = STUCK_MS;
  #errors = 0;
  #reloadedMs = Number.NEGATIVE_INFINITY;
  /** The last news, and those with which the stream went on after a silence. */
  #newsMs = Number.NEGATIVE_INFINITY;
  #goesOnMs = Number.NEGATIVE_INFINITY;

  /**
   * To be asked with all news of the stream: whether what stands still is to be loaded anew now. On a narrow link that
   * would only begin from the start what is about to be here; `loadedMs` is when something was loaded last.
   */
  isStuck(status: Status, loadedMs: number, nowMs: number): boolean {
    this.#look(status, nowMs);
    if (nowMs - this.#newsMs > SILENT_MS) this.#goesOnMs = nowMs;
    this.#newsMs = nowMs;
    const sinceMs = Math.max(status.sinceMs, this.#reloadedMs, this.#goesOnMs);
    const silentMs = nowMs - Math.max(sinceMs, loadedMs);
    const isLong = silentMs >= this.#patienceMs || nowMs - sinceMs >= LOADS * this.#patienceMs;
    if (status.state !== "stalled" || !isLong) return false;
    this.#patienceMs = Math.min(2 * this.#patienceMs, LAST_STUCK_MS);
    this.#reloadedMs = nowMs;
    return true;
  }

  /** Playback failed: in how many ms it is to be loaded anew. */
  afterMs(status: Status, nowMs: number): number {
    this.#look(status, nowMs);
    this.#errors += 1;
    return Math.min(ERROR_MS * 2 ** Math.max(0, this.#errors - SOON), LAST_ERROR_MS);
  }

  #look({ state, sinceMs }: Status, nowMs: number): void {
    if (state !== "playing" || nowMs - sinceMs < WELL_MS) return;
    this.#patienceMs = STUCK_MS;
    this.#errors = 0;
  }
}
