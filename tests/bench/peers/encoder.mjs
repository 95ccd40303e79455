// The film of the comparison: FFmpeg's test picture with the clock strip along its top, made and encoded as it is sent.
// Ours and the other's origin get the same picture, encoder and settings; only the container differs.

import { spawn } from "node:child_process";
import { sleep } from "../../e2e/gateway.mjs";

const AUDIO_KBIT = 64;

/** The strip's 64 cells as bytes, 255 for 1: gateway/src/ingest/testcard/strip.rs says how. */
export function strip(millis) {
  const time = BigInt(millis);
  let check = 0x5an;
  for (let at = 0n; at < 48n; at += 8n) check += (time >> at) & 0xffn;
  const bits = (0b1010n << 60n) | (time << 12n) | ((check & 0xffn) << 4n) | 0b0101n;
  return Uint8Array.from({ length: 64 }, (_, at) => ((bits >> BigInt(63 - at)) & 1n ? 255 : 0));
}

/** `512x288@25` in numbers; the strip wants a height of which 12 is a divisor. */
export function pictureOf(text) {
  const [, width, height, rate] = /^(\d+)x(\d+)@(\d+)$/.exec(text)?.map(Number) ?? [];
  if (!width || height % 12 !== 0) throw new Error(`--picture ${text}: WIDTHxHEIGHT@RATE, the height a multiple of 12`);
  return { width, height, rate };
}

/** FFmpeg's arguments but for the output: `kbit` is video and audio together. */
function settings(kbit, { width, height, rate }) {
  const video = `${kbit - AUDIO_KBIT}k`;
  return [
    ...["-v", "error", "-nostdin", "-probesize", "32", "-analyzeduration", "0"],
    ...["-f", "rawvideo", "-pix_fmt", "gray", "-s", "32x2", "-r", String(rate), "-i", "pipe:0"],
    ...["-f", "lavfi", "-i", `testsrc2=size=${width}x${height}:rate=${rate}`],
    ...["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"],
    "-filter_complex",
    `[0]scale=${width}:${height / 12}:flags=neighbor,format=yuv420p[strip];[1][strip]overlay=0:0:format=yuv420[shown]`,
    ...["-map", "[shown]", "-map", "2:a", "-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-pix_fmt", "yuv420p"],
    // A key frame each second: the shortest segment of the table.
    ...["-g", String(rate), "-keyint_min", String(rate), "-sc_threshold", "0"],
    ...["-b:v", video, "-minrate", video, "-maxrate", video, "-bufsize", video, "-x264-params", "nal-hrd=cbr"],
    ...["-c:a", "aac", "-b:a", `${AUDIO_KBIT}k`, "-flush_packets", "1"],
  ];
}

export class Encoder {
  /** @param {{kbit: number, picture: string, output: string[], enter?: string[]}} options `enter`: put before the program */
  constructor({ kbit, picture, output, enter = [] }) {
    const film = pictureOf(picture);
    const [program, ...args] = [...enter, "ffmpeg", ...settings(kbit, film), ...output];
    this.child = spawn(program, args, { stdio: ["pipe", "ignore", "pipe"] });
    this.said = "";
    this.child.stderr.on("data", (text) => {
      this.said = (this.said + text).slice(-10_000);
    });
    this.ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.stdin.on("error", () => {}); // it ended; `alive` tells
    const since = Date.now();
    let sent = 0;
    this.clock = setInterval(() => {
      // A late timer does not make the film slower.
      for (; sent * (1000 / film.rate) <= Date.now() - since; sent += 1) this.child.stdin.write(strip(Date.now()));
    }, 5);
    process.once("exit", () => this.child.kill("SIGKILL"));
  }

  /** Throws what it said if it is not at work any more. */
  alive() {
    if (this.child.exitCode !== null) throw new Error(`ffmpeg ended with ${this.child.exitCode}: ${this.said}`);
  }

  async stop() {
    clearInterval(this.clock);
    this.child.stdin.end();
    this.child.kill("SIGTERM");
    const late = setTimeout(() => this.child.kill("SIGKILL"), 3000);
    await Promise.race([this.ended, sleep(5000)]);
    clearTimeout(late);
  }
}
