// The IPFS Pinning Service API: one gateway pins its past on another and is gone, the other serves it. The service answers
// to a client of other people's making (@ipfs-shipyard/pinning-service-client) as specified, and to nobody without a token.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Configuration, RemotePinningServiceClient, Status } from "@ipfs-shipyard/pinning-service-client";
import { Gateway, sleep, until } from "../e2e/gateway.mjs";
import { compile, example, Fetcher, tcpOf } from "./fetcher.mjs";

/** 2026-11-22T10:00:00Z, and how long the stream was on air there and a day later, seconds. */
const TEN = 1_795_341_600;
const ON_AIR = 20;
const TOKEN = "a token of this test".replaceAll(" ", "-");
const OTHER = "a token of another one".replaceAll(" ", "-");
/** Of 32 zeros' CID nobody has the block. */
const NOBODY = "bafkreigaknpexyvxt76zgkitavbwx6ejgfheup5oybpm77f3pxzrvwpfdi";

const folder = mkdtempSync(join(tmpdir(), "meshlive-pinning-"));
const open = [];
let service;
let port;
let past;

/** A gateway without inputs, with these lines in its configuration. */
async function gateway(name, lines, { data = join(folder, name), flags = [] } = {}) {
  mkdirSync(data, { recursive: true });
  for (const one of open.filter((one) => one.data === data)) await one.stop(); // what a failed test left
  const file = join(folder, `${name}.toml`);
  writeFileSync(file, `inputs = []\n[archive]\nkeep = "everything"\n${lines}`);
  const started = await Gateway.start({ data, inputs: [], flags: ["--config", file, ...flags] });
  open.push(started);
  return started;
}

const tokens = (more = "") => `[pinning]\ntokens = ["${TOKEN}", "${OTHER}"]\ngive_up = "3s"\n${more}`;

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port: free } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return free;
}

const base = (of) => `${of.url}/api/v1/pinning`;
const client = (of, accessToken = TOKEN) => new RemotePinningServiceClient(new Configuration({ endpointUrl: base(of), accessToken }));

/** What the service says to a request as it stands. */
async function raw(of, path, { token = TOKEN, ...init } = {}) {
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const answer = await fetch(base(of) + path, { ...init, headers: { ...headers, ...init.headers } });
  const text = await answer.text();
  return { status: answer.status, body: text ? JSON.parse(text) : null };
}
const post = (of, pin, token) => raw(of, "/pins", { method: "POST", body: JSON.stringify(pin), token });
const became = (of, id, status, timeoutMs = 20_000) =>
  until(`request ${id} is ${status}`, async () => {
    const { body } = await raw(of, `/pins/${id}`);
    assert.ok(body.status === status || body.status !== "failed", JSON.stringify(body));
    return body.status === status && body;
  }, { timeoutMs });

/** Bytes of all files below an hour, by their names; the segments of one rendition and all playlists. */
async function hour(url, cid) {
  const files = {};
  for (const name of ["index.m3u8", "source/index.m3u8"]) files[name] = await bytes(`${url}/ipfs/${cid}/${name}`);
  const segments = files["source/index.m3u8"].toString().match(/[\w-]+\.(m4s|mp4)/g);
  for (const name of segments) files[`source/${name}`] = await bytes(`${url}/ipfs/${cid}/source/${name}`);
  return files;
}
async function bytes(url) {
  const answer = await fetch(url);
  assert.equal(answer.status, 200, url);
  return Buffer.from(await answer.arrayBuffer());
}

