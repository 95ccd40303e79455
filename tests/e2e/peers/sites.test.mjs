// A stream's origin and two mirrors at three sites, viewers at each; each gateway is killed in turn and comes back.
// No announced part is lost, nobody stands still for a second longer than there was nothing to see, the link between the
// origin's site and the mirrors' carries one copy, and at the end all three have the same past. $MESHLIVE_SCENE_MINUTES makes
// it longer, $MESHLIVE_SCENE_TURN says who is killed in a round.
//
// A copy: media that the origin's gateway sends to the mirrors, pushed or over bitswap, with what they missed while they were
// down, by the media that it published meanwhile. What viewers of a mirror that is down fetch from the origin for themselves
// crosses the link as well, once for each of them, until they are back at their own: it is told apart, and in the end, when
// all gateways are there, it counts as well.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { compile, example } from "../../interop/fetcher.mjs";
import { Gateway, binary, run, sleep, start, until } from "../gateway.mjs";
import { Meter } from "./meter.mjs";
import { Site } from "./net.mjs";
import { Viewer, browse, playlist, sum } from "./viewers.mjs";

const CARD = "testcard?name=cam&size=320x180&rate=15&bit_rate=400000";
/** 2026-11-22T10:59:40Z, seconds: the past of the origin begins here, and goes over an hour's seam. */
const PAST = 1_795_345_180;
const AWAY_MS = 5_000;
const MINUTES = Number(process.env.MESHLIVE_SCENE_MINUTES ?? 2);
/** Who is killed in a round: the origin is 0. */
const TURN = (process.env.MESHLIVE_SCENE_TURN ?? "1,2,0").split(",").map(Number);
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
  const options = { stdio: ["ignore", "ignore", "inherit"], timeout: 100_000 };
  compile("past");
  const [video, sound, data] = ["v.h264", "a.aac", "data"].map((name) => join(folder, name));
  const ffmpeg = (...args) => execFileSync("ffmpeg", ["-v", "error", "-f", "lavfi", "-i", ...args], options);
  const coded = "-c:v libx264 -preset ultrafast -bf 0 -g 30 -sc_threshold 0 -pix_fmt yuv420p -bsf:v h264_metadata=aud=insert";
  ffmpeg("testsrc2=s=320x180:r=25:d=40", ...coded.split(" "), "-f", "h264", video);
  ffmpeg("sine=r=48000:d=40", "-ac", "2", "-c:a", "aac", "-f", "adts", sound);
  mkdirSync(data);
  execFileSync(example("past"), [data, "cam", video, sound, `${PAST}:40`], options);
  return data;
}

/** A gateway at a site of its own. */
async function gatewayAt(site, { flags = [], ...options }) {
  const file = join(folder, "all.toml");
  writeFileSync(file, '[archive]\nkeep = "everything"\n');
  const program = [...site.enter, binary()];
  return keep(await Gateway.start({ host: site.address, program, flags: ["--config", file, ...flags], ...options }));
}

