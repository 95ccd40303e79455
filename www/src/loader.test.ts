import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { FragmentLoaderContext, LoaderResponse, PlaylistLoaderContext } from "hls.js";
import { bytes, loadPeerFromDisk, NAME, part, text } from "./golden.ts";
import { locate, partLoader, playlistLoader, type Source } from "./loader.ts";
import { PartError, type PartSource, type Wanted } from "./parts.ts";
import { StreamPeer } from "./peer.ts";
import { Given } from "./settle.ts";
import { liveBase } from "./url.ts";

const peers: StreamPeer[] = [];
before(loadPeerFromDisk);
after(() => {
  for (const peer of peers) peer.close();
});

const base = liveBase("http://node", "card");

/** Gives the golden bytes and keeps what it was asked. */
class Disk implements PartSource {
  asked: Wanted[] = [];
  async part(wanted: Wanted): Promise<Uint8Array<ArrayBuffer>> {
    this.asked.push(wanted);
    const [, msn, index] = /(\d+)\.(\d+)\.m4s$/.exec(wanted.url) ?? [];
    return new Uint8Array(part(0, Number(msn), Number(index)));
  }
}

function source(playhead = 0, bufferedEnd: number | null = null): Source & { parts: Disk } {
  const peer = new StreamPeer(NAME);
  peers.push(peer);
  peer.accept(bytes("manifest"));
  return {
    base,
    peer,
    parts: new Disk(),
    playhead: () => playhead,
    bufferedEnd: () => bufferedEnd,
    given: new Given(),
  };
}

/** What a loader calls back with, as hls.js would hear it. */
function answer(loader: ReturnType<typeof make>, context: object): Promise<LoaderResponse> {
  return new Promise((resolve, reject) => {
    const callbacks = {
      onSuccess: (response: LoaderResponse) => resolve(response),
      onError: ({ code }: { code: number }) => reject(new Error(String(code))),
      onTimeout: () => reject(new Error("timeout")),
      onAbort: () => reject(new Error("aborted")),
    };
    loader.load(context as PlaylistLoaderContext & FragmentLoaderContext, {} as never, callbacks as never);
  });
}

function make(kind: typeof playlistLoader | typeof partLoader, from: Source) {
  return new (kind(from))({} as never);
}

test("a playlist comes from what was announced", async () => {
  const response = await answer(make(playlistLoader, source()), { url: `${base}source.m3u8` });
  assert.equal(response.data, text("source.m3u8"));
});

test("a playlist of no rendition is an error at once", async () => {
  await assert.rejects(answer(make(playlistLoader, source()), { url: `${base}nonsense.m3u8` }), /404/);
});

test("a blocking reload that is aborted ends its wait and says so", async () => {
  const Kind = playlistLoader(source());
  await answer(new Kind({} as never), { url: `${base}source.m3u8` });
  const loader = new Kind({} as never);
  const waiting = answer(loader, { url: `${base}source.m3u8?_HLS_msn=101&_HLS_part=4` });
  loader.abort();
  await assert.rejects(waiting, /aborted/);
  assert.ok(loader.stats.aborted);
});

