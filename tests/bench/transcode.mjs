// Processor time of transcoding 720p30 at 2.5 Mbit/s against the ffmpeg command: `node tests/bench/transcode.mjs`
// One file with a key frame each 10 s (so that the gateway transcodes it), in real time, one after the other, twice.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { film, Gateway, sleep, start, until } from "../e2e/gateway.mjs";
import { cpuDuring, report } from "./process.mjs";

const SECONDS = 25;
const folder = mkdtempSync(join(tmpdir(), "meshlive-bench-"));
const path = await film(join(folder, "film.mp4"), { seconds: 60, size: "1280x720", gop: 300 });

async function ours() {
  const gateway = await Gateway.start({ inputs: [`${path}?name=film&loop=1`] });
  await until("transcoding", async () => (await gateway.json("/api/v1/streams/film")).notices.some((n) => /transcod/i.test(n)), { timeoutMs: 40_000 });
  await sleep(5000);
  const used = await cpuDuring([gateway.child.pid], SECONDS * 1000);
  await gateway.dispose();
  return used;
}

async function theirs() {
  const made = join(folder, "hls");
  mkdirSync(made, { recursive: true });
  const ffmpeg = start("ffmpeg", [
    ...["-v", "error", "-re", "-stream_loop", "-1", "-i", path],
    ...["-c:v", "libx264", "-preset", "superfast", "-tune", "zerolatency", "-b:v", "2500k", "-maxrate", "2500k", "-bufsize", "2500k"],
    ...["-g", "60", "-sc_threshold", "0", "-pix_fmt", "yuv420p", "-c:a", "copy"],
    ...["-f", "hls", "-hls_time", "2", "-hls_segment_type", "fmp4", "-hls_flags", "delete_segments", join(made, "index.m3u8")],
  ]);
  await sleep(10_000);
  const used = await cpuDuring([ffmpeg.child.pid], SECONDS * 1000);
  await ffmpeg.stop();
  return used;
}

const used = { ours: 0, theirs: 0 };
for (let round = 0; round < 2; round += 1) {
  used.ours += await ours();
  used.theirs += await theirs();
}
rmSync(folder, { recursive: true });
const ratio = used.ours / used.theirs;
const shown = Object.values(used).map((seconds) => `${(seconds / (2 * SECONDS)).toFixed(3)} cores`);
report("transcoding 720p30 at 2.5 Mbit/s, against ffmpeg", `${shown.join(" : ")} = ${ratio.toFixed(2)}`, "≤ 1.15", ratio <= 1.15);
