import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { remember, remembered } from "./memory.ts";

function storage(value: Partial<Storage> | undefined): void {
  Object.defineProperty(globalThis, "localStorage", { value, configurable: true });
}

afterEach(() => storage(undefined));

test("a choice is remembered; nonsense in the store is no choice", () => {
  const kept = new Map<string, string>();
  storage({ getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => void kept.set(key, value) });
  assert.equal(remembered("sharing"), null);
  remember("sharing", false);
  assert.equal(remembered("sharing"), false);
  remember("sharing", true);
  assert.equal(remembered("sharing"), true);
  for (const key of kept.keys()) kept.set(key, "maybe");
  assert.equal(remembered("sharing"), null);
});

test("a browser that forbids its store costs nothing but the memory", () => {
  const refuse = (): never => {
    throw new DOMException("The operation is insecure.", "SecurityError");
  };
  storage({ getItem: refuse, setItem: refuse });
  assert.equal(remembered("sharing"), null);
  remember("sharing", true);
  Object.defineProperty(globalThis, "localStorage", { get: refuse, configurable: true });
  assert.equal(remembered("sharing"), null);
  remember("sharing", true);
});
