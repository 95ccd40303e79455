// The second tier, against SeaweedFS: closed packs go there part by part and over a kill, give way here when the store is full, and
// stay readable; a flipped byte is refused; without the object store live goes on.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { CARD, Gateway, binary, run, until } from "../e2e/gateway.mjs";
import { compile, example, Fetcher, tcpOf } from "./fetcher.mjs";
import { KEY, Seaweed } from "./seaweed.mjs";

/** 2026-11-22T10:00:00Z, and how long the stream was on air there and an hour later, seconds; a day later it was for longer than a live
 * window is long. */
const TEN = 1_795_341_600;
const ON_AIR = 40;
const LAST = 70;

const folder = mkdtempSync(join(tmpdir(), "meshlive-s3-"));
const data = join(folder, "data");
const config = join(folder, "config.toml");
const open = [];
let seaweed;
let stream;

function configure({ upload = 0, maxBytes = 10e9, secret = KEY.secret, keep = "everything" } = {}) {
  const s3 = { endpoint: seaweed.endpoint, bucket: "packs", key_id: KEY.id, secret, upload };
  const lines = Object.entries(s3).map(([name, value]) => `${name} = ${JSON.stringify(value)}`);
  writeFileSync(config, `inputs = []\n[archive]\nkeep = "${keep}"\n[store]\nmax_bytes = ${maxBytes}\n[store.s3]\n${lines.join("\n")}\n`);
}

async function gateway(settings, inputs = []) {
  configure(settings);
  for (const one of open) await one.stop();
  const started = await Gateway.start({ data, inputs, flags: ["--config", config] });
  open.push(started);
  return started;
}

const command = (...args) => run(binary(), [...args, "--stream", "cam", "--data", data, "--config", config]);
/** Names of the cam's files with this extension. */
const files = (extension) => readdirSync(join(data, "store", stream)).filter((name) => name.endsWith(extension)).sort();
const size = (name) => statSync(join(data, "store", stream, name)).size;
const metric = async (of, name) => Number(new RegExp(`^${name} (\\S+)$`, "m").exec(await of.text("/metrics"))[1]);

/** Bytes of all files of an hour, by their names. */
async function hour(url, cid) {
  const found = {};
  const get = async (name) => {
    const answer = await fetch(`${url}/ipfs/${cid}/${name}`, { signal: AbortSignal.timeout(30_000) });
    assert.equal(answer.status, 200, `${name}: ${answer.status}`);
    found[name] = Buffer.from(await answer.arrayBuffer());
  };
  for (const name of ["index.m3u8", "source/index.m3u8"]) await get(name);
  for (const name of found["source/index.m3u8"].toString().match(/[\w-]+\.(m4s|mp4)/g)) await get(`source/${name}`);
  return found;
}

