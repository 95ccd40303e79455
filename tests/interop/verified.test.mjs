// Helia without a network of its own: @helia/ipns finds the stream's newest directory, and @helia/verified-fetch plays an
// archived hour, with nothing but our gateway over HTTP. What lies to them is not believed.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { withHTTP } from "@helia/http";
import { ipnsResolver } from "@helia/ipns";
import { createVerifiedFetchWithHelia } from "@helia/verified-fetch";
import { createHeliaLight } from "helia";
import { base36 } from "multiformats/bases/base36";
import { CID } from "multiformats/cid";
import { Gateway, run } from "../e2e/gateway.mjs";
import { compile, example } from "./fetcher.mjs";
import "./node20.mjs";

/** 2026-11-22T10:00:00Z, and how long the stream was on air in each of two hours, seconds. */
const TEN = 1_795_341_600;
const ON_AIR = 20;

const folder = mkdtempSync(join(tmpdir(), "meshlive-verified-"));
/** No stream of its own: the test card would want the machine. */
const config = join(folder, "config.toml");
writeFileSync(config, "inputs = []\n");
const [video, sound, data] = ["v.h264", "a.aac", "data"].map((name) => join(folder, name));
const nodes = [];
let gateway;
let past;
let frames;

/** An hour of stream at this time; the gateway is not running. Returns the frames that were announced. */
async function onAir(start) {
  const { code, stdout, stderr } = await run(example("past"), [data, "cam", video, sound, `${start}:${ON_AIR}`]);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout).frames[0];
}

/** A Helia node that knows this gateway and nobody else. */
async function heliaOf(url) {
  const node = withHTTP(createHeliaLight(), { delegatedRouters: [url], recursiveGateways: [url], allowInsecure: true, allowLocal: true });
  await node.start();
  nodes.push(node);
  return node;
}