test("who comes from another rendition is told at once what is known, whatever is waited for", async () => {
  const loader = make(playlistLoader, source());
  const response = await answer(loader, { url: `${base}source.m3u8?_HLS_msn=101&_HLS_part=4` });
  assert.match(String(response.data), /^#EXTM3U/);
});

test("a part is asked for by its CID", async () => {
  const from = source(5);
  const context = { url: `${base}source/101.3.m4s`, part: { start: 7.5 }, frag: { start: 6 } };
  const { data } = await answer(make(partLoader, from), context);
  assert.deepEqual(new Uint8Array(data as ArrayBuffer), part(0, 101, 3));
  assert.equal(from.parts.asked.length, 1);
  assert.ok(from.given.has(`${base}source/101.3.m4s`));
  assert.equal(from.parts.asked[0]?.cid, from.peer.locatePart("source", 101, 3)?.cid);
});

test("two parts that are taken at a time are one answer, and none where the second is not announced", async () => {
  const from = source(5);
  const { data } = await answer(make(partLoader, from), {
    url: `${base}source/101.2-3.m4s`,
    part: { start: 6.4 },
    frag: { start: 6 },
  });
  assert.equal(new TextDecoder().decode(data as ArrayBuffer), "part 0 101 2part 0 101 3");
  assert.throws(() => locate(from, `${base}source/101.3-4.m4s`), PartError);
  assert.throws(() => locate(from, `${base}source/101.3-2.m4s`), PartError);
});

test("a pair in place of what is buffered waits for as many parts as two single ones", async () => {
  const from = source(5, 6.6);
  const part = { start: 6, duration: 0.4 };
  await answer(make(partLoader, from), { url: `${base}source/101.0-1.m4s`, part, frag: { start: 6 } });
  const asked = from.parts.asked.map(({ url }) => url.slice(`${base}source/101.`.length, -4));
  assert.deepEqual(asked, ["0", "1", "2", "0", "1"]);
  assert.ok(
    from.parts.asked.every(({ first }) => first === 0),
    "all are due with the first",
  );
});

test("a part in place of what is buffered is given when all is here that takes its place", async () => {
  const context = (index: number) => ({
    url: `${base}source/101.${index}.m4s`,
    part: { start: 6 + index * 0.2, duration: 0.2 },
    frag: { start: 6 },
  });
  const asked = async (bufferedEnd: number | null, index: number): Promise<(string | undefined)[]> => {
    const from = source(5, bufferedEnd);
    const { data } = await answer(make(partLoader, from), context(index));
    assert.deepEqual(new Uint8Array(data as ArrayBuffer), part(0, 101, index));
    return from.parts.asked.map(({ url }) => url.slice(`${base}source/`.length));
  };
  assert.deepEqual(await asked(6.6, 0), ["101.0.m4s", "101.1.m4s", "101.2.m4s", "101.0.m4s"]);
  assert.deepEqual(await asked(6.6, 1), ["101.1.m4s", "101.2.m4s", "101.1.m4s"]);
  assert.deepEqual(
    await asked(6.23, 0),
    ["101.0.m4s"],
    "the next one does not begin within what is buffered",
  );
  assert.deepEqual(await asked(6, 0), ["101.0.m4s"]);
  assert.deepEqual(await asked(null, 0), ["101.0.m4s"]);
});

test("a part that cannot be had keeps none back that it would have followed", async () => {
  const from = source(5, 6.4);
  const give = from.parts.part.bind(from.parts);
  from.parts.part = (wanted) =>
    wanted.url.endsWith("101.1.m4s") ? Promise.reject(new PartError(404, "gone")) : give(wanted);
  const context = { url: `${base}source/101.0.m4s`, part: { start: 6, duration: 0.2 }, frag: { start: 6 } };
  const { data } = await answer(make(partLoader, from), context);
  assert.deepEqual(new Uint8Array(data as ArrayBuffer), part(0, 101, 0));
});

test("a whole segment is its parts, in order", async () => {
  const from = source();
  const { data } = await answer(make(partLoader, from), {
    url: `${base}source/100.m4s`,
    part: null,
    frag: {},
  });
  const whole = Array.from({ length: 10 }, (_, i) => new TextDecoder().decode(part(0, 100, i))).join("");
  assert.equal(new TextDecoder().decode(data as ArrayBuffer), whole);
});

test("init segments are located, and have no place among the parts", () => {
  const [wanted] = locate(source(), `${base}source/init-0.mp4`);
  assert.equal(wanted?.place, null);
  assert.equal(wanted?.size, 700);
});

test("what was not announced is not asked for", () => {
  for (const path of [
    "source/101.4.m4s",
    "source/99.m4s",
    "source/init-7.mp4",
    "x/101.3.m4s",
    "index.m3u8",
  ]) {
    assert.throws(() => locate(source(), base + path), PartError, path);
  }
});