before(async () => {
  compile("past");
  mkdirSync(data);
  const [video, sound] = ["v.h264", "a.aac"].map((name) => join(folder, name));
  const ffmpeg = (...args) => execFileSync("ffmpeg", ["-v", "error", "-f", "lavfi", ...args], { timeout: 100_000 });
  // Noise makes it large: more than one part of an upload.
  const coded = "-c:v libx264 -preset ultrafast -qp 24 -bf 0 -g 50 -sc_threshold 0 -pix_fmt yuv420p -bsf:v h264_metadata=aud=insert";
  ffmpeg("-i", `testsrc2=s=320x180:r=25:d=${LAST},noise=alls=40:allf=t`, ...coded.split(" "), "-f", "h264", video);
  ffmpeg("-i", `sine=r=48000:d=${LAST}`, "-ac", "2", "-c:a", "aac", "-f", "adts", sound);
  const made = execFileSync(example("past"), [data, "cam", video, sound, `${TEN}:${ON_AIR}`, `${TEN + 3600}:${ON_AIR}`, `${TEN + 86_400}:${LAST}`], { encoding: "utf8", timeout: 100_000 });
  stream = JSON.parse(made).stream;
  seaweed = await Seaweed.start();
});
after(async () => {
  for (const one of open) await one.dispose();
  await seaweed?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

let whole;
let past;

test("closed packs go there part by part; a kill in the middle goes on where it was", { timeout: 200_000 }, async () => {
  const wrong = await gateway({ secret: "another" });
  past = await wrong.json("/api/v1/streams/cam/archive");
  whole = await hour(wrong.url, past.days[0].hours[0].cid);
  // Packs of a past hour close half a minute after a start.
  await until("the log names the key", () => /packs do not get to the object store.*check store\.s3\.key_id/.test(wrong.log), { timeoutMs: 60_000 });
  assert.deepEqual(await seaweed.objects(), []);
  const slow = await gateway({ upload: 3_000_000 });
  const name = await until("an upload has its first part", () => files(".upload").find((one) => /source/.test(one) && size(one) > 250), { timeoutMs: 60_000, everyMs: 20 });
  const pack = name.replace(".upload", ".car");
  assert.ok(size(pack) > 16 << 20, `${pack} has ${size(pack)} bytes: two parts and more`);
  const before = readFileSync(join(data, "store", stream, name));
  await slow.kill();
  const again = await gateway({});
  await until("it goes on", () => /its upload goes on/.test(again.log));
  const closed = () => files(".idx").map((one) => one.replace(".idx", ".s3"));
  await until("all closed packs are there", () => closed().every((one) => files(".s3").includes(one)) && files(".upload").length === 0, { timeoutMs: 60_000 });
  assert.ok(files(".s3").length >= 4, `${files(".s3")}`);
  assert.equal((await seaweed.objects()).length, files(".s3").length, "no object is left over");
  // What was sent before the kill was not sent again: the same upload became the object.
  const marker = readFileSync(join(data, "store", stream, name.replace(".upload", ".s3"))).toString();
  const object = /"object":"([^"]+)"/.exec(marker)[1];
  assert.ok(before.toString().includes(object), "it is the upload that was begun");
  assert.deepEqual(await seaweed.ask("GET", `packs/${object}`), readFileSync(join(data, "store", stream, pack)));
  assert.equal(await metric(again, "meshlive_store_s3_up"), 1);
});

test("what is damaged on the disk is read from there", { timeout: 60_000 }, async () => {
  for (const one of open) await one.stop();
  const path = join(data, "store", stream, "20261122T10-source-0.car");
  const bytes = readFileSync(path);
  bytes[bytes.length >> 1] ^= 1;
  writeFileSync(path, bytes);
  assert.match((await command("archive", "verify")).stdout, /, 0 damaged/);
  const served = await gateway({});
  assert.deepEqual(await hour(served.url, past.days[0].hours[0].cid), whole);
  await seaweed.kill();
  await served.stop();
  assert.match((await command("archive", "verify")).stdout, /damaged: 2026-11-22\/10\/source\S* \(baf\w+\): pack \S+: a block does not match its CID/);
  await seaweed.start();
});

test("the store is full: they are no longer here, and every byte of them is read by its CID", { timeout: 120_000 }, async () => {
  const stays = files(".car").filter((name) => !files(".s3").includes(name.replace(".car", ".s3"))).reduce((sum, name) => sum + size(name), 0);
  const pressed = await gateway({ maxBytes: stays + 1_000_000 });
  await until("they give way", async () => (await metric(pressed, "meshlive_store_bytes")) <= stays + 1_000_000);
  const first = past.days[0].hours[0];
  assert.ok(!files(".car").some((name) => name.startsWith("20261122T10-source")), `${files(".car")}`);
  assert.deepEqual((await pressed.json("/api/v1/streams/cam/archive")).days, past.days, "the archive holds what it held");
  assert.deepEqual(await hour(pressed.url, first.cid), whole);
  const fresh = await Fetcher.start();
  try {
    const fetched = await fresh.fetch(tcpOf((await pressed.json("/api/v1/peer")).addresses), first.cid);
    assert.ok(fetched.new > ON_AIR, JSON.stringify(fetched));
  } finally {
    await fresh.dispose();
  }
  await pressed.stop();
  const { stdout, code } = await command("archive", "verify");
  assert.match(stdout, /3 hours, \d+ blocks, 0 damaged/);
  assert.equal(code, 0);
});