before(async () => {
  compile("past");
  mkdirSync(data);
  const ffmpeg = (...args) => execFileSync("ffmpeg", ["-v", "error", ...args], { timeout: 60_000 });
  const coded = "-c:v libx264 -preset ultrafast -bf 0 -g 50 -sc_threshold 0 -pix_fmt yuv420p -bsf:v h264_metadata=aud=insert";
  ffmpeg("-f", "lavfi", "-i", `testsrc2=s=320x180:r=25:d=${ON_AIR}`, ...coded.split(" "), "-f", "h264", video);
  ffmpeg("-f", "lavfi", "-i", `sine=r=48000:d=${ON_AIR}`, "-ac", "2", "-c:a", "aac", "-f", "adts", sound);
  frames = await onAir(TEN);
  gateway = await Gateway.start({ data, inputs: [], flags: ["--config", config] });
  past = await gateway.json("/api/v1/streams/cam/archive");
});
after(async () => {
  for (const node of nodes) await node.stop();
  await gateway?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** What Helia finds for a name: `{value, sequence}`. */
async function resolve(url, name) {
  const node = await heliaOf(url);
  for await (const { record, value } of ipnsResolver(node).resolve(CID.parse(name, base36), { signal: AbortSignal.timeout(15_000) })) {
    return { value, sequence: record.sequence };
  }
}

/** All URIs of a playlist: of its lines and of its tags. */
const uris = (text) => [...text.matchAll(/URI="([^"]+)"|^([^#\n].*)$/gm)].map((match) => match[1] ?? match[2]);

/** A gateway between ours and the asker that answers what `change` makes of our bytes. */
async function between(change) {
  const server = createServer(async (request, answer) => {
    const ours = await fetch(gateway.url + request.url, { headers: { accept: request.headers.accept ?? "*/*" }, redirect: "manual" });
    const body = Buffer.from(await ours.arrayBuffer());
    answer.writeHead(ours.status, { "content-type": ours.headers.get("content-type") ?? "text/plain" });
    answer.end(ours.status === 200 ? change(body, request.url) : body);
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${server.address().port}`, close };
}

/** The same bytes with one bit of the last but one flipped. */
function flipped(bytes) {
  const other = Buffer.from(bytes);
  other[other.length - 2] ^= 1;
  return other;
}

test("@helia/verified-fetch plays an archived hour by the stream's name, every frame of it", async () => {
  const fetched = await createVerifiedFetchWithHelia(await heliaOf(gateway.url));
  let blocks = 0;
  const read = async (path) => {
    const answer = await fetched(`ipns://${past.stream}/${path}`, { signal: AbortSignal.timeout(30_000), onProgress: () => { blocks += 1; } });
    assert.equal(answer.status, 200, path);
    return Buffer.from(await answer.arrayBuffer());
  };
  const hour = "2026-11-22/10";
  const renditions = uris((await read(`${hour}/index.m3u8`)).toString());
  assert.ok(renditions.includes("source/index.m3u8"), `${renditions}`);
  const files = uris((await read(`${hour}/source/index.m3u8`)).toString());
  assert.ok(files.length > ON_AIR / 2 - 1, `${files}`);
  const media = await Promise.all(files.map((file) => read(`${hour}/source/${file}`)));
  const movie = join(folder, "hour.mp4");
  writeFileSync(movie, Buffer.concat(media));
  const { stdout } = await run("ffprobe", ["-v", "error", "-select_streams", "v", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", movie]);
  assert.equal(Number(stdout.trim().split(",")[0]), frames);
  assert.ok(blocks > files.length, "it went over blocks");
  await fetched.stop();
});

test("@helia/verified-fetch refuses what one flipped bit has changed, and takes the same from who changes nothing", async () => {
  const [{ cid }] = past.days[0].hours;
  const files = uris(await (await fetch(`${gateway.url}/ipfs/${cid}/source/index.m3u8`)).text());
  const path = `${cid}/source/${files.at(-1)}`;
  const read = async (change) => {
    const proxy = await between(change);
    const fetched = await createVerifiedFetchWithHelia(await heliaOf(proxy.url));
    try {
      const answer = await fetched(`ipfs://${path}`, { signal: AbortSignal.timeout(5000) });
      assert.equal(answer.status, 200);
      return Buffer.from(await answer.arrayBuffer());
    } finally {
      await fetched.stop();
      proxy.close();
    }
  };
  assert.deepEqual(await read((bytes) => bytes), Buffer.from(await (await fetch(`${gateway.url}/ipfs/${path}`)).arrayBuffer()));
  const part = (url) => url.startsWith("/ipfs/bafkrei");
  let lies = 0;
  await assert.rejects(read((bytes, url) => (part(url) ? (lies += 1, flipped(bytes)) : bytes)));
  assert.ok(lies > 0, "it was lied to");
});

test("@helia/ipns refuses a record that is changed, or of another name, and finds nothing where nobody has one", async () => {
  const through = async (name, change) => {
    const proxy = await between((bytes, path) => (path.includes("/routing/") ? change(bytes) : bytes));
    return resolve(proxy.url, name).finally(proxy.close);
  };
  assert.equal((await through(past.stream, (bytes) => bytes)).value, `/ipfs/${past.root}`);
  const another = (bytes) => Buffer.from(bytes.toString("latin1").replaceAll(past.root, past.days[0].cid), "latin1");
  assert.equal(past.root.length, past.days[0].cid.length);
  await assert.rejects(through(past.stream, another), { name: "RecordsFailedValidationError" });
  const nobody = "k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8";
  assert.equal((await fetch(`${gateway.url}/routing/v1/ipns/${nobody}`)).status, 404);
  await assert.rejects(resolve(gateway.url, nobody), { name: "RecordNotFoundError" });
  const ours = Buffer.from(await (await fetch(`${gateway.url}/routing/v1/ipns/${past.stream}`)).arrayBuffer());
  const wrong = createServer((_, answer) => answer.writeHead(200, { "content-type": "application/vnd.ipfs.ipns-record" }).end(ours));
  await new Promise((ready) => wrong.listen(0, "127.0.0.1", ready));
  await assert.rejects(resolve(`http://127.0.0.1:${wrong.address().port}`, nobody), { name: "RecordsFailedValidationError" });
  wrong.close();
});

test("@helia/ipns resolves the stream's newest directory, also when another hour has closed", async () => {
  const before_ = await resolve(gateway.url, past.stream);
  assert.equal(before_.value, `/ipfs/${past.root}`);
  await gateway.stop();
  await onAir(TEN + 3600);
  await gateway.start();
  const newer = await gateway.json("/api/v1/streams/cam/archive");
  assert.notEqual(newer.root, past.root);
  const after_ = await resolve(gateway.url, past.stream);
  assert.equal(after_.value, `/ipfs/${newer.root}`);
  assert.ok(after_.sequence > before_.sequence);
});
