// SeaweedFS, an S3-compatible store of other people's making, as a child process on loopback.

import { spawn } from "node:child_process";
import { createHash, createHmac } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sleep, until } from "../e2e/gateway.mjs";

const running = new Set();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export const KEY = { id: "meshlive", secret: "a secret of this test" };

export class Seaweed {
  static async start() {
    if (!process.env.MESHLIVE_TOOLS) throw new Error("MESHLIVE_TOOLS is not set: . deploy/env first");
    const seaweed = new Seaweed();
    seaweed.folder = mkdtempSync(join(tmpdir(), "meshlive-seaweed-"));
    const credentials = [{ accessKey: KEY.id, secretKey: KEY.secret }];
    const identity = { name: "gateway", credentials, actions: ["Admin", "Read", "Write", "List", "Tagging"] };
    writeFileSync(join(seaweed.folder, "s3.json"), JSON.stringify({ identities: [identity] }));
    seaweed.ports = await freePorts(4);
    seaweed.endpoint = `http://127.0.0.1:${seaweed.ports[0]}`;
    await seaweed.start();
    return seaweed;
  }

  /** Starts, or starts again with what it had. */
  async start() {
    const [s3, master, volume, filer] = this.ports;
    const args = ["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", `-dir=${this.folder}`, "-s3", `-s3.port=${s3}`];
    args.push(`-s3.config=${join(this.folder, "s3.json")}`, `-master.port=${master}`, `-volume.port=${volume}`, `-filer.port=${filer}`);
    // Each of its doors for programs is 10,000 above, unless it is told otherwise.
    args.push(`-s3.port.grpc=${s3 + 1}`, `-master.port.grpc=${master + 1}`, `-volume.port.grpc=${volume + 1}`, `-filer.port.grpc=${filer + 1}`);
    args.push("-volume.max=8", "-master.volumeSizeLimitMB=256", "-master.volumePreallocate=false");
    this.log = "";
    this.child = spawn(join(process.env.MESHLIVE_TOOLS, "seaweedfs/bin/weed"), args, { cwd: this.folder, stdio: ["ignore", "pipe", "pipe"] });
    running.add(this.child);
    this.ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.ended.then(() => running.delete(this.child));
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.on("data", (text) => {
        this.log = (this.log + text).slice(-20_000);
      });
    }
    const ready = async () => (await fetch(this.endpoint)).status < 500;
    await until(`SeaweedFS answers\n${this.log}`, ready, { timeoutMs: 40_000 });
    await until("it takes an object", async () => {
      this.bucket ??= await this.ask("PUT", "packs");
      const put = await this.ask("PUT", "packs/probe", Buffer.from("probe"));
      return put && (await this.ask("GET", "packs/probe")).toString() === "probe";
    }, { timeoutMs: 40_000, everyMs: 500 });
    await this.ask("DELETE", "packs/probe");
  }

  /** A request of its S3 door: the body, or null where it is refused or absent. */
  async ask(method, path, body = Buffer.alloc(0), key = KEY) {
    const url = new URL(`${this.endpoint}/${path}`);
    const answer = await fetch(url, { method, headers: signed(method, url, body, key), body: method === "PUT" ? body : undefined });
    const bytes = Buffer.from(await answer.arrayBuffer());
    return answer.ok ? bytes : null;
  }

  /** Names of the objects in the bucket. */
  async objects() {
    const listed = (await this.ask("GET", "packs?list-type=2"))?.toString() ?? "";
    return [...listed.matchAll(/<Key>([^<]+)<\/Key>/g)].map(([, name]) => name);
  }

  /** It takes more than half a minute to end by itself. */
  async kill() {
    this.child.kill("SIGKILL");
    await this.ended;
    await sleep(200);
  }

  async dispose() {
    if (running.has(this.child)) await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The headers that sign a request as S3 wants it (AWS Signature Version 4). */
function signed(method, url, body, key) {
  const hash = (text) => createHash("sha256").update(text).digest("hex");
  const mac = (secret, text) => createHmac("sha256", secret).update(text).digest();
  const date = `${new Date().toISOString().replace(/[-:]|\.\d+/g, "")}`;
  const scope = [date.slice(0, 8), "us-east-1", "s3", "aws4_request"];
  const headers = { host: url.host, "x-amz-content-sha256": hash(body), "x-amz-date": date };
  const names = Object.keys(headers).join(";");
  const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`);
  const request = [method, url.pathname, url.search.slice(1), lines.join(""), names, hash(body)].join("\n");
  const text = ["AWS4-HMAC-SHA256", date, scope.join("/"), hash(request)].join("\n");
  const secret = scope.reduce(mac, `AWS4${key.secret}`);
  const { host, ...sent } = headers;
  const authorization = `AWS4-HMAC-SHA256 Credential=${key.id}/${scope.join("/")}, SignedHeaders=${names}, Signature=${createHmac("sha256", secret).update(text).digest("hex")}`;
  return { ...sent, authorization };
}

/** Free ports, each with the next one free. */
async function freePorts(count) {
  const ports = [];
  while (ports.length < count) {
    const port = await listen(0).catch(() => 0);
    const next = port && port < 65_000 && (await listen(port + 1).catch(() => 0));
    if (next && !ports.some((other) => Math.abs(other - port) < 2)) ports.push(port);
  }
  return ports;
}

function listen(port) {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      const { port: bound } = server.address();
      server.close(() => resolve(bound));
    });
  });
}
