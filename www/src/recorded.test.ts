import assert from "node:assert/strict";
import { after, beforeEach, test } from "node:test";
import { type Checks, Recorded, Untrue } from "./recorded.ts";

const [ONE, TWO] = ["http://one", "http://two"];
const real = globalThis.fetch;
/** What gateways have, by URL; a text, or a status. */
let there: Record<string, string | number> = {};
let asked: string[] = [];

beforeEach(() => {
  there = {};
  asked = [];
  globalThis.fetch = async (url, options) => {
    options?.signal?.throwIfAborted();
    asked.push(String(url));
    const found = there[String(url)] ?? 404;
    if (found === 0) throw new TypeError("nobody answers");
    return typeof found === "number" ? new Response(null, { status: found }) : new Response(found);
  };
});
after(() => {
  globalThis.fetch = real;
});

/** Whatever a text says of itself: `name=cid …` for a directory, `is cid` for a file, `epoch sequence root` for an entry. */
const checks: Checks = {
  root: (_, entry) => {
    const [epoch, sequence, root = null] = entry.split(" ");
    return epoch === "false" ? null : { epoch: Number(epoch), sequence: Number(sequence), root };
  },
  playlist: (_, name, text) => (text.startsWith(`of ${name}\n`) ? { epoch: 1, sequence: 1 } : null),
  names: (cid, bytes) => {
    const [is, ...entries] = new TextDecoder().decode(bytes).split(" ");
    if (is !== cid) return null;
    return new Map(
      entries.map((one) => one.split("=")).map(([name = "", cid = ""]) => [name, { cid, bytes: 99 }]),
    );
  },
  isFile: (cid, bytes) => new TextDecoder().decode(bytes) === `is ${cid}`,
};

const recorded = (gateways = [ONE, TWO]) => new Recorded("k51", () => gateways, checks);
const list = (signed: string | null, ...days: string[]) =>
  JSON.stringify({
    signed,
    days: days.map((day) => ({ day, cid: `the-${day}`, bytes: 1, hours: [] })),
  });
const LIST = "/api/v1/streams/k51/archive";
const DAY = { [`${ONE}/ipfs/root?format=raw`]: "root mon=the-mon" };

