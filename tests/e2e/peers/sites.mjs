// A stream's origin and two mirrors at three sites, viewers at each; each gateway is killed in turn and comes back.
// No announced part is lost, viewers that have somewhere to go do not stand still, the link between origin and mirrors
// carries one copy, and at the end all three have the same past. $MESHLIVE_SCENE_MINUTES makes it longer than two minutes.
// Not among tests/run's files: tests/e2e/peers/mesh node --test tests/e2e/peers/sites.mjs

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Gateway, binary, run, sleep, start, until } from "../gateway.mjs";
import { Site } from "./net.mjs";
import { Viewer, browse, playlist, sent, sum } from "./viewers.mjs";

const CARD = "testcard?name=cam&size=320x180&rate=15&bit_rate=400000";
/** 2026-11-22T10:59:40Z, seconds: the past of the origin begins here, and goes over an hour's seam. */
const PAST = 1_795_345_180;
const AWAY_MS = 5_000;
const MINUTES = Number(process.env.MESHLIVE_SCENE_MINUTES ?? 2);
const root = fileURLToPath(new URL("../../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "meshlive-sites-"));

const things = [];
after(async () => {
  for (const thing of things.reverse()) await (thing.dispose ?? thing.stop ?? thing.close).call(thing).catch(() => {});
  rmSync(folder, { recursive: true, force: true });
});
const keep = (thing) => {
  things.push(thing);
  return thing;
};

/** The data folder of a gateway whose stream `cam` has forty seconds of past. */
function past() {
  const options = { stdio: ["ignore", "ignore", "inherit"], timeout: 200_000, cwd: root };
  const built = () => ["release", "debug"].map((profile) => join(root, "target", profile, "examples/past")).find(existsSync);
  if (!built()) execFileSync("cargo", ["build", "-q", "--locked", "-p", "meshlive-gateway", "--example", "past"], options);
  const [video, sound, data] = ["v.h264", "a.aac", "data"].map((name) => join(folder, name));
  const ffmpeg = (...args) => execFileSync("ffmpeg", ["-v", "error", "-f", "lavfi", "-i", ...args], options);
  const coded = "-c:v libx264 -preset ultrafast -bf 0 -g 30 -sc_threshold 0 -pix_fmt yuv420p -bsf:v h264_metadata=aud=insert";
  ffmpeg("testsrc2=s=320x180:r=25:d=40", ...coded.split(" "), "-f", "h264", video);
  ffmpeg("sine=r=48000:d=40", "-ac", "2", "-c:a", "aac", "-f", "adts", sound);
  mkdirSync(data);
  execFileSync(built(), [data, "cam", video, sound, `${PAST}:40`], options);
  return data;
}

/** A gateway at a site of its own. */
async function gatewayAt(site, options) {
  return keep(await Gateway.start({ host: site.address, program: [...site.enter, binary()], ...options }));
}

/** A reader at a site, of the gateway that is there. */
function reader(site, gateway, stream, rendition) {
  const script = fileURLToPath(new URL("reader.mjs", import.meta.url));
  const process_ = keep(start(site.enter[0], [...site.enter.slice(1), process.execPath, script, stream, rendition, gateway.url]));
  process_.seen = () => JSON.parse(process_.output.trim().split("\n").findLast((line) => line.endsWith("}")) ?? "{}");
  return process_;
}

/** Sizes and CIDs of every segment that a gateway's playlists name: `{url path: [etag, bytes]}`. */
async function window(gateway, stream, renditions) {
  const found = {};
  for (const { id } of renditions) {
    const { segments } = await playlist(gateway, { alias: stream, rendition: id });
    for (const { url } of segments) {
      const answer = await fetch(url, { method: "HEAD" });
      found[new URL(url).pathname] = [answer.status, answer.headers.get("etag"), Number(answer.headers.get("content-length"))];
    }
  }
  return found;
}

/** Nothing that one of them announced lacks at another, but for what left its window meanwhile. */
async function same(gateways, stream, renditions) {
  const windows = await Promise.all(gateways.map((gateway) => window(gateway, stream, renditions)));
  const [original] = windows;
  for (const other of windows.slice(1)) {
    const both = Object.keys(original).filter((path) => path in other);
    assert.ok(both.length >= 2 * renditions.length, `${both.length} segments in common`);
    for (const path of both) assert.deepEqual(other[path], original[path], path);
    // Windows are asked one after the other: the ends may differ by a segment or two, the middle may not.
    const lacks = Object.keys(original).filter((path) => !(path in other)).length;
    assert.ok(lacks <= 3 * renditions.length, `${lacks} segments of the origin are not at a mirror`);
  }
}

test("an origin and two mirrors, each killed in turn", { timeout: (MINUTES + 4) * 60_000 }, async (context) => {
  const sites = await Promise.all([Site.make(), Site.make(), Site.make()].map(async (site) => keep(await site)));
  const origin = await gatewayAt(sites[0], { data: past(), inputs: [CARD] });
  const { stream, renditions } = await until("the stream is live", async () => {
    const object = await origin.json("/api/v1/streams/cam");
    return object.live && object;
  });
  const port = origin.listeners["p2p-tcp"].split(":").pop();
  const follow = `${stream}@/ip4/${sites[0].address}/tcp/${port}?name=cam`;
  const mirrors = [];
  for (const site of sites.slice(1)) mirrors.push(await gatewayAt(site, { inputs: [], flags: ["--follow", follow] }));
  const gateways = [origin, ...mirrors];
  // As a restart has them: the same ports, so that others find them again.
  for (const [at, gateway] of gateways.entries()) {
    const own = gateway.listeners["p2p-tcp"].split(":").pop();
    gateway.options.flags = [...(gateway.options.flags ?? []), "--p2p-tcp", `${sites[at].address}:${own}`];
  }
  const knows = (gateway, count) => async () => (await gateway.json("/api/v1/streams/cam")).gateways.length === count;
  const whole = (gateway) => async () => {
    const { live } = await gateway.json("/api/v1/streams/cam");
    return live && (await knows(gateway, 2)());
  };
  for (const gateway of gateways) await until("all know each other", whole(gateway), { timeoutMs: 30_000 });
  await sleep(10_000);

  const [main] = renditions;
  const readersAt = (at) => [0, 1].map(() => reader(sites[at], gateways[at], stream, main.id));
  const readers = [1, 2].flatMap(readersAt);
  const allow = [/ERR_|WebSocket|Failed to (load|fetch)/];
  const browser = keep(await browse({ site: sites[1] }));
  const viewer = await Viewer.watch(browser, mirrors[0], { alias: "cam", sharing: false, allow });
  await sleep(5_000);

  // The link, while all viewers are at home and the origin has none of its own: all that it sends goes beyond its site.
  const link = () => JSON.parse(execFileSync("ip", ["-s", "-j", "link", "show", sites[0].link]))[0].stats64.rx.bytes;
  const { next } = await playlist(origin, { alias: stream, rendition: main.id });
  const before = [await sent(origin), link(), performance.now()];
  await sleep(25_000);
  const after_ = [await sent(origin), link(), performance.now()];
  // Of what was published meanwhile: the window has the origin's past in it, which is of another rate.
  const isNew = (msn) => msn >= next;
  const published = Object.entries(await window(origin, stream, renditions));
  const bytes = sum(published.filter(([path]) => isNew(Number(/(\d+)\.m4s$/.exec(path)[1]))).map(([, [, , length]]) => length));
  const { segments } = await playlist(origin, { alias: stream, rendition: main.id });
  const copy = (bytes / sum(segments.filter(({ msn }) => isNew(msn)).map(({ seconds }) => seconds))) * ((after_[2] - before[2]) / 1000);
  const media = (after_[0].all - before[0].all) / copy;
  const wire = (after_[1] - before[1]) / copy;
  context.diagnostic(`copies over the link between origin and mirrors: ${media.toFixed(3)} of media, ${wire.toFixed(3)} with all headers, announcements and what else is said`);
  assert.ok(media > 0.9 && media <= 1.05, `${media} copies`);
  readers.push(...readersAt(0));
  await sleep(2_000);

  // Each in turn, as long as there is time.
  const since = performance.now();
  let killed = 0;
  do {
    for (const gateway of [mirrors[0], mirrors[1], origin]) {
      const viewerBefore = await viewer.stats();
      await gateway.kill();
      await sleep(AWAY_MS);
      await gateway.start();
      killed += 1;
      for (const one of gateways) await until("all are one again", whole(one), { timeoutMs: 40_000 });
      await sleep(6_000);
      await same(gateways, stream, renditions);
      const now = await viewer.stats();
      const stoodMs = now.stallMs - viewerBefore.stallMs;
      context.diagnostic(`${gateway === origin ? "origin" : "a mirror"} killed: the page stood ${Math.round(stoodMs)} ms; readers' longest ${readers.map((one) => one.seen().longestMs)} ms`);
      if (gateway !== origin) assert.ok(stoodMs < 1_000, `the page stood still for ${stoodMs} ms`);
    }
  } while (performance.now() - since < (MINUTES - 2) * 60_000);

  const state = await viewer.stats();
  assert.equal(state.state, "playing", JSON.stringify(state));
  await viewer.finish();
  for (const one of readers) {
    const seen = one.seen();
    const text = JSON.stringify(seen);
    assert.deepEqual(seen.lost, [], text);
    assert.ok(seen.longestMs < 1_000, `a reader stood still: ${text}`);
    assert.ok(seen.parts > 200 && seen.quietMs < 3_000 && seen.discontinuities >= killed / 3, text);
    await one.stop();
  }
  // Those of the mirrors moved, and those of the origin had to.
  assert.ok(readers.every((one) => one.seen().moves > 0), "everyone moved");

  const roots = [];
  for (const gateway of gateways) {
    await until("the past is here", async () => (await gateway.json("/api/v1/streams/cam/archive")).days.length > 0);
    await gateway.stop();
    const verified = await run(binary(), ["archive", "verify", "--data", gateway.data]);
    assert.equal(verified.code, 0, verified.stderr + verified.stdout);
    roots.push((await run(binary(), ["archive", "ls", "--data", gateway.data])).stdout);
  }
  assert.match(roots[0], /2026-11-22T10[^]*2026-11-22T11/);
  assert.equal(roots[1], roots[0]);
  assert.equal(roots[2], roots[0]);
});
