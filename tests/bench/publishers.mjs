// Processor time of 20 RTMP publishers at 3 Mbit/s, passed through, against nginx-rtmp making HLS:
// `node tests/bench/publishers.mjs` (after deploy/setup --bench)

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Gateway, run, sleep, start, until } from "../e2e/gateway.mjs";
import { cpuDuring, report } from "./process.mjs";

const PUBLISHERS = 20;
const SECONDS = 30;
const folder = mkdtempSync(join(tmpdir(), "meshlive-bench-"));
const path = join(folder, "film.flv");
// Noise, so that 3 Mbit/s are really 3 Mbit/s.
const made = await run("ffmpeg", [
  ...["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30,noise=alls=20:allf=t", "-f", "lavfi", "-i", "sine=sample_rate=48000"],
  ...["-t", "20", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-b:v", "2900k", "-minrate", "2900k", "-maxrate", "2900k", "-bufsize", "1450k"],
  ...["-g", "60", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "100k", path],
], { timeoutMs: 120_000 });
if (made.code !== 0) throw new Error(made.stderr);

/** All publishers to one address each; gives what stops them. */
function publish(urls) {
  const all = urls.map((url) => start("ffmpeg", ["-v", "error", "-re", "-stream_loop", "-1", "-i", path, "-c", "copy", "-f", "flv", url]));
  return async () => {
    await Promise.all(all.map((one) => one.stop()));
  };
}

async function ours() {
  const gateway = await Gateway.start({ inputs: ["/nothing.mp4?name=none"] });
  const urls = [];
  for (let i = 0; i < PUBLISHERS; i += 1) {
    const { stdout } = await gateway.command("keys", "new", `stage-${i}`);
    urls.push(`rtmp://127.0.0.1:${gateway.ports.rtmp}/live/${/publish secret\s+(\S+)/.exec(stdout)[1]}`);
  }
  const stop = publish(urls);
  const live = async () => (await gateway.json("/api/v1/streams")).streams.filter((one) => one.live).length;
  await until(`${PUBLISHERS} streams`, async () => (await live()) === PUBLISHERS, { timeoutMs: 60_000 });
  await sleep(5000);
  const used = await cpuDuring([gateway.child.pid], SECONDS * 1000);
  if ((await live()) !== PUBLISHERS) throw new Error(`only ${await live()} are still live`);
  await stop();
  await gateway.dispose();
  return used;
}

async function theirs() {
  const work = mkdtempSync(join(folder, "nginx-"));
  mkdirSync(join(work, "hls"));
  writeFileSync(
    join(work, "nginx.conf"),
    `load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
daemon off; worker_processes 1; pid ${work}/pid; error_log ${work}/error.log; user root;
events { worker_connections 256; }
rtmp { server { listen 127.0.0.1:19350; chunk_size 4096; access_log off;
  application live { live on; hls on; hls_path ${work}/hls; hls_fragment 2s; hls_playlist_length 60s; } } }`,
  );
  const nginx = start("nginx", ["-c", join(work, "nginx.conf"), "-p", work]);
  await sleep(1000);
  const stop = publish(Array.from({ length: PUBLISHERS }, (_, i) => `rtmp://127.0.0.1:19350/live/stage-${i}`));
  const playlists = () => readdirSync(join(work, "hls")).filter((name) => name.endsWith(".m3u8")).length;
  await until(`${PUBLISHERS} playlists`, () => playlists() === PUBLISHERS, { timeoutMs: 60_000 }).catch((error) => {
    throw new Error(`${error.message}: ${readFileSync(join(work, "error.log"), "utf8")}`);
  });
  await sleep(5000);
  const children = readFileSync(`/proc/${nginx.child.pid}/task/${nginx.child.pid}/children`, "utf8").trim().split(" ");
  const used = await cpuDuring([nginx.child.pid, ...children.map(Number)], SECONDS * 1000);
  await stop();
  await nginx.stop();
  return used;
}

const used = { ours: await ours(), theirs: await theirs() };
rmSync(folder, { recursive: true, force: true });
const ratio = used.ours / used.theirs;
const shown = Object.values(used).map((seconds) => `${(seconds / SECONDS).toFixed(3)} cores`);
report("20 RTMP publishers at 3 Mbit/s, against nginx-rtmp", `${shown.join(" : ")} = ${ratio.toFixed(2)}`, "≤ 1.0", ratio <= 1);
