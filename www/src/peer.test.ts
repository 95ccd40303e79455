import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { bytes, loadPeerFromDisk, NAME, part, text } from "./golden.ts";
import type { Place } from "./parts.ts";
import { StreamPeer } from "./peer.ts";

const peers: StreamPeer[] = [];
before(loadPeerFromDisk);
after(() => {
  for (const peer of peers) peer.close();
});

/** A peer that knows nothing yet. */
function fresh(): StreamPeer {
  const made = new StreamPeer(NAME);
  peers.push(made);
  return made;
}

/** A peer that knows the golden window: segment 100 whole, 101 up to part 3. */
function peer(): StreamPeer {
  const made = fresh();
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
  const blank = fresh();
  assert.equal(blank.latest(), null);
  assert.deepEqual(blank.renditions(), []);
  assert.equal(blank.holdBack(), null);
  assert.equal(blank.locatePart("source", 100, 0), undefined);
});

test("one changed bit and the manifest is not accepted", () => {
  const forged = bytes("manifest");
  forged[forged.length - 1] = (forged[forged.length - 1] ?? 0) ^ 1;
  const blank = fresh();
  assert.throws(() => blank.accept(forged));
  assert.equal(blank.latest(), null);
});

test("old news changes nothing", () => {
  const known = peer();
  assert.equal(known.accept(bytes("announcement-first")), false);
  assert.equal(known.accept(bytes("manifest")), false);
  assert.deepEqual(known.latest(), { msn: 101, part: 3, last: false });
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
  const cids = known.locateParts("source", 100).map(({ cid }) => cid);
  assert.equal(cids.length, 10);
  assert.ok(known.verify(cids[9] ?? "", part(0, 100, 9)));
  assert.deepEqual(known.locateParts("source", 99), []);
  assert.deepEqual(known.locateParts("nonsense", 100), []);
});

test("whoever waits for a part is told when it is announced, and not before", async () => {
  const blank = fresh();
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

/** Does what a peer wants over HTTP with `bytes`, and resolves with what it then says of a demand. */
function serve(of: StreamPeer, answer: (place: Place) => Uint8Array | undefined): Promise<[string, string]> {
  return new Promise((resolve) => {
    of.handlers = {
      fetch: (key, place) => of.fetched(key, answer(place), 5),
      abort: () => {},
      ready: (key) => resolve(["ready", key]),
      gone: (key) => resolve(["gone", key]),
      news: () => {},
      narrowed: () => {},
    };
  });
}

test("without any network a demand is a wish to HTTP, and what that gives is verified", async () => {
  const known = peer();
  const asked: Place[] = [];
  let again: () => void = () => {};
  const twice = new Promise<void>((resolve) => {
    again = resolve;
  });
  // The golden parts are not as long as the golden manifest says: wrong bytes, then.
  const said = serve(known, (place) => {
    asked.push(place);
    if (asked.length === 2) again();
    return part(0, place.msn, place.part);
  });
  const place = { rendition: "source", msn: 101, part: 3 };
  const key = known.demand(place, place.part);
  assert.ok(key);
  assert.equal(known.part(key), undefined);
  await twice;
  assert.deepEqual(asked, [place, place]);
  assert.equal(await Promise.race([said, soon()]), "not yet");
  assert.equal(known.part(key), undefined);
  const { partsRejected, bytesFromGateway, bytesFromPeers, peers } = known.stats();
  assert.deepEqual([partsRejected, bytesFromGateway, bytesFromPeers, peers], [2, 0, 0, []]);
});

test("a rendition that is none, or a place the window does not hold, is not demanded in vain", async () => {
  const known = peer();
  assert.equal(known.demand({ rendition: "nonsense", msn: 101, part: 3 }, 3), undefined);
  const said = serve(known, () => undefined);
  const key = known.demand({ rendition: "source", msn: 50, part: 0 }, 0);
  assert.deepEqual(await said, ["gone", key]);
});

test("nothing is said once it is closed", async () => {
  const known = new StreamPeer(NAME);
  known.accept(bytes("manifest"));
  const said = serve(known, () => undefined);
  known.demand({ rendition: "source", msn: 50, part: 0 }, 0);
  known.close();
  assert.equal(await Promise.race([said, soon()]), "not yet");
});
