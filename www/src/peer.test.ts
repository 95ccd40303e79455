import assert from "node:assert/strict";
import { before, test } from "node:test";
import { bytes, loadPeerFromDisk, NAME, part, text } from "./golden.ts";
import { StreamPeer } from "./peer.ts";

before(loadPeerFromDisk);

/** A peer that knows the golden window: segment 100 whole, 101 up to part 3. */
function peer(): StreamPeer {
  const made = new StreamPeer(NAME);
  made.accept(bytes("manifest"));
  return made;
}

const never = new AbortController().signal;
const soon = () => new Promise((resolve) => setTimeout(resolve, 5, "not yet"));

test("a name that is none is refused", () => {
  assert.throws(() => new StreamPeer("k51nonsense"));
});

test("playlists are the gateway's bytes", () => {
  const known = peer();
  assert.equal(known.playlist({ kind: "multivariant", audioOnly: false, only: null }), text("index.m3u8"));
  assert.equal(
    known.playlist({ kind: "multivariant", audioOnly: true, only: null }),
    text("index-audio.m3u8"),
  );
  assert.equal(known.playlist({ kind: "playlist", rendition: "source" }), text("source.m3u8"));
  assert.equal(known.playlist({ kind: "playlist", rendition: "nonsense" }), undefined);
  assert.equal(known.holdBack(), 1);
});

test("before its manifest a peer knows nothing, and says so", () => {
  const blank = new StreamPeer(NAME);
  assert.equal(blank.latest(), null);
  assert.deepEqual(blank.renditions(), []);
  assert.equal(blank.holdBack(), null);
  assert.equal(blank.locatePart("source", 100, 0), undefined);
});

test("one changed bit and the manifest is not accepted", () => {
  const forged = bytes("manifest");
  forged[forged.length - 1] = (forged[forged.length - 1] ?? 0) ^ 1;
  const blank = new StreamPeer(NAME);
  assert.throws(() => blank.accept(forged));
  assert.equal(blank.latest(), null);
});

test("old news changes nothing", () => {
  const known = peer();
  assert.equal(known.accept(bytes("announcement-first")), false);
  assert.equal(known.accept(bytes("manifest")), false);
  assert.deepEqual(known.latest(), { msn: 101, part: 3 });
});

test("a part's bytes are told from any other", () => {
  const known = peer();
  const located = known.locatePart("source", 101, 3);
  assert.ok(located);
  assert.ok(known.verify(located.cid, part(0, 101, 3)));
  assert.ok(!known.verify(located.cid, part(0, 101, 2)));
  assert.ok(!known.verify(located.cid, new Uint8Array()));
  assert.ok(!known.verify("no cid", part(0, 101, 3)));
});

test("all parts of a segment are found in order, and none of one that is not there", () => {
  const known = peer();
  const cids = known.locateSegment("source", 100).map(({ cid }) => cid);
  assert.equal(cids.length, 10);
  assert.ok(known.verify(cids[9] ?? "", part(0, 100, 9)));
  assert.deepEqual(known.locateSegment("source", 99), []);
  assert.deepEqual(known.locateSegment("nonsense", 100), []);
});

test("whoever waits for a part is told when it is announced, and not before", async () => {
  const blank = new StreamPeer(NAME);
  const waiting = blank.until({ msn: 101, part: 3 }, never).then(() => "there");
  const later = blank.until({ msn: 101, part: 4 }, never).then(() => "there");
  assert.equal(await Promise.race([waiting, soon()]), "not yet");
  blank.accept(bytes("manifest"));
  assert.equal(await waiting, "there");
  assert.equal(await Promise.race([later, soon()]), "not yet");
});

test("what is there already is not waited for", async () => {
  await peer().until({ msn: 100, part: 9 }, never);
});
