// How long to wait before the next try, so that a thousand viewers do not return in the same instant.

const FIRST_MS = 250;
const LONGEST_MS = 8_000;

/** Doubles from 250 ms to 8 s; `random` in [0, 1) spreads it over the upper half. `attempt` counts from 0. */
export function backoffMs(attempt: number, random: number): number {
  const full = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 16));
  return full / 2 + (full / 2) * random;
}
