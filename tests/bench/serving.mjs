// Serving parts over HTTP against nginx serving the same files: `node tests/bench/serving.mjs` (after deploy/setup --bench)
// wrk with keep-alive on loopback, one part of about 150 KB, three rounds of each in turn.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { median } from "../e2e/browser.mjs";
import { film, Gateway, run, sleep, start } from "../e2e/gateway.mjs";
import { report } from "./process.mjs";

const work = mkdtempSync(join(tmpdir(), "meshlive-nginx-"));
// 6 Mbit/s, all of them: parts of 200 ms are then 150 KB.
const rate = ["-b:v", "6000k", "-minrate", "6000k", "-maxrate", "6000k", "-bufsize", "1200k", "-x264-params", "nal-hrd=cbr"];
const path = await film(join(work, "film.mp4"), { seconds: 30, size: "1280x720", extra: rate });
const gateway = await Gateway.start({ inputs: [`${path}?name=film`] });
await sleep(12_000);
const base = `${gateway.url}/live/film/index.m3u8`;
const multivariant = await (await fetch(base)).text();
const playlist = new URL(multivariant.split("\n").find((line) => line.trim() && !line.startsWith("#")).trim(), base);
const text = await (await fetch(playlist)).text();
const parts = [];
for (const [, uri] of text.matchAll(/#EXT-X-PART:.*?URI="([^"]+)"/g)) {
  const url = new URL(uri, playlist).href;
  parts.push({ url, body: Buffer.from(await (await fetch(url)).arrayBuffer()) });
}
parts.sort((a, b) => Math.abs(a.body.length - 150_000) - Math.abs(b.body.length - 150_000));
const [part] = parts;
await gateway.stop(); // frees the processor of the encoder; the parts are in the store
gateway.options.inputs = ["/nothing.mp4?name=none"];
await gateway.start();

mkdirSync(join(work, "files"));
writeFileSync(join(work, "files/part.m4s"), part.body);
writeFileSync(
  join(work, "nginx.conf"),
  `daemon off; worker_processes auto; pid ${work}/pid; error_log ${work}/error.log; user root;
events { worker_connections 1024; }
http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; client_body_temp_path ${work}/b; proxy_temp_path ${work}/p;
  fastcgi_temp_path ${work}/f; uwsgi_temp_path ${work}/u; scgi_temp_path ${work}/s;
  server { listen 127.0.0.1:19380; root ${work}/files; } }`,
);
const nginx = start("nginx", ["-c", join(work, "nginx.conf"), "-p", work]);
await sleep(1000);

/** Bytes per second. */
async function measure(url) {
  const { stdout, stderr } = await run("wrk", ["-t2", "-c32", "-d8s", url]);
  const [, number, unit] = /Transfer\/sec:\s+([\d.]+)(KB|MB|GB)/.exec(stdout) ?? [];
  if (!number || /Non-2xx/.test(stdout)) throw new Error(`${url}: ${stdout}${stderr}`);
  return Number(number) * { KB: 1e3, MB: 1e6, GB: 1e9 }[unit];
}
const ours = [];
const theirs = [];
for (let round = 0; round < 3; round += 1) {
  ours.push(await measure(part.url));
  theirs.push(await measure("http://127.0.0.1:19380/part.m4s"));
}
await nginx.stop();
await gateway.dispose();
rmSync(work, { recursive: true, force: true });
const ratio = median(ours) / median(theirs);
const mb = (bytes) => `${Math.round(bytes / 1e6)} MB/s`;
report(`serving a part of ${part.body.length} bytes, against nginx`, `${mb(median(ours))} : ${mb(median(theirs))} = ${ratio.toFixed(2)}`, "≥ 0.8", ratio >= 0.8);
