// A real gateway as a child process: started on free ports with its own data folder, watched, ended.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
export const out = join(root, "tests/out");

/** The binary under test: $MESHLIVE_GATEWAY, or what deploy/build made. */
export function binary() {
  const named = process.env.MESHLIVE_GATEWAY;
  const built = ["release", "debug"].map((profile) => join(root, "target", profile, "meshlive-gateway"));
  const found = named ?? built.find(existsSync);
  if (!found) throw new Error("no gateway is built: run deploy/build");
  return found;
}

/** A small test card: two slow cores decode four of it. */
export const CARD = "testcard?size=640x360&bit_rate=800000";

export class Gateway {
  /**
   * @param {{inputs?: string[], flags?: string[], data?: string, host?: string, program?: string[]}} options
   * `host`: loopback by default; `program`: what is run instead of the binary itself, as from within a site.
   */
  constructor(options = {}) {
    this.options = options;
    this.data = options.data ?? mkdtempSync(join(tmpdir(), "meshlive-test-"));
    this.ports = { http: 0, rtmp: 0 };
    this.log = "";
  }

  static async start(options) {
    const gateway = new Gateway(options);
    await gateway.start();
    return gateway;
  }

  /** Starts, or starts again with the same data folder and ports. Resolves when it is ready. */
  async start(timeoutMs = 30_000) {
    const { inputs = [CARD], flags = [], host = "127.0.0.1", program: [program, ...first] = [binary()] } = this.options;
    const args = ["serve", "--data", this.data];
    args.push("--http", `${host}:${this.ports.http}`, "--rtmp", `127.0.0.1:${this.ports.rtmp}`);
    for (const input of inputs) args.push("--input", input);
    this.child = spawn(program, [...first, ...args, ...flags], { stdio: ["ignore", "pipe", "pipe"] });
    this.ended = new Promise((resolve) => {
      this.child.once("exit", (code, signal) => resolve({ code, signal }));
    });
    running.add(this.child);
    this.ended.then(() => running.delete(this.child));
    this.child.stderr.on("data", (text) => {
      this.log += text;
    });
    this.ready = await this.#readyLine(timeoutMs);
    const [, url, ...rest] = this.ready.split(" ");
    this.url = url.replace(/\/$/, "");
    this.listeners = Object.fromEntries(rest.map((pair) => pair.split("=")));
    this.ports.http = Number(new URL(url).port);
    if (this.listeners.rtmp) this.ports.rtmp = Number(this.listeners.rtmp.split(":").pop());
  }

  #readyLine(timeoutMs) {
    return new Promise((resolve, reject) => {
      let text = "";
      const fail = (why) => reject(new Error(`the gateway ${why}\n${this.log}`));
      const timer = setTimeout(() => fail(`was not ready within ${timeoutMs} ms`), timeoutMs);
      this.ended.then(({ code, signal }) => {
        clearTimeout(timer);
        fail(`ended (${code ?? signal}) before it was ready`);
      });
      this.child.stdout.on("data", (more) => {
        text += more;
        const line = text.split("\n").find((one) => one.startsWith("ready "));
        if (line === undefined || !text.includes("\n")) return;
        clearTimeout(timer);
        resolve(line.trim());
      });
    });
  }

  /** Ends it in a clean way, and says how that went. */
  async stop(signal = "SIGTERM") {
    const since = Date.now();
    this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill("SIGKILL"), 10_000);
    const how = await this.ended;
    clearTimeout(timer);
    return { ...how, ms: Date.now() - since };
  }

  /** As a power cut does to the process. */
  async kill() {
    this.child.kill("SIGKILL");
    await this.ended;
  }

  /** Ends it and removes its data. */
  async dispose() {
    if (running.has(this.child)) await this.stop();
    if (!this.options.data) rmSync(this.data, { recursive: true, force: true });
  }

  /** What a command prints that works on this gateway's data folder. */
  command(...args) {
    return run(binary(), [...args, "--data", this.data]);
  }

  async json(path) {
    const answer = await fetch(this.url + path);
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  async text(path) {
    const answer = await fetch(this.url + path);
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.text();
  }
}

/** Runs a program to its end; bounded in time. */
export function run(program, args, { timeoutMs = 60_000, env, cwd } = {}) {
  return new Promise((resolve, reject) => {
    const options = { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env }, cwd };
    const child = spawn(program, args, options);
    running.add(child);
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (text) => {
      stdout += text;
    });
    child.stderr.on("data", (text) => {
      stderr += text;
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    child.once("error", reject);
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      running.delete(child);
      resolve({ code, signal, stdout, stderr });
    });
  });
}

/** Starts a program that runs beside the test until `stop`; its output is kept. */
export function start(program, args, { env, cwd } = {}) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env }, cwd });
  running.add(child);
  const process_ = { child, output: "" };
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (text) => {
      process_.output = (process_.output + text).slice(-100_000);
    });
  }
  process_.ended = new Promise((resolve) => {
    child.once("error", (error) => resolve({ error }));
    child.once("exit", (code, signal) => {
      running.delete(child);
      resolve({ code, signal });
    });
  });
  process_.stop = async () => {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), 5_000);
    const how = await process_.ended;
    clearTimeout(timer);
    return how;
  };
  return process_;
}

/**
 * Polls until `check` gives something truthy; says what it waited for when it does not. One round counts as a second at
 * most: a machine that stood still for longer has not given the check its time.
 */
export async function until(what, check, { timeoutMs = 15_000, everyMs = 100 } = {}) {
  let left = timeoutMs;
  let last;
  while (left > 0) {
    const since = Date.now();
    try {
      const found = await check();
      if (found) return found;
      last = undefined;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
    left -= Math.min(Date.now() - since, Math.max(1000, everyMs));
  }
  throw new Error(`${what}: not within ${timeoutMs} ms${last ? ` (${last.message})` : ""}`);
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A file to publish: H.264 and AAC, `seconds` long, with a key frame each `gop` frames. */
export async function film(path, { seconds = 20, size = "640x360", rate = 30, gop = 2 * rate, extra = [] } = {}) {
  const args = ["-v", "error", "-y", "-f", "lavfi", "-i", `testsrc2=size=${size}:rate=${rate}`];
  args.push("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", String(seconds));
  args.push("-c:v", "libx264", "-preset", "ultrafast", "-g", String(gop), "-b:v", "800k", "-pix_fmt", "yuv420p");
  args.push("-c:a", "aac", ...extra, path);
  const { code, stderr } = await run("ffmpeg", args);
  if (code !== 0) throw new Error(`ffmpeg cannot make ${path}: ${stderr}`);
  return path;
}

const running = new Set();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});
// Told to end, it ends what it started, too.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(1));