test("a byte flipped there is refused and named", { timeout: 120_000 }, async () => {
  const name = (await seaweed.objects()).find((one) => /20261122T10-source/.test(one));
  const bytes = await seaweed.ask("GET", `packs/${name}`);
  const damaged = Buffer.from(bytes);
  damaged[damaged.length >> 1] ^= 1;
  assert.ok(await seaweed.ask("PUT", `packs/${name}`, damaged));
  const { stdout, code } = await command("archive", "verify");
  assert.match(stdout, /damaged: 2026-11-22\/10\/source\S* \(baf\w+\): pack \S+T10-source-0 at http:\S+: a block does not match its CID/);
  assert.match(stdout, /, [12] damaged/);
  assert.equal(code, 1);
  const served = await gateway({});
  const answers = await Promise.all(Object.keys(whole).map(async (one) => {
    const answer = await fetch(`${served.url}/ipfs/${past.days[0].hours[0].cid}/${one}`);
    const body = await answer.arrayBuffer().catch(() => null);
    return answer.status === 200 && body ? Buffer.from(body).equals(whole[one]) : "refused";
  }));
  assert.ok(!answers.includes(false), "no wrong byte goes out");
  assert.equal(answers.filter((one) => one === "refused").length, 1);
  await served.stop();
  assert.ok(await seaweed.ask("PUT", `packs/${name}`, bytes));
  assert.match((await command("archive", "verify")).stdout, /, 0 damaged/);
});

test("an index that is lost is made anew from there", { timeout: 60_000 }, async () => {
  assert.ok(!files(".car").includes("20261122T10-source-0.car"));
  rmSync(join(data, "store", stream, "20261122T10-source-0.idx"));
  rmSync(join(data, "store", "merged"), { recursive: true, force: true });
  const served = await gateway({});
  await until("it is here again", () => files(".idx").includes("20261122T10-source-0.idx"), { timeoutMs: 30_000 });
  assert.deepEqual(await hour(served.url, past.days[0].hours[0].cid), whole);
  await served.stop();
});

test("the object store is away: what is live goes on, and the error names it; it comes back", { timeout: 180_000 }, async () => {
  const live = await gateway({}, [CARD]);
  await seaweed.kill();
  const [, second] = past.days[0].hours;
  const edge = async () => Number(/#EXT-X-MEDIA-SEQUENCE:(\d+)/.exec(await playlist())?.[1] ?? 0) + ((await playlist()).match(/#EXTINF/g) ?? []).length;
  const playlist = async () => {
    const master = await live.text("/live/testcard/index.m3u8");
    return live.text(`/live/testcard/${master.split("\n").find((line) => line && !line.startsWith("#"))}`);
  };
  const begun = await until("it is on air", edge, { timeoutMs: 40_000 });
  // Many want what is away, all at once, over and over; the live edge moves on at its pace.
  const since = Date.now();
  let refused = 0;
  while (Date.now() - since < 12_000) {
    const wanted = Array.from({ length: 20 }, (_, n) => fetch(`${live.url}/ipfs/${second.cid}/source/${n % 10}.m4s`).then(({ status }) => status, () => 0));
    refused += (await Promise.all([...wanted, fetch(`${live.url}/ipfs/${second.cid}/source/index.m3u8`).then(({ status }) => status)])).filter((status) => status >= 500).length;
  }
  const moved = (await edge()) - begun;
  assert.ok(refused > 0, "it cannot be had");
  assert.ok(moved >= 4, `${moved} segments in ${Date.now() - since} ms`);
  assert.match(live.log, new RegExp(`object store ${seaweed.endpoint}/packs`));
  assert.equal((await fetch(`${live.url}/readyz`)).status, 200);
  assert.equal(await metric(live, "meshlive_store_s3_up"), 0);
  await seaweed.start();
  await until("it is read again", async () => Object.keys(await hour(live.url, second.cid)).length > 5, { timeoutMs: 30_000 });
  await live.stop();
});

test("an hour that is taken down goes there, too", { timeout: 90_000 }, async () => {
  assert.ok((await seaweed.objects()).some((one) => /20261122T10/.test(one)));
  assert.match((await command("archive", "tombstone", "2026-11-22T10")).stdout, /no longer offered/);
  const later = await gateway({});
  await until("its objects are removed", async () => !(await seaweed.objects()).some((one) => /20261122T10/.test(one)), { timeoutMs: 30_000 });
  assert.ok((await seaweed.objects()).some((one) => /20261122T11/.test(one)), "the others stay");
  await later.stop();
});