before(async () => {
  compile("past");
  const [video, sound, data] = ["v.h264", "a.aac", "origin"].map((name) => join(folder, name));
  mkdirSync(data);
  const run = (program, ...args) => execFileSync(program, args, { encoding: "utf8", timeout: 100_000 });
  const coded = "-c:v libx264 -preset ultrafast -bf 0 -g 50 -sc_threshold 0 -pix_fmt yuv420p -bsf:v h264_metadata=aud=insert";
  run("ffmpeg", "-v", "error", "-f", "lavfi", "-i", `testsrc2=s=320x180:r=25:d=${ON_AIR}`, ...coded.split(" "), "-f", "h264", video);
  run("ffmpeg", "-v", "error", "-f", "lavfi", "-i", `sine=r=48000:d=${ON_AIR}`, "-ac", "2", "-c:a", "aac", "-f", "adts", sound);
  run(example("past"), data, "cam", video, sound, `${TEN}:${ON_AIR}`, `${TEN + 3600}:${ON_AIR}`, `${TEN + 86_400}:${ON_AIR}`);
  port = await freePort();
  service = await gateway("service", tokens(), { flags: ["--p2p-tcp", `127.0.0.1:${port}`] });
});
after(async () => {
  for (const one of open) await one.dispose();
  rmSync(folder, { recursive: true, force: true });
});

test("closed hours and days are pinned elsewhere as they close; the origin is gone, the service serves them", { timeout: 120_000 }, async () => {
  // First with a wrong token, which is named; then with the right one.
  const wrong = await gateway("origin", `[[pinning.services]]\nurl = "${base(service)}/"\ntoken = "none-of-theirs"\n`);
  await until("the log names it", () => /401 .*check pinning\.services\.token/.test(wrong.log));
  assert.match(await wrong.text("/metrics"), /meshlive_pinning_service_up\{service="127\.0\.0\.1:\d+"\} 0/);
  assert.ok(!wrong.log.includes("none-of-theirs"), "a token stands in no log");
  await wrong.stop();
  const origin = await gateway("origin", `[[pinning.services]]\nurl = "${base(service)}"\ntoken = "${TOKEN}"\n`);
  past = await origin.json("/api/v1/streams/cam/archive");
  const { days } = past;
  assert.deepEqual(days.map((day) => day.hours.length), [2, 1]);
  const first = days[0].hours[0];
  const whole = await hour(origin.url, first.cid);
  assert.ok(Object.keys(whole).length > ON_AIR / 2, `${Object.keys(whole)}`);
  // The day that is over as a whole, in the end; the hour of the other.
  const pins = await until("the day in the place of its hours", async () => {
    const { pins } = await origin.json("/api/v1/streams/cam/archive/pins");
    return pins.length === 2 && pins.every((pin) => pin.status === "pinned") && pins;
  }, { timeoutMs: 60_000 });
  assert.deepEqual(pins.map((pin) => [pin.what, pin.cid]), [["2026-11-22", days[0].cid], ["2026-11-23T10", days[1].hours[0].cid]]);
  const listed = await client(service).pinsGet({ limit: 10 });
  assert.deepEqual(listed.results.map(({ pin }) => pin.name).sort(), ["cam 2026-11-22", "cam 2026-11-23T10"]);
  assert.deepEqual(listed.results[0].pin.meta.stream, past.stream);
  await until("its metrics", async () => /meshlive_pinning_elsewhere\{service="127\.0\.0\.1:\d+",status="pinned"\} 2/.test(await origin.text("/metrics")));
  assert.match(await service.text("/metrics"), /meshlive_pinning_requests\{status="pinned"\} 2/);
  // What was asked for, and not remembered, is found again and not asked for twice.
  await origin.stop();
  rmSync(join(origin.data, "store", past.stream, "elsewhere.log"));
  await origin.start();
  await until("they are found again", async () => {
    const { pins: found } = await origin.json("/api/v1/streams/cam/archive/pins");
    return found.length === 2 && found.every((pin) => pin.status === "pinned");
  }, { timeoutMs: 60_000 });
  const kept = await client(service).pinsGet({ limit: 10 });
  assert.deepEqual(kept.results.map(({ requestid }) => requestid).sort(), listed.results.map(({ requestid }) => requestid).sort());
  await origin.kill();
  // What a shell shows of it.
  const { stdout } = await origin.command("archive", "pins");
  assert.match(stdout, /^2026-11-22 +bafy\S+ +pinned +127\.0\.0\.1:\d+\n2026-11-23T10 +bafy\S+ +pinned +127/);
  assert.match((await origin.command("archive", "ls")).stdout, /2026-11-22 +\d+ +\S+ {2}pinned at 127\.0\.0\.1:\d+\n/);
  // The origin is gone: the service serves every byte, over HTTP and to another node over bitswap, also after a kill.
  await service.kill();
  await service.start();
  assert.deepEqual(await hour(service.url, first.cid), whole);
  const fresh = await Fetcher.start();
  try {
    const fetched = await fresh.fetch(tcpOf((await service.json("/api/v1/peer")).addresses), days[0].cid);
    assert.ok(fetched.new > ON_AIR, JSON.stringify(fetched));
  } finally {
    await fresh.dispose();
  }
});

