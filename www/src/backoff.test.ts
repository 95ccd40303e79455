import assert from "node:assert/strict";
import { test } from "node:test";
import { backoffMs } from "./backoff.ts";

test("delays double from 250 ms to 8 s and stay there", () => {
  const delays = [0, 1, 2, 5, 6, 1e9].map((attempt) => backoffMs(attempt, 1));
  assert.deepEqual(delays, [250, 500, 1000, 8000, 8000, 8000]);
});

test("the dice spread a delay over its upper half", () => {
  assert.equal(backoffMs(3, 0), 1000);
  assert.equal(backoffMs(3, 0.5), 1500);
});
