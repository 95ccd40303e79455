// The other's origin: a process of its own in its own network namespace, started by anchor.mjs.
// `node origin.mjs ADDRESS FOLDER BUNDLE OPTIONS`: serves the page, FFmpeg's HLS of FOLDER, and is the tracker, on one
// port; prints the port. `/counters` says what it sent, by kind.

import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import Server from "bittorrent-tracker/server";

const [address, folder, bundle, options] = process.argv.slice(2);
const script = readFileSync(bundle);
const page = Buffer.from(`<!doctype html><html lang="en"><meta charset="utf-8"><title>p2p-media-loader</title>
<link rel="icon" href="data:,"><style>video{width:480px}</style><video autoplay></video>
<script>window.options=${options}</script><script src="/page.js"></script>`);
const TYPES = { m3u8: "application/vnd.apple.mpegurl", m4s: "video/iso.segment", mp4: "video/mp4", js: "text/javascript", html: "text/html" };

const sent = { part: 0, playlist: 0, page: 0, other: 0 };

function give(answer, kind, type, bytes) {
  sent[kind] += bytes.length;
  answer.writeHead(200, { "content-type": TYPES[type], "content-length": bytes.length, "cache-control": "no-cache" });
  answer.end(bytes);
}

const tracker = new Server({ udp: false, http: false, ws: true, stats: false });
tracker.http.on("request", (request, answer) => {
  const { pathname } = new URL(request.url, "http://origin/");
  const type = pathname.split(".").pop();
  try {
    if (pathname === "/") give(answer, "page", "html", page);
    else if (pathname === "/page.js") give(answer, "page", "js", script);
    else if (pathname === "/counters") answer.end(JSON.stringify(sent));
    else give(answer, type === "m3u8" ? "playlist" : "part", type, readFileSync(join(folder, basename(pathname))));
  } catch (error) {
    answer.writeHead(error.code === "ENOENT" ? 404 : 500).end(String(error));
  }
});
tracker.on("error", (error) => console.error(error));
// As PeerTube's and Novage's do not say otherwise: the tracker's own interval.
tracker.listen(0, address, () => console.log(`ready ${tracker.http.address().port}`));