test("the client of other people adds, finds, replaces and removes pins as specified", { timeout: 120_000 }, async () => {
  const origin = await gateway("origin", "");
  const origins = [tcpOf((await origin.json("/api/v1/peer")).addresses)];
  const [one, other] = past.days[0].hours;
  const mine = client(service, OTHER);
  assert.equal((await mine.pinsGet()).count, 0, "each token sees its own pins");
  const asked = await mine.pinsPost({ pin: { cid: one.cid, name: "first", origins, meta: { app: "x" } } });
  assert.ok(["queued", "pinning", "pinned"].includes(asked.status));
  assert.ok(asked.requestid && asked.created instanceof Date && !Number.isNaN(Number(asked.created)));
  assert.deepEqual({ ...asked.pin, origins: [...asked.pin.origins] }, { cid: one.cid, name: "first", origins, meta: { app: "x" } });
  const delegates = [...asked.delegates];
  assert.ok(delegates.length >= 1 && delegates.length <= 20 && delegates.every((one) => /\/p2p\/12D3/.test(one)), `${delegates}`);
  const pinned = await until("pinned", async () => {
    const told = await mine.pinsRequestidGet({ requestid: asked.requestid });
    return told.status === Status.Pinned && told;
  });
  assert.ok(Number(pinned.info.dag_size) > 100_000, JSON.stringify(pinned.info));
  assert.equal(Number(pinned.created), Number(asked.created), "it is immutable");
  // The same CID again is another request.
  const again = await mine.pinsPost({ pin: { cid: one.cid, name: "FIRST again", origins } });
  assert.notEqual(again.requestid, asked.requestid);
  await until("pinned too", async () => (await mine.pinsGet()).count === 2);
  const names = async (filter) => (await mine.pinsGet(filter)).results.map(({ pin }) => pin.name);
  assert.deepEqual(await names({}), ["FIRST again", "first"]);
  assert.deepEqual(await names({ limit: 1 }), ["FIRST again"]);
  assert.equal((await mine.pinsGet({ limit: 1 })).count, 2);
  assert.deepEqual(await names({ limit: 1, before: again.created }), ["first"]);
  assert.deepEqual(await names({ after: asked.created }), ["FIRST again"]);
  assert.deepEqual(await names({ name: "first" }), ["first"]);
  assert.deepEqual(await names({ name: "FIRST", match: "ipartial" }), ["FIRST again", "first"]);
  assert.deepEqual(await names({ cid: [one.cid, other.cid] }), ["FIRST again", "first"]);
  assert.deepEqual(await names({ cid: [other.cid] }), []);
  assert.deepEqual(await names({ status: [Status.Queued, Status.Failed] }), []);
  assert.deepEqual((await raw(service, `/pins?meta=${encodeURIComponent('{"app":"x"}')}`, { token: OTHER })).body.results.map(({ pin }) => pin.name), ["first"]);
  // One takes the place of the other.
  const replaced = await mine.pinsRequestidPost({ requestid: again.requestid, pin: { cid: other.cid, origins } });
  assert.notEqual(replaced.requestid, again.requestid);
  await assert.rejects(mine.pinsRequestidGet({ requestid: again.requestid }), (error) => (error.response ?? error).status === 404);
  await until("it is pinned", async () => (await mine.pinsGet({ cid: [other.cid] })).count === 1);
  // What the first token pins stays, whatever the other removes.
  const before = (await client(service).pinsGet()).count;
  for (const { requestid } of (await mine.pinsGet()).results) await mine.pinsRequestidDelete({ requestid });
  assert.equal((await mine.pinsGet({ status: Object.values(Status) })).count, 0);
  assert.equal((await client(service).pinsGet()).count, before);
  await origin.stop();
});

