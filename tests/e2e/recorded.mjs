// A past that is made quickly: real media through the real publisher, at times that are given.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** 2026-11-22T10:00:00Z, seconds since 1970. */
export const TEN = 1_795_341_600;

const CODED = "-c:v libx264 -preset ultrafast -bf 0 -g 50 -sc_threshold 0 -pix_fmt yuv420p -bsf:v h264_metadata=aud=insert".split(" ");

/** Runs a program to its end and gives what it prints; throws when it fails. */
export function command(program, ...args) {
  return execFileSync(program, args, { encoding: "utf8", maxBuffer: 64 << 20, timeout: 100_000, stdio: ["ignore", "pipe", "pipe"] });
}

/** A file of pictures, 25 a second; `card`: a source of FFmpeg's lavfi. */
export function picture(file, card) {
  command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", card, ...CODED, "-f", "h264", file);
}

/** A file of a tone, so many seconds. */
export function tone(file, seconds) {
  command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", `sine=r=48000:d=${seconds}`, "-ac", "2", "-c:a", "aac", "-f", "adts", file);
}

/**
 * Fills a data folder with stream `cam` of these files; a run is the start and the length of one of the gateway, seconds. Gives
 * what gateway/examples/past.rs says of it; that is built here where `cargo test` has not run.
 */
export function publish(data, video, sound, runs) {
  const built = ["release", "debug"].map((profile) => join(root, "target", profile, "examples/past"));
  if (!built.some(existsSync)) command("cargo", "build", "-q", "--locked", "-p", "meshlive-gateway", "--example", "past");
  return JSON.parse(command(built.find(existsSync), data, "cam", video, sound, ...runs.map(([at, seconds]) => `${at}:${seconds}`)));
}

/** Six colours as the past of stream `cam`: `{data, config, remove}`, what a gateway needs that goes on with it and keeps everything. */
export function recorded(runs) {
  const folder = mkdtempSync(join(tmpdir(), "meshlive-recorded-"));
  const [video, sound, data, config] = ["v.h264", "a.aac", "data", "config.toml"].map((name) => join(folder, name));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    mkdirSync(data);
    writeFileSync(config, 'inputs = []\n[archive]\nkeep = "everything"\n');
    const seconds = Math.max(...runs.map(([, length]) => length));
    picture(video, `smptebars=s=320x180:r=25:d=${seconds}`);
    tone(sound, seconds);
    publish(data, video, sound, runs);
  } catch (error) {
    remove();
    throw error;
  }
  return { data, config, remove };
}
