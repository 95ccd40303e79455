import assert from "node:assert/strict";
import { test } from "node:test";
import { liveBase, onlyPath, parseTarget, partUrl, reached, socketUrl, waitsFor } from "./url.ts";

const base = liveBase("http://node.mesh:8080", "testcard");

test("a stream's folder belongs to the gateway, whatever page it is shown on", () => {
  assert.equal(base, "http://node.mesh:8080/live/testcard/");
  assert.equal(liveBase("https://n/some/page?x=1", "a b"), "https://n/live/a%20b/");
  assert.equal(socketUrl("https://n/live/a/announcements"), "wss://n/live/a/announcements");
  assert.equal(socketUrl("http://n/live/a/announcements"), "ws://n/live/a/announcements");
});

test("each door of a stream is told from the others", () => {
  const multivariant = { kind: "multivariant", audioOnly: false, only: null };
  assert.deepEqual(parseTarget(base, `${base}index.m3u8`), multivariant);
  assert.deepEqual(parseTarget(base, `${base}index.m3u8?audio=1`), { ...multivariant, audioOnly: true });
  assert.deepEqual(parseTarget(base, base + onlyPath("a&b")), { ...multivariant, only: "a&b" });
  assert.deepEqual(parseTarget(base, `${base}720p.m3u8?_HLS_msn=4`), { kind: "playlist", rendition: "720p" });
  assert.deepEqual(parseTarget(base, `${base}720p/41.7.m4s`), {
    kind: "part",
    rendition: "720p",
    msn: 41,
    part: 7,
    last: 7,
  });
  assert.deepEqual(parseTarget(base, `${base}720p/41.6-7.m4s`), {
    kind: "part",
    rendition: "720p",
    msn: 41,
    part: 6,
    last: 7,
  });
  assert.deepEqual(parseTarget(base, `${base}720p/41.m4s`), { kind: "segment", rendition: "720p", msn: 41 });
  assert.deepEqual(parseTarget(base, `${base}audio/init-3.mp4`), {
    kind: "init",
    rendition: "audio",
    number: 3,
  });
});

test("what a part's address is made from is what is read from it", () => {
  const target = parseTarget(base, partUrl(base, "a b", 2 ** 40, 0));
  assert.deepEqual(target, { kind: "part", rendition: "a b", msn: 2 ** 40, part: 0, last: 0 });
});

test("no other address is taken for a door of this stream", () => {
  for (const url of [
    "http://elsewhere/live/testcard/720p/41.7.m4s",
    "http://node.mesh:8080/live/testcard2/720p/41.7.m4s",
    `${base}720p/41.7.mp4`,
    `${base}720p/-1.0.m4s`,
    `${base}720p/1.2.3.m4s`,
    `${base}720p/1.2-.m4s`,
    `${base}720p/1-2.m4s`,
    `${base}720p/99999999999999999.0.m4s`,
    `${base}a/b/1.2.m4s`,
    `${base}still.jpg`,
    base,
  ]) {
    assert.equal(parseTarget(base, url), undefined, url);
  }
});

test("a blocking reload waits for its part, or for all of its segment", () => {
  assert.deepEqual(waitsFor(`${base}720p.m3u8?_HLS_msn=7&_HLS_part=3`), { msn: 7, part: 3 });
  assert.deepEqual(waitsFor(`${base}720p.m3u8?_HLS_msn=7`), { msn: 8, part: 0 });
  assert.equal(waitsFor(`${base}720p.m3u8`), undefined);
  assert.equal(waitsFor(`${base}720p.m3u8?_HLS_msn=x&_HLS_part=3`), undefined);
});

test("a part is there when it or a later one is the newest", () => {
  const at = (msn: number, part: number, last = false) => ({ msn, part, last });
  assert.ok(reached(at(7, 3), { msn: 7, part: 3 }));
  assert.ok(reached(at(8, 0), { msn: 7, part: 99 }));
  assert.ok(!reached(at(7, 2), { msn: 7, part: 3 }));
  assert.ok(!reached(at(6, 9), { msn: 7, part: 0 }));
});

test("for a part that a segment turned out not to have nobody waits", () => {
  assert.ok(reached({ msn: 7, part: 2, last: true }, { msn: 7, part: 3 }));
  assert.ok(!reached({ msn: 7, part: 2, last: true }, { msn: 8, part: 0 }));
});