test("the last of its requests gone, a DAG's bytes are given back", { timeout: 60_000 }, async () => {
  const origin = await gateway("origin", "");
  const empty = await gateway("empty", tokens());
  const stored = async () => Number(/meshlive_store_bytes (\d+)/.exec(await empty.text("/metrics"))[1]);
  const origins = [tcpOf((await origin.json("/api/v1/peer")).addresses)];
  const ids = [];
  for (const name of ["a", "b"]) ids.push((await post(empty, { cid: past.days[0].cid, name, origins })).body.requestid);
  for (const id of ids) await became(empty, id, "pinned");
  const size = await stored();
  assert.ok(size > 100_000 && size < 1.2 * past.days[0].bytes, `one copy of ${past.days[0].bytes}: ${size}`);
  assert.equal((await raw(empty, `/pins/${ids[0]}`, { method: "DELETE" })).status, 202);
  assert.equal(await stored(), size, "the other holds it");
  // Its root alone, in the place of the other: what both have need not come again, and the rest goes.
  await origin.stop();
  const body = JSON.stringify({ cid: past.days[0].hours[0].cid });
  const part = (await raw(empty, `/pins/${ids[1]}`, { method: "POST", body })).body.requestid;
  await became(empty, part, "pinned");
  const rest = await stored();
  assert.ok(rest > 50_000 && rest < 0.7 * size, `${rest} of ${size}`);
  assert.equal((await raw(empty, `/pins/${part}`, { method: "DELETE" })).status, 202);
  assert.equal(await stored(), 0);
});

test("a kill in the middle of a pin loses nothing: it is fetched when its origin comes", { timeout: 90_000 }, async () => {
  const slow = await gateway("slow", tokens().replace("3s", "60s"));
  const p2p = await freePort();
  const flags = ["--p2p-tcp", `127.0.0.1:${p2p}`];
  const known = await gateway("origin", "", { flags });
  const origins = [tcpOf((await known.json("/api/v1/peer")).addresses)];
  await known.stop();
  const asked = (await post(slow, { cid: past.root, name: "all", origins })).body;
  await became(slow, asked.requestid, "pinning");
  await slow.kill();
  await slow.start();
  const told = (await raw(slow, `/pins/${asked.requestid}`)).body;
  assert.ok(["queued", "pinning"].includes(told.status), JSON.stringify(told));
  assert.deepEqual([told.pin, told.created], [asked.pin, asked.created]);
  const origin = await gateway("origin", "", { flags });
  const pinned = await became(slow, asked.requestid, "pinned", 60_000);
  assert.ok(Number(pinned.info.dag_size) >= past.days.reduce((sum, day) => sum + day.bytes, 0) * 0.95, JSON.stringify(pinned.info));
  await origin.stop();
});

test("what nobody has, and what is too large, fails with its reason", { timeout: 60_000 }, async () => {
  const origin = await gateway("origin", "");
  const small = await gateway("small", tokens(`max_bytes = 50000\nqueue = 2\nrequests = 5\n`));
  const origins = [tcpOf((await origin.json("/api/v1/peer")).addresses)];
  const failed = async (pin) => {
    const { body } = await post(small, pin);
    return until("failed", async () => {
      const told = (await raw(small, `/pins/${body.requestid}`)).body;
      return told.status === "failed" && told.info.status_details;
    });
  };
  assert.match(await failed({ cid: NOBODY }), new RegExp(`has the block ${NOBODY}: nobody is connected, and the request names no origins`));
  assert.match(await failed({ cid: NOBODY, origins: ["/ip4/127.0.0.1/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"] }), /none of its origins can be reached/);
  assert.match(await failed({ cid: NOBODY, origins }), /1 peers were asked/);
  assert.match(await failed({ cid: past.root, origins }), /more than the 50000 bytes .*pinning\.max_bytes/);
  const stored = Number(/meshlive_store_bytes (\d+)/.exec(await small.text("/metrics"))[1]);
  assert.equal(stored, 0, "nothing of it stays");
  // Both limits, of requests and of those that wait.
  const codes = [];
  for (let n = 0; n < 3; n++) codes.push(await post(small, { cid: NOBODY, name: `${n}` }));
  assert.deepEqual(codes.map(({ status }) => status), [202, 409, 409]);
  assert.equal(codes[2].body.error.reason, "LIMIT_REACHED");
  await origin.stop();
});

