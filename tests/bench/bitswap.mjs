// An archived hour of 1 GiB, fetched over bitswap by one Kubo from the gateway, and the same blocks by another Kubo from
// that one, in turns: `node tests/bench/bitswap.mjs [--rounds N] [--megabytes N]`

import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { median } from "../e2e/browser.mjs";
import { Gateway } from "../e2e/gateway.mjs";
import { compile, example, tcpOf } from "../interop/fetcher.mjs";
import { Kubo } from "../interop/kubo.mjs";
import { report } from "./process.mjs";

const { values } = parseArgs({ options: { rounds: { type: "string", default: "3" }, megabytes: { type: "string", default: "1024" } } });
const [rounds, wanted] = [Number(values.rounds), Number(values.megabytes) * 1024 * 1024];
/** 2026-11-22T10:00:00Z, seconds. */
const TEN = 1_795_341_600;
/** Seconds of noise, which are repeated: other times make other blocks of them. */
const PIECE = 4;

const folder = mkdtempSync(join(tmpdir(), "meshlive-bitswap-"));
const [data, video, sound] = ["data", "v.h264", "a.aac"].map((name) => join(folder, name));
let gateway;

/** A raw film of `times` times what ffmpeg makes. */
function film(file, times, ...args) {
  execFileSync("ffmpeg", ["-v", "error", "-y", ...args, file]);
  const piece = readFileSync(file);
  const out = openSync(file, "w");
  for (let at = 0; at < times(piece.length); at += 1) writeSync(out, piece);
  closeSync(out);
  return times(piece.length);
}

/** A node that has nothing pins the hour, with only this one to ask; seconds, and the node. */
async function pin(cid, address) {
  const kubo = await Kubo.start();
  if ((await kubo.ask("connect", address)) !== 0) throw new Error(`Kubo does not reach ${address}`);
  const since = performance.now();
  if ((await kubo.ask("pin", cid, 600_000)) !== 0) throw new Error("Kubo could not pin the hour");
  return { kubo, seconds: (performance.now() - since) / 1000 };
}

try {
  compile("past");
  mkdirSync(data);
  const coded = "-c:v libx264 -preset ultrafast -b:v 8M -minrate 8M -maxrate 8M -bufsize 1M -bf 0 -g 50 -sc_threshold 0 -pix_fmt yuv420p -bsf:v h264_metadata=aud=insert";
  const noise = `testsrc2=s=1280x720:r=25:d=${PIECE},noise=alls=20:allf=t`;
  const times = film(video, (bytes) => Math.ceil(wanted / bytes), "-f", "lavfi", "-i", noise, ...coded.split(" "), "-f", "h264");
  film(sound, () => times, "-f", "lavfi", "-i", `sine=r=48000:d=${PIECE}`, "-ac", "2", "-c:a", "aac", "-f", "adts");
  execFileSync(example("past"), [data, "cam", video, sound, `${TEN}:${times * PIECE}`], { stdio: ["ignore", "ignore", "inherit"] });
  for (const file of [video, sound]) rmSync(file);
  gateway = await Gateway.start({ data, inputs: [], flags: [] });
  const { days } = await gateway.json("/api/v1/streams/cam/archive");
  const [{ cid, bytes }] = days[0].hours;
  if (bytes < wanted / 2) throw new Error(`the hour has only ${bytes} bytes: its film was refused`);
  const { addresses } = await gateway.json("/api/v1/peer");
  const took = { ours: [], kubos: [] };
  for (let round = 0; round < rounds; round += 1) {
    const first = await pin(cid, tcpOf(addresses));
    const second = await pin(cid, first.kubo.address);
    await Promise.all([first.kubo.dispose(), second.kubo.dispose()]);
    took.ours.push(first.seconds);
    took.kubos.push(second.seconds);
    console.log(`# round ${round + 1}: from the gateway ${first.seconds.toFixed(2)} s, from Kubo ${second.seconds.toFixed(2)} s`);
  }
  const [ours, kubos] = [took.ours, took.kubos].map((all) => bytes / 1e6 / median(all));
  const what = `bitswap download of ${(bytes / 2 ** 30).toFixed(2)} GiB by Kubo from the gateway, against from Kubo, median of ${rounds}`;
  report(what, `${ours.toFixed(1)} MB/s : ${kubos.toFixed(1)} MB/s = ${(ours / kubos).toFixed(2)}`, "≥ 1.0", ours >= kubos);
} finally {
  await gateway?.dispose();
  rmSync(folder, { recursive: true, force: true });
}
