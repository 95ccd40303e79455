// A closed hour leaves its gateway: Kubo pins it by its CID and reads it back, finds the stream's newest directory by its
// name, and gives the hour to a gateway that has nothing when the origin is gone.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Gateway, until } from "../e2e/gateway.mjs";
import { compile, dht, example, Fetcher, tcpOf } from "./fetcher.mjs";
import { Kubo } from "./kubo.mjs";

/** 2026-11-22T10:00:00Z, and how long the stream was on air from there, seconds. */
const TEN = 1_795_341_600;
const ON_AIR = 60;

const folder = mkdtempSync(join(tmpdir(), "meshlive-hour-"));
let gateway;
let kubo;
let mirror;
let past;
let hour;

before(async () => {
  compile("past");
  const [video, sound, data] = ["v.h264", "a.aac", "data"].map((name) => join(folder, name));
  mkdirSync(data);
  const run = (program, ...args) => execFileSync(program, args, { encoding: "utf8", timeout: 100_000 });
  const coded = "-c:v libx264 -preset ultrafast -bf 0 -g 50 -sc_threshold 0 -pix_fmt yuv420p -bsf:v h264_metadata=aud=insert";
  run("ffmpeg", "-v", "error", "-f", "lavfi", "-i", `testsrc2=s=320x180:r=25:d=${ON_AIR}`, ...coded.split(" "), "-f", "h264", video);
  run("ffmpeg", "-v", "error", "-f", "lavfi", "-i", `sine=r=48000:d=${ON_AIR}`, "-ac", "2", "-c:a", "aac", "-f", "adts", sound);
  run(example("past"), data, "cam", video, sound, `${TEN}:${ON_AIR}`);
  gateway = await Gateway.start({ data, inputs: [], flags: [] });
  past = await gateway.json("/api/v1/streams/cam/archive");
  hour = past.days[0].hours[0];
  [kubo, mirror] = await Promise.all([Kubo.start("dht"), Fetcher.start()]);
});
after(async () => {
  for (const one of [mirror, kubo, gateway]) await one?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** Every file below a folder, by its path there. */
function files(root, path = "") {
  return readdirSync(join(root, path)).flatMap((name) => {
    const inner = join(path, name);
    return statSync(join(root, inner)).isDirectory() ? files(root, inner) : [inner];
  });
}

/** That every file of the hour, as Kubo has it, is what a gateway serves under its CID. */
async function same(downloaded, url) {
  const all = files(downloaded);
  assert.ok(all.filter((name) => name.endsWith(".m4s")).length >= ON_AIR / 2 - 2, `${all}`);
  assert.ok(all.some((name) => name.endsWith(".m3u8")), `${all}`);
  for (const name of all) {
    const answer = await fetch(`${url}/ipfs/${hour.cid}/${name}`);
    assert.equal(answer.status, 200, name);
    assert.deepEqual(Buffer.from(await answer.arrayBuffer()), readFileSync(join(downloaded, name)), name);
  }
}

test("Kubo pins an hour recursively, reads back our bytes, and finds the stream's newest directory by its name", async () => {
  const { addresses } = await gateway.json("/api/v1/peer");
  assert.equal(await kubo.ask("connect", tcpOf(addresses)), 0);
  const since = performance.now();
  assert.equal(await kubo.ask("pin", hour.cid, 120_000), 0);
  console.log(`# Kubo pinned an hour with ${ON_AIR} s of media, ${(hour.bytes / 1e6).toFixed(1)} MB, in ${(performance.now() - since).toFixed(0)} ms`);
  const target = join(folder, "hour");
  assert.equal(await kubo.ask("get", hour.cid, target), 0);
  await same(target, gateway.url);
  const record = await fetch(`${gateway.url}/ipns/${past.stream}?format=ipns-record`);
  const bytes = Buffer.from(await record.arrayBuffer());
  assert.ok(bytes.includes(`/ipfs/${past.root}`), "it names the newest directory");
  await until("Kubo's DHT has it", () => dht(kubo.address, "get", past.stream) === bytes.toString("hex"), { timeoutMs: 30_000 });
});

test("the origin is gone: a gateway that has nothing gets the hour from Kubo, and nothing that Kubo did not pin", async () => {
  await gateway.stop();
  const fetched = await mirror.fetch(kubo.address, hour.cid);
  assert.ok(fetched.new > ON_AIR, JSON.stringify(fetched));
  await same(join(folder, "hour"), mirror.url);
  const missing = await mirror.fetch(kubo.address, past.root);
  assert.match(missing.error, new RegExp(past.root));
});