/** A reader at a site, of the gateway that is there. */
function reader(site, gateway, stream, rendition) {
  const script = fileURLToPath(new URL("reader.mjs", import.meta.url));
  const process_ = keep(start(site.enter[0], [...site.enter.slice(1), process.execPath, script, stream, rendition, gateway.url]));
  process_.site = site;
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

/** How long the stream was not recorded when it was last, ms: between two neighbours in the playlist. */
async function gapMs(gateway, path) {
  const text = await gateway.text(path);
  const [before, after] = text.split("#EXT-X-DISCONTINUITY\n").slice(-2);
  const at = (line) => Date.parse(line.slice(line.indexOf(":") + 1));
  const dated = /#EXT-X-PROGRAM-DATE-TIME:.*/g;
  const since = before.slice(before.lastIndexOf("#EXT-X-PROGRAM-DATE-TIME"));
  const seconds = sum([...since.matchAll(/#EXTINF:([\d.]+)/g)].map(([, one]) => Number(one)));
  return at(after.match(dated)[0]) - at(before.match(dated).at(-1)) - 1000 * seconds;
}

test("an origin and two mirrors, each killed in turn", { timeout: MINUTES * 60_000 + 180_000 }, async (context) => {
  const until_ = performance.now() + MINUTES * 60_000;
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
    gateway.options.flags = [...gateway.options.flags, "--p2p-tcp", `${sites[at].address}:${own}`];
  }
  const knows = (gateway, count) => async () => (await gateway.json("/api/v1/streams/cam")).gateways.length === count;
  const whole = (gateway) => async () => {
    const { live } = await gateway.json("/api/v1/streams/cam");
    return live && (await knows(gateway, 2)());
  };
  for (const gateway of gateways) await until("all know each other", whole(gateway), { timeoutMs: 30_000 });

  const [main] = renditions;
  const paths = renditions.map(({ id }) => `/live/${stream}/${id}.m3u8`);
  const readers = [0, 1, 2].flatMap((at) => [0, 1].map(() => reader(sites[at], gateways[at], stream, main.id)));
  const allow = [/ERR_|WebSocket|Failed to (load|fetch)/];
  // At one site: what the origin sends to its own viewers stays off its link.
  const viewers = [];
  for (const at of [0, 1]) {
    const browser = keep(await browse({ site: sites[at] }));
    viewers.push(await Viewer.watch(browser, gateways[at], { alias: "cam", sharing: false, allow }));
  }
  // Where pages are, and what those who are not at the origin's site fetched there.
  let fetched = 0;
  for (const viewer of viewers) {
    viewer.page.on("response", (answer) => {
      if (answer.request().method() !== "GET" || !answer.url().endsWith(".m4s")) return;
      viewer.at = new URL(answer.url()).origin;
      const crosses = viewer !== viewers[0] && viewer.at === origin.url;
      if (crosses) fetched += Number(answer.headers()["content-length"] ?? 0);
    });
  }
  const abroad = () => fetched + sum(readers.filter(({ site }) => site !== sites[0]).map((one) => one.seen().from?.[origin.url] ?? 0));
  await sleep(8_000);

  // The link, while all viewers are at home: those of the origin are at its own site.
  const meter = new Meter(sites[0], origin, paths);
  const begun = await meter.read();
  await sleep(25_000);
  const quiet = meter.copies(begun, await meter.read());
  context.diagnostic(`over the origin's link, in copies, while nothing happens: ${JSON.stringify(quiet)}`);
  assert.ok(quiet.media > 0.95 && quiet.media <= 1.05, JSON.stringify(quiet));

  // Each in turn, as long as there is time.
  let killed = 0;
  const stood = async () => Promise.all(viewers.map(async (viewer) => (await viewer.stats()).stallMs));
  do {
    for (const gateway of TURN.map((at) => gateways[at])) {
      const before = await stood();
      if (gateway === origin) await meter.ends();
      await gateway.kill();
      await sleep(AWAY_MS);
      await gateway.start();
      killed += 1;
      for (const one of gateways) await until("all are one again", whole(one), { timeoutMs: 40_000 });
      await sleep(6_000);
      await same(gateways, stream, renditions);
      // What nobody recorded nobody sees.
      const lacks = gateway === origin ? Math.round(await gapMs(origin, paths[0])) : 0;
      const after = await stood();
      const stoodMs = after.map((ms, at) => Math.round(ms - before[at]));
      const longest = readers.map((one) => one.seen().longestMs);
      const who = gateway === origin ? `the origin was killed, ${lacks} ms were not recorded` : "a mirror was killed";
      context.diagnostic(`${who}: pages stood ${stoodMs} ms; readers' longest ${longest} ms, latest ${readers.map((one) => one.seen().latestMs)} ms`);
      assert.ok(lacks < AWAY_MS + 5_000, `${lacks} ms without a picture`);
      for (const ms of stoodMs) assert.ok(ms - lacks < 1_000, `a page stood still for ${ms} ms, of which ${lacks} were not recorded`);
      const state = await meter.read(); // of each segment while it is there
      context.diagnostic(`  ${JSON.stringify(meter.copies(begun, state))}`);
    }
  } while (performance.now() < until_ - 45_000);
  const all = meter.copies(begun, await meter.read());
  const own = Math.round((1000 * abroad()) / all.published) / 1000;
  context.diagnostic(`over the origin's link in all, after ${killed} kills: ${JSON.stringify(all)}; fetched by viewers of others: ${own}`);
  assert.ok(all.media > 0.95 && all.media <= 1.05, JSON.stringify(all));

  // Whoever had to leave is back, and nothing crosses the link but for the mirrors.
  await until("all are at home", () => {
    const away = readers.filter((one, at) => one.seen().at !== gateways[Math.floor(at / 2)].url);
    return away.length === 0 && viewers.every((viewer, at) => viewer.at === gateways[at].url);
  }, { timeoutMs: 100_000 });
  const [settled, stoodBefore, own_] = [await meter.read(), await stood(), abroad()];
  await sleep(20_000);
  const end = meter.copies(settled, await meter.read());
  const total = end.media + (abroad() - own_) / end.published;
  const stoodAtHome = (await stood()).map((ms, at) => Math.round(ms - stoodBefore[at]));
  context.diagnostic(`all at home again: ${total.toFixed(3)} copies, viewers among them; pages stood ${stoodAtHome} ms; ${JSON.stringify(end)}`);
  assert.ok(total > 0.95 && total <= 1.05, `${total} copies: ${JSON.stringify(end)}`);

  for (const viewer of viewers) {
    const state = await viewer.stats();
    assert.equal(state.state, "playing", JSON.stringify(state));
    await viewer.finish();
  }
  for (const one of readers) {
    const seen = one.seen();
    const text = JSON.stringify(seen);
    assert.deepEqual(seen.lost, [], text);
    assert.ok(seen.longestMs < 1_000, `a reader stood still: ${text}`);
    assert.ok(seen.parts > 200 && seen.quietMs < 3_000 && seen.discontinuities >= killed / 3, text);
    await one.stop();
  }
  assert.ok(readers.every((one) => one.seen().moves > 0), "everyone moved");

  const archive = (gateway) => gateway.json("/api/v1/streams/cam/archive");
  await until("all hold the same", async () => {
    const [one, ...others] = await Promise.all(gateways.map(archive));
    assert.ok(one.root && one.days.length > 0, JSON.stringify(one));
    for (const other of others) assert.deepEqual([other.root, other.days], [one.root, one.days]);
    return true;
  }, { timeoutMs: 20_000 });
  const listed = [];
  for (const gateway of gateways) {
    await gateway.stop();
    const verified = await run(binary(), ["archive", "verify", "--data", gateway.data]);
    const who = gateway === origin ? "the origin" : "a mirror";
    assert.equal(verified.code, 0, `${who}: ${verified.stderr}${verified.stdout}${gateway.log.slice(-4_000)}`);
    listed.push((await run(binary(), ["archive", "ls", "--data", gateway.data])).stdout);
  }
  assert.match(listed[0], /2026-11-22 [^]* T10 [^]* T11 /);
  assert.equal(listed[1], listed[0]);
  assert.equal(listed[2], listed[0]);
});
