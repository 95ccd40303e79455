// A gateway without streams that fetches what it is told from other IPFS nodes, and tells them names (gateway/examples).

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const running = new Set();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** Compiles it, and `more` examples: seconds where the Rust tests ran before. */
export function compile(...more) {
  const examples = ["fetch", "dht", ...more].flatMap((name) => ["--example", name]);
  execFileSync("cargo", ["build", "-q", "--locked", "-p", "meshlive-gateway", ...examples], { cwd: root, stdio: "inherit" });
}

/** The program that one of them became. */
export const example = (name) => join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "debug/examples", name);

/** What a foreign node of the DHT is told by the peer at `address` (gateway/examples/dht.rs). */
export function dht(address, ...args) {
  return execFileSync(example("dht"), [address, ...args], { encoding: "utf8", timeout: 60_000 }).trim();
}

export class Fetcher {
  static async start() {
    const fetcher = new Fetcher();
    fetcher.data = mkdtempSync(join(tmpdir(), "meshlive-fetch-"));
    fetcher.child = spawn(example("fetch"), [fetcher.data], { stdio: ["pipe", "pipe", "inherit"] });
    running.add(fetcher.child);
    fetcher.child.once("exit", () => running.delete(fetcher.child));
    fetcher.lines = createInterface({ input: fetcher.child.stdout })[Symbol.asyncIterator]();
    fetcher.url = (await fetcher.#line("its start")).split(" ")[1].replace(/\/$/, "");
    const { addresses } = await (await fetch(`${fetcher.url}/api/v1/peer`)).json();
    fetcher.address = tcpOf(addresses);
    return fetcher;
  }

  /** Fetches a DAG: `{blocks, new, bytes}` or `{error}`. */
  fetch(address, cid) {
    return this.#ask(`fetch ${address} ${cid}`);
  }

  /** Makes an IPNS record of a new name, or a newer one of a name that it made: `{name, record}`. */
  publish(cid, name) {
    return this.#ask(["publish", cid, name].filter(Boolean).join(" "));
  }

  /** Has a stream's IPNS record kept and told. */
  follow(name) {
    return this.#ask(`follow ${name}`);
  }

  /** A stream's IPNS record, from peers: `{record}`, null if none has it. */
  find(name) {
    return this.#ask(`find ${name}`);
  }

  async #ask(line) {
    this.child.stdin.write(`${line}\n`);
    return JSON.parse(await this.#line(line));
  }

  async #line(what) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`the fetching gateway: nothing came of ${what} within 30 s`)), 30_000);
    });
    const { value, done } = await Promise.race([this.lines.next(), late]).finally(() => clearTimeout(timer));
    if (done) throw new Error(`the fetching gateway ended at ${what}`);
    return value;
  }

  async dispose() {
    if (running.has(this.child)) {
      const ended = new Promise((resolve) => this.child.once("exit", resolve));
      this.child.kill("SIGKILL");
      await ended;
    }
    rmSync(this.data, { recursive: true, force: true });
  }
}

/** The TCP address on loopback among a gateway's addresses. */
export function tcpOf(addresses) {
  return addresses.find((one) => /^\/ip4\/127\.0\.0\.1\/tcp\/\d+\/p2p\//.test(one));
}
