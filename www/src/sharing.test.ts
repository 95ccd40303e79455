import assert from "node:assert/strict";
import { test } from "node:test";
import { because, type Connection, decide } from "./sharing.ts";

const link = (facts: { saveData?: boolean; type?: string }): Connection =>
  Object.assign(new EventTarget(), facts);

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
