// The small network that `mesh` makes: sites behind links of their own, what leaves, who listens.

import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run, start, until } from "../gateway.mjs";

/** The host's address; not loopback, so that a page opened from it is no secure context. */
export const HOST = "10.77.0.1";
const BEYOND = "10.77.0.254";
const BEYOND_MAC = "02:00:00:00:00:fe";
/** Packets that wait at a narrow link, in ms; a home router's queue. */
const QUEUE = "300ms";

if (process.env.MESHLIVE_MESH !== "inside") {
  throw new Error("this test wants a network of its own: tests/e2e/peers/mesh node --test FILE");
}

async function must(program, ...args) {
  const { code, stderr } = await run(program, args);
  assert.equal(code, 0, `${program} ${args.join(" ")}: ${stderr}`);
}

let sites = 0;

/** A place of its own on the mesh, with an address and a link of given width. */
export class Site {
  /** `up`, `down`: kbit/s, 0 for as wide as it gets; seen from the site. */
  static async make({ up = 0, down = 0 } = {}) {
    const site = new Site();
    sites += 1;
    site.link = `site${sites}`;
    site.address = `10.77.0.${10 + sites}`;
    site.holder = start("unshare", ["--net", "sleep", "infinity"]);
    const { pid } = site.holder.child;
    // nsenter must not come before unshare did its work.
    const own = await run("readlink", ["/proc/self/ns/net"]);
    await until("the site's namespace", async () => (await run("readlink", [`/proc/${pid}/ns/net`])).stdout !== own.stdout);
    await must("ip", "link", "add", site.link, "type", "veth", "peer", "name", "eth0", "netns", String(pid));
    await must("ip", "link", "set", site.link, "master", "mesh0", "up");
    await site.#inside("ip", "link", "set", "lo", "up");
    await site.#inside("ip", "link", "set", "eth0", "up");
    await site.#inside("ip", "address", "add", `${site.address}/24`, "dev", "eth0");
    await site.#inside("ip", "neighbour", "add", BEYOND, "lladdr", BEYOND_MAC, "dev", "eth0", "nud", "permanent");
    await site.#inside("ip", "route", "add", "default", "via", BEYOND);
    await site.width({ up, down });
    return site;
  }

  /** How a program is started here: put before its own name. */
  get enter() {
    return ["nsenter", `--net=/proc/${this.holder.child.pid}/ns/net`];
  }

  #inside(...command) {
    const [program, ...args] = [...this.enter, ...command];
    return must(program, ...args);
  }

  /** Narrows or widens the link, kbit/s each way; 0 is as wide as it gets. */
  async width({ up = 0, down = 0 }) {
    const shape = (device, kbit) =>
      kbit > 0
        ? ["tc", "qdisc", "replace", "dev", device, "root", "tbf", "rate", `${kbit}kbit`, "burst", "4kb", "latency", QUEUE]
        : ["tc", "qdisc", "replace", "dev", device, "root", "pfifo", "limit", "1000"];
    const [program, ...args] = shape(this.link, down);
    await must(program, ...args);
    await this.#inside(...shape("eth0", up));
  }

  /** A program of the system's, as one file that runs it here. */
  wrapped(program) {
    this.folder ??= mkdtempSync(join(tmpdir(), "meshlive-site-"));
    const path = join(this.folder, "run");
    writeFileSync(path, `#!/bin/sh\nexec ${this.enter.join(" ")} ${program} "$@"\n`);
    chmodSync(path, 0o755);
    return path;
  }

  async dispose() {
    await this.holder.stop();
    if (this.folder) rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Every packet that leaves the mesh, but for address resolution and what kernels say to their own link. */
export class Capture {
  static async begin() {
    const capture = new Capture();
    // mDNS stays on the link (224.0.0.251, ff02::fb); IGMP, MLD and neighbour discovery are the kernel's.
    const mdns = "(udp port 5353 and (dst host 224.0.0.251 or dst host ff02::fb))";
    const mld = "(ip6[6] = 0 and ip6[40] = 58)"; // behind a hop-by-hop header `icmp6` does not find it
    const filter = `not arp and not igmp and not icmp6 and not ${mld} and not ${mdns}`;
    capture.tcpdump = start("tcpdump", ["-n", "-l", "-i", "beyond", "--immediate-mode", filter]);
    await until("tcpdump listens", () => capture.tcpdump.output.includes("listening on beyond"));
    return capture;
  }

  get packets() {
    return this.tcpdump.output.split("\n").filter((line) => /^\d\d:\d\d:\d\d/.test(line));
  }

  async end() {
    await new Promise((resolve) => setTimeout(resolve, 300));
    await this.tcpdump.stop();
    return this.packets;
  }
}

/** What a process listens on: `[{protocol, address, port}]`. */
export async function listeners(pid) {
  const { code, stdout, stderr } = await run("ss", ["-H", "-l", "-n", "-t", "-u", "-p"]);
  assert.equal(code, 0, stderr);
  const own = stdout.split("\n").filter((line) => line.includes(`pid=${pid},`));
  return own.map((line) => {
    const [protocol, , , , local] = line.split(/\s+/);
    const at = local.lastIndexOf(":");
    return { protocol, address: local.slice(0, at), port: Number(local.slice(at + 1)) };
  });
}
