import assert from "node:assert/strict";
import { test } from "node:test";
import { codecNames, message, type Situation } from "./message.ts";

const fine: Situation = {
  state: "loading",
  connected: true,
  told: true,
  known: true,
  live: true,
  sought: false,
  seen: false,
  past: false,
  name: "testcard",
  untrue: null,
  failure: null,
};

test("a stream that plays or is about to says nothing", () => {
  assert.equal(message(fine), null);
  assert.equal(message({ ...fine, state: "playing" }), null);
  assert.equal(message({ ...fine, told: false, known: false, connected: null }), null);
});

test("an unknown stream is named in an error", () => {
  const said = message({ ...fine, state: "error", known: false, live: false });
  assert.equal(said?.kind, "error");
  assert.match(said?.text ?? "", /“testcard”/);
});

test("a stream that has not begun is waited for; one that was seen has ended", () => {
  assert.match(message({ ...fine, state: "idle", live: false })?.text ?? "", /Waiting/);
  assert.match(message({ ...fine, state: "ended", live: false, seen: true })?.text ?? "", /ended/);
});

test("a mirror that has heard nothing yet asks for patience", () => {
  const said = message({ ...fine, state: "idle", live: false, sought: true });
  assert.equal(said?.kind, "wait");
  assert.match(said?.text ?? "", /has not reached it yet/);
});

test("a lost gateway is said once the picture has run out", () => {
  assert.equal(message({ ...fine, state: "playing", connected: false }), null);
  assert.match(message({ ...fine, state: "stalled", connected: false })?.text ?? "", /does not answer/);
});

test("a failure comes before everything else and names what is needed", () => {
  const said = message({
    ...fine,
    connected: false,
    failure: { kind: "codec", codecs: "avc1.64001f,mp4a.40.2" },
  });
  assert.match(said?.text ?? "", /^This stream needs H\.264 video and AAC sound/);
});

test("codecs are named as people know them, once each", () => {
  assert.equal(codecNames('video/mp4;codecs="hvc1.1.6.L93,mp4a.40.2"'), "H.265 (HEVC) video and AAC sound");
  assert.equal(codecNames("avc1.4d401e,avc1.640028"), "H.264 video");
  assert.equal(codecNames("weird.1"), "weird.1");
  assert.equal(codecNames(""), "a codec");
});