/** One day, one hour, one rendition with one segment, at this gateway. */
function day(gateway: string): void {
  Object.assign(there, {
    [gateway + LIST]: list("1 5 root", "mon"),
    [`${gateway}/ipfs/root?format=raw`]: "root mon=the-mon",
    [`${gateway}/ipfs/the-mon?format=raw`]: "the-mon 10=ten day.m3u8=playlist",
    [`${gateway}/ipfs/ten?format=raw`]: "ten source=rendition",
    [`${gateway}/ipfs/rendition?format=raw`]: "rendition 7.m4s=seven",
    [`${gateway}/ipfs/seven?filename=7.m4s`]: "is seven",
    [`${gateway}/ipfs/playlist?filename=day.m3u8`]: "is playlist",
  });
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const segment = `${ONE}/ipfs/the-mon/10/source/7.m4s`;

test("a segment is found by the names of day, hour and rendition, each of which is asked for once", async () => {
  day(ONE);
  const past = recorded();
  assert.equal((await past.past()).days.length, 1);
  assert.equal(text(await past.file(segment)), "is seven");
  assert.equal(await past.playlist(`${ONE}/ipfs/the-mon/day.m3u8`), "is playlist");
  await past.file(segment);
  assert.equal(asked.filter((url) => url.includes("format=raw")).length, 4);
  await assert.rejects(past.file(`${ONE}/ipfs/the-mon/10/source/8.m4s`), { code: 404 });
  await assert.rejects(past.file(`${ONE}/ipfs/the-mon/10/toString/7.m4s`), { code: 404 });
});

test("of a day that is in no list nothing is asked for", async () => {
  day(ONE);
  const past = recorded();
  await assert.rejects(past.file(segment), { code: 404 });
  assert.deepEqual(asked, []);
});

test("what is wrong is asked for once more past the browser's memory, then at another gateway, which is first from then on", async () => {
  day(ONE);
  day(TWO);
  there[`${ONE}/ipfs/seven?filename=7.m4s`] = "is six";
  const past = recorded();
  await past.past();
  assert.equal(text(await past.file(segment)), "is seven");
  assert.deepEqual(
    asked.slice(-3),
    [ONE, ONE, TWO].map((gateway) => `${gateway}/ipfs/seven?filename=7.m4s`),
  );
  await past.file(segment);
  assert.ok(asked.at(-1)?.startsWith(TWO));
});

test("what no gateway has right names the one that was wrong, and what; one that is away is no liar", async () => {
  day(ONE);
  there[`${ONE}/ipfs/seven?filename=7.m4s`] = "is six";
  there[`${TWO}/ipfs/seven?filename=7.m4s`] = 0;
  const past = recorded();
  await past.past();
  await assert.rejects(past.file(segment), (error: Untrue) => {
    assert.ok(error instanceof Untrue);
    assert.deepEqual([error.gateway, error.what], [ONE, "a wrong 7.m4s"]);
    return true;
  });
  there[`${ONE}/ipfs/seven?filename=7.m4s`] = 503;
  await assert.rejects(past.file(segment), (error) => !(error instanceof Untrue));
});

test("a list must be signed, name the days of its root alone, and be no older than one that was seen", async () => {
  const says = async (text: string): Promise<string | null> => {
    there[ONE + LIST] = text;
    return past.past().then(
      () => null,
      (error: Untrue) => error.what,
    );
  };
  Object.assign(there, DAY, { [`${ONE}/ipfs/newer?format=raw`]: "newer mon=the-mon tue=the-tue" });
  const past = recorded([ONE]);
  assert.equal(await says(list(null)), null, "nothing is past yet");
  assert.match((await says(list(null, "mon"))) ?? "", /without the stream's signature/);
  assert.match((await says(list("false", "mon"))) ?? "", /without the stream's signature/);
  assert.equal(await says(list("1 5 root", "mon")), null);
  assert.match((await says(list("1 5 root", "mon", "tue"))) ?? "", /another day tue/);
  assert.equal(await says(list("1 6 newer", "mon", "tue")), null);
  assert.match((await says(list("1 5 root", "mon"))) ?? "", /an old list/);
  assert.match((await says(list(null))) ?? "", /lacks all there was/);
  assert.equal(await says(list("2 1 newer", "mon")), null, "a list that was lost goes on in a higher epoch");
});

test("a playlist of what is on air needs its proof; a mirror without one is passed over", async () => {
  const [name, url] = ["v/index.m3u8", `${ONE}/live/cam/earlier/v/index.m3u8`];
  const at = (gateway: string, asked = name) => `${gateway}/live/k51/earlier/${asked}`;
  const proved = `of ${name}\n#MESHLIVE-SIGNED:u`;
  there[at(ONE)] = "of itself\n";
  there[at(TWO)] = proved;
  const past = recorded();
  assert.equal(await past.playlist(url), proved);
  there[at(TWO)] = 404;
  await assert.rejects(past.playlist(url), (error) => !(error instanceof Untrue));
  there[at(ONE)] = "of another\n#MESHLIVE-SIGNED:u";
  await assert.rejects(past.playlist(url), { what: `a wrong playlist of what is on air (${name})` });
  const skip = "v/index.m3u8?_HLS_skip=YES";
  there[at(ONE, skip)] = `of ${skip}\n#MESHLIVE-SIGNED:u`;
  assert.match(await past.playlist(`${url}?_HLS_skip=YES`), /^of v/);
});

test("who gives up is not answered, and nobody is blamed", async () => {
  day(ONE);
  const past = recorded();
  await past.past();
  const giving = new AbortController();
  giving.abort();
  await assert.rejects(past.file(segment, { signal: giving.signal }), (error) => !(error instanceof Untrue));
});
