import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { because, type Connection, decide, remember, remembered } from "./sharing.ts";

const link = (facts: { saveData?: boolean; type?: string }): Connection =>
  Object.assign(new EventTarget(), facts);

function storage(value: Partial<Storage> | undefined): void {
  Object.defineProperty(globalThis, "localStorage", { value, configurable: true });
}

afterEach(() => storage(undefined));

test("sharing is on unless something speaks against it", () => {
  assert.deepEqual(decide(null, null, null), { on: true, reason: null });
  assert.deepEqual(decide(null, null, link({ saveData: false, type: "wifi" })), { on: true, reason: null });
  assert.deepEqual(decide(null, "on", null), { on: true, reason: null });
});

test("saving data, a mobile connection and the page each turn it off, and it is said which", () => {
  const reasons = [
    decide(null, null, link({ saveData: true, type: "wifi" })),
    decide(null, null, link({ type: "cellular" })),
    decide(null, "off", null),
  ];
  assert.deepEqual(
    reasons.map(({ on, reason }) => [on, reason]),
    [
      [false, "save-data"],
      [false, "cellular"],
      [false, "page"],
    ],
  );
  const said = reasons.map(({ reason }) => reason && because(reason));
  assert.deepEqual([new Set(said).size, said.every((text) => text?.startsWith("Off by default"))], [3, true]);
});

test("what the viewer chose goes before all of these, both ways", () => {
  assert.deepEqual(decide(true, "off", link({ saveData: true })), { on: true, reason: null });
  assert.deepEqual(decide(false, null, null), { on: false, reason: null });
});

test("a choice is remembered; nonsense in the store is no choice", () => {
  const kept = new Map<string, string>();
  storage({ getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => void kept.set(key, value) });
  assert.equal(remembered(), null);
  remember(false);
  assert.equal(remembered(), false);
  remember(true);
  assert.equal(remembered(), true);
  for (const key of kept.keys()) kept.set(key, "maybe");
  assert.equal(remembered(), null);
});

test("a browser that forbids its store costs nothing but the memory", () => {
  const refuse = (): never => {
    throw new DOMException("The operation is insecure.", "SecurityError");
  };
  storage({ getItem: refuse, setItem: refuse });
  assert.equal(remembered(), null);
  remember(true);
  Object.defineProperty(globalThis, "localStorage", { get: refuse, configurable: true });
  assert.equal(remembered(), null);
  remember(true);
});
