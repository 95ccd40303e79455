// Kubo 0.22, an IPFS node of other people's making, as a child process on loopback (kubo.py).

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(new URL("kubo.py", import.meta.url));
const running = new Set();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export class Kubo {
  /** A node with an empty repository; `routing`: "none" or "dht". */
  static async start(routing = "none") {
    if (!process.env.MESHLIVE_TOOLS) throw new Error("MESHLIVE_TOOLS is not set: . deploy/env first");
    const kubo = new Kubo();
    kubo.folder = mkdtempSync(join(tmpdir(), "meshlive-kubo-"));
    kubo.port = await freePort();
    const python = join(process.env.MESHLIVE_TOOLS, "kubo/bin/python");
    const args = [script, join(kubo.folder, "repository"), String(kubo.port), routing];
    kubo.child = spawn(python, args, { cwd: kubo.folder, stdio: ["pipe", "pipe", "pipe"] }); // it writes a log where it stands
    running.add(kubo.child);
    kubo.child.once("exit", () => running.delete(kubo.child));
    kubo.log = "";
    kubo.child.stderr.on("data", (text) => {
      kubo.log = (kubo.log + text).slice(-20_000);
    });
    kubo.answers = createInterface({ input: kubo.child.stdout })[Symbol.asyncIterator]();
    kubo.id = (await kubo.#answer("its start", 60_000)).id;
    kubo.address = `/ip4/127.0.0.1/tcp/${kubo.port}/p2p/${kubo.id}`;
    return kubo;
  }

  /** One command at a time; what Kubo says to it. */
  async ask(command, ...args) {
    const timeoutMs = typeof args.at(-1) === "number" ? args.pop() : 30_000;
    this.child.stdin.write(`${[command, ...args].join(" ")}\n`);
    return (await this.#answer(command, timeoutMs)).is;
  }

  async #answer(what, timeoutMs) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`Kubo: no answer to ${what} within ${timeoutMs} ms\n${this.log}`)), timeoutMs);
    });
    const { value, done } = await Promise.race([this.answers.next(), late]).finally(() => clearTimeout(timer));
    if (done) throw new Error(`Kubo ended before it answered to ${what}\n${this.log}`);
    return JSON.parse(value);
  }

  async dispose() {
    const ended = new Promise((resolve) => this.child.once("exit", resolve));
    if (running.has(this.child)) {
      this.child.kill("SIGKILL");
      await ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