test("nobody without a token, and nothing malformed, gets in", { timeout: 60_000 }, async () => {
  const off = await gateway("off", "");
  assert.equal((await raw(off, "/pins")).status, 404, "it is off unless the operator sets tokens");
  const mine = (await raw(service, "/pins")).body.results[0].requestid;
  for (const token of [undefined, "", "x", TOKEN.slice(1), `${TOKEN}x`, OTHER.toUpperCase()]) {
    for (const [path, method] of [["/pins", "GET"], ["/pins", "POST"], [`/pins/${mine}`, "GET"], [`/pins/${mine}`, "DELETE"], ["/pins/none", "GET"]]) {
      const { status, body } = await raw(service, path, { token: token ?? null, method });
      assert.deepEqual([status, body.error.reason], [401, "UNAUTHORIZED"], `${token} ${method} ${path}`);
    }
  }
  for (const [method, path] of [["GET", `/pins/${mine}`], ["DELETE", `/pins/${mine}`], ["POST", `/pins/${mine}`]]) {
    const body = method === "POST" ? JSON.stringify({ cid: NOBODY }) : undefined;
    const { status } = await raw(service, path, { token: OTHER, method, body });
    assert.equal(status, 404, `${method} of another's`);
  }
  for (const [body, code] of [
    ["", 400],
    ["{", 400],
    ["null", 400],
    [JSON.stringify({ cid: "x" }), 400],
    [JSON.stringify({ cid: NOBODY, name: "x".repeat(256) }), 400],
    [JSON.stringify({ cid: NOBODY, origins: Array(21).fill("/ip4/127.0.0.1/tcp/1") }), 400],
    [JSON.stringify({ cid: NOBODY, origins: ["http://169.254.169.254/"] }), 400],
    [JSON.stringify({ cid: NOBODY, meta: { a: ["b"] } }), 400],
    ["[".repeat(60_000), 400],
    [Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]), 400],
    ["x".repeat(65 * 1024), 413],
  ]) {
    const { status, body: told } = await raw(service, "/pins", { method: "POST", body });
    assert.equal(status, code, `${body.toString().slice(0, 80)}`);
    assert.ok(told.error.reason && told.error.details);
  }
  for (const path of ["/pins?limit=0", "/pins?limit=1001", "/pins?status=lost", "/pins?before=then", "/pins?match=x", "/pins?cid=x", "/pins?meta=%7B"]) {
    assert.equal((await raw(service, path)).status, 400, path);
  }
  for (const path of [`/pins/${"x".repeat(2000)}`, "/pins/%ff", "/pins/..%2f..%2fetc"]) {
    assert.equal((await raw(service, path)).status, 404, path.slice(0, 40));
  }
  // A body that does not come holds nobody up for long; the service answers meanwhile.
  const never = fetch(`${base(service)}/pins`, {
    method: "POST",
    duplex: "half",
    headers: { authorization: `Bearer ${TOKEN}` },
    body: new ReadableStream({ start: (stream) => stream.enqueue(new TextEncoder().encode("{")) }),
  }).then(({ status }) => status, () => "closed");
  assert.equal((await raw(service, "/pins")).status, 200);
  assert.ok([408, "closed"].includes(await Promise.race([never, sleep(20_000)])));
});
