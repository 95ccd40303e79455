// Builds the page: `node build.mjs` makes dist/, `--tests` makes what `node --test` runs.
//
// dist/            index.html, player.html, archive.html, 404.html, embed.js: names that stay
// dist/assets/     everything else, named by a hash of its content, so that it may be cached for ever
// Beside each file that compresses lie its .gz and .br.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = import.meta.dirname;
const dist = join(here, "dist");
const assets = join(dist, "assets");
const COMPRESSED = /\.(html|js|css|svg|wasm|json)$/;

/** The verifying peer is made from Rust; nothing here works without it. */
function needPeer() {
  const missing = ["meshlive_wasm_peer.js", "meshlive_wasm_peer.d.ts", "meshlive_wasm_peer_bg.wasm"].filter(
    (name) => !existsSync(join(here, "generated", name)),
  );
  if (missing.length === 0) return;
  console.error(
    `www/generated/ lacks ${missing.join(", ")}. Run ./deploy/build, which makes the peer and then this page.`,
  );
  process.exit(1);
}

const common = {
  absWorkingDir: here,
  bundle: true,
  format: "esm",
  target: ["es2022", "safari15.4"],
  loader: { ".css": "text", ".wasm": "file" },
  alias: { "peer.wasm": join(here, "generated/meshlive_wasm_peer_bg.wasm") },
  logLevel: "warning",
};

/**
 * hls.js from its own sources with only what is used here: its light build has no captions, its whole build half
 * as much again of encryption, interstitials, alternate audio and advertisement.
 */
const hls = {
  alias: {
    ...common.alias,
    "hls.js/light": join(here, "node_modules/hls.js/src/hls.ts"),
    // Named by code that the switches below leave out.
    "@svta/cml-cmcd": join(here, "node_modules/hls.js/src/empty.js"),
  },
  define: Object.fromEntries([
    ["__VERSION__", '"own"'],
    ["__IN_WORKER__", "false"],
    ["__HLS_WORKER_BUNDLE__", "undefined"],
    ["__USE_SUBTITLES__", "true"],
    ...[
      "ALT_AUDIO",
      "CMCD",
      "CONTENT_STEERING",
      "EME_DRM",
      "IFRAMES",
      "INTERSTITIALS",
      "M2TS_ADVANCED_CODECS",
      "MEDIA_CAPABILITIES",
      "VARIABLE_SUBSTITUTION",
    ].map((feature) => [`__USE_${feature}__`, "false"]),
  ]),
};

async function buildTests() {
  needPeer();
  const out = join(here, "tests-built");
  rmSync(out, { recursive: true, force: true });
  const names = readdirSync(join(here, "src")).filter((name) => name.endsWith(".test.ts"));
  await build({
    ...common,
    entryPoints: names.map((name) => `src/${name}`),
    outdir: out,
    outExtension: { ".js": ".mjs" },
    platform: "node",
    target: "node18.19",
    sourcemap: "inline",
  });
}

async function buildPage() {
  needPeer();
  rmSync(dist, { recursive: true, force: true });
  mkdirSync(assets, { recursive: true });
  const { metafile } = await build({
    ...common,
    ...hls,
    entryPoints: ["src/early.ts", "src/watch.ts", "src/directory.ts", "src/element.ts", "src/archive.ts"],
    outdir: assets,
    entryNames: "[name]-[hash]",
    chunkNames: "[name]-[hash]",
    assetNames: "[name]-[hash]",
    splitting: true,
    minify: true,
    metafile: true,
    legalComments: "linked",
  });
  const made = {};
  for (const [path, { entryPoint }] of Object.entries(metafile.outputs)) {
    if (entryPoint) made[basename(entryPoint)] = `/assets/${basename(path)}`;
  }
  const css = await build({
    ...common,
    stdin: undefined,
    entryPoints: ["src/page.css"],
    loader: {},
    minify: true,
    write: false,
  });
  made["page.css"] = hashed("page.css", css.outputFiles[0].contents);
  made["icon.svg"] = hashed("icon.svg", readFileSync(join(here, "pages/icon.svg")));
  made.preload = preloads(metafile, "src/watch.ts");
  made["preload-archive"] = preloads(metafile, "src/archive.ts");
  made["head.html"] = filled("head.html", made).trimEnd();
  for (const name of ["index.html", "player.html", "archive.html", "404.html"])
    writeFileSync(join(dist, name), filled(name, made));
  writeFileSync(join(dist, "embed.js"), `import ".${made["element.ts"]}";\n`);
  compress(dist);
  compress(assets);
}

/** A page with what was `made` in the places it names. */
function filled(name, made) {
  return readFileSync(join(here, "pages", name), "utf8").replace(/\{\{(.+?)\}\}/g, (_, key) => {
    if (made[key] === undefined) throw new Error(`pages/${name} names ${key}, which was not built`);
    return made[key];
  });
}

function hashed(name, content) {
  const hash = createHash("sha256").update(content).digest("hex").slice(0, 8).toUpperCase();
  const file = name.replace(/(\.\w+)$/, `-${hash}$1`);
  writeFileSync(join(assets, file), content);
  return `/assets/${file}`;
}

/** What comes only when someone asks for it. */
const LATER = ["src/panel.ts", "src/replay.ts"];

/** All that the entry needs, now or a moment later, so that it comes side by side instead of one after the other. */
function preloads(metafile, entry) {
  const outputs = metafile.outputs;
  const wanted = new Set();
  const visit = (path) => {
    if (wanted.has(path) || !outputs[path] || LATER.includes(outputs[path].entryPoint)) return;
    wanted.add(path);
    for (const { path: next } of outputs[path].imports) if (next.endsWith(".js")) visit(next);
  };
  visit(Object.keys(outputs).find((path) => outputs[path].entryPoint === entry));
  const lines = [...wanted].map((path) => `<link rel="modulepreload" href="/assets/${basename(path)}">`);
  const wasm = Object.keys(outputs).find((path) => path.endsWith(".wasm"));
  lines.push(
    `<link rel="preload" as="fetch" type="application/wasm" crossorigin href="/assets/${basename(wasm)}">`,
  );
  return lines.join("\n    ");
}

/** By zopfli a twentieth less to download: made once, sent often. Where it is missing, zlib will do. */
function gzip(path) {
  const { stdout, stderr, error, status } = spawnSync("zopfli", ["-c", "--i5", path], { maxBuffer: 1 << 26 });
  if (error?.code === "ENOENT") return gzipSync(readFileSync(path), { level: 9 });
  if (error || status !== 0) throw new Error(`zopfli ${path}: ${error ?? stderr}`);
  return stdout;
}

function compress(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (!entry.isFile() || !COMPRESSED.test(entry.name)) continue;
    const path = join(folder, entry.name);
    const content = readFileSync(path);
    writeFileSync(`${path}.gz`, gzip(path));
    const params = {
      [constants.BROTLI_PARAM_QUALITY]: Number(process.env.MESHLIVE_BROTLI ?? 11),
      [constants.BROTLI_PARAM_SIZE_HINT]: content.length,
    };
    writeFileSync(`${path}.br`, brotliCompressSync(content, { params }));
    const sizes = [content, readFileSync(`${path}.gz`), readFileSync(`${path}.br`)].map(
      (bytes) => bytes.length,
    );
    console.log(`${entry.name.padEnd(44)} ${sizes.map((size) => String(size).padStart(8)).join(" ")}`);
  }
}

if (process.argv.includes("--tests")) await buildTests();
else if (process.argv.includes("--need-peer")) needPeer();
else await buildPage();
