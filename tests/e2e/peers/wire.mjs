// Every packet between a site and the rest, as tcpdump sees it on the site's link: bytes, and of them headers.

import { spawn } from "node:child_process";
import { run, until } from "../gateway.mjs";

const SNAP = 96;
const ETHERNET = 14;
const [TCP, UDP] = [6, 17];
/** A DTLS 1.2 record around its payload: header 13, explicit nonce 8, tag 16 (AES-GCM). */
const DTLS = 37;
/** SCTP's common header, and a DATA chunk's. */
const [SCTP, DATA] = [12, 16];

const nothing = () => ({ packets: 0, bytes: 0, payload: 0 });

/** What of an IP packet is payload of a stream or channel: bytes, by the headers of its layers. */
export function measure(packet) {
  const head = (packet[0] & 15) * 4;
  const total = packet.readUInt16BE(2);
  if (packet[9] === TCP) return { protocol: "tcp", total, payload: total - head - (packet[head + 12] >> 4) * 4 };
  if (packet[9] !== UDP) return { protocol: "other", total, payload: 0 };
  const inside = total - head - 8;
  const record = packet[head + 8] === 23; // application data; handshakes and STUN carry nothing
  // What is no longer than an acknowledgement is one.
  const payload = record ? inside - DTLS - SCTP - DATA : 0;
  return { protocol: "udp", total, payload: payload > 24 ? payload : 0 };
}

export class Wire {
  /** Begins to count on the host's end of a site's link. `out`: what leaves the site, `in`: what comes to it. */
  static async begin(site) {
    // Packets as they go over a link, not in bundles of 64 KB.
    const [enter, ...args] = [...site.enter, "ip", "link", "set", "eth0", "gso_max_segs", "1"];
    const { code, stderr } = await run(enter, args);
    if (code !== 0) throw new Error(`packets cannot be counted one by one: ${stderr}`);
    const wire = new Wire();
    wire.address = site.address;
    wire.zero();
    wire.rest = Buffer.alloc(0);
    wire.child = spawn("tcpdump", ["-n", "-i", site.link, "-s", String(SNAP), "-U", "--immediate-mode", "-w", "-", "ip"], { stdio: ["ignore", "pipe", "pipe"] });
    process.once("exit", () => wire.child.kill("SIGKILL"));
    let said = "";
    wire.child.stderr.on("data", (text) => {
      said += text;
    });
    wire.child.stdout.on("data", (bytes) => wire.#take(bytes));
    await until("tcpdump listens", () => said.includes("listening on"));
    return wire;
  }

  zero() {
    const each = () => ({ tcp: nothing(), udp: nothing(), other: nothing() });
    this.counted = { out: each(), in: each() };
  }

  /** The sums since the last `zero`, by protocol, and of all that left: `{out, in, bytes, payload}`. */
  read() {
    const all = (name) => Object.values(this.counted.out).reduce((total, one) => total + one[name], 0);
    return { ...structuredClone(this.counted), bytes: all("bytes"), payload: all("payload") };
  }

  #take(bytes) {
    let rest = Buffer.concat([this.rest, bytes]);
    if (this.begun === undefined) {
      if (rest.length < 24) {
        this.rest = rest;
        return;
      }
      this.begun = true;
      rest = rest.subarray(24); // the file's header
    }
    while (rest.length >= 16) {
      const captured = rest.readUInt32LE(8);
      if (rest.length < 16 + captured) break;
      this.#packet(rest.subarray(16 + ETHERNET, 16 + captured));
      rest = rest.subarray(16 + captured);
    }
    this.rest = Buffer.from(rest);
  }

  #packet(packet) {
    const { protocol, total, payload } = measure(packet);
    const from = [...packet.subarray(12, 16)].join(".");
    const sum = this.counted[from === this.address ? "out" : "in"][protocol];
    sum.packets += 1;
    sum.bytes += total;
    sum.payload += payload;
  }

  stop() {
    this.child.kill("SIGTERM");
  }
}
