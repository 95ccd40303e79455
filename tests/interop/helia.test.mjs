// Helia hears what the origin announces, and wants it of a mirror that does not have it yet: the way from the origin to the mirror
// takes longer than Helia's. It is served as soon as the part is stored there, which the mirror says in its log.

import assert from "node:assert/strict";
import { createConnection, createServer } from "node:net";
import { after, before, test } from "node:test";
import { Gateway, binary, until } from "../e2e/gateway.mjs";
import { tcpOf } from "./fetcher.mjs";
import { helia } from "./helia.mjs";
import { onAir, renditions } from "./stream.mjs";

/** The bar, which half of the parts keep at least; a machine that tests share gets more for one. */
const LATE_MS = 100;
const WORST_MS = 1000;
/** How long everything is on its way from the origin to the mirror. */
const WAY_MS = 600;
const PARTS = 15;

let origin;
let way;
let mirror;
let node;

/** A way to a port of this machine on which what comes back takes `WAY_MS`: `{port, close}`. */
async function slowWay(to) {
  const sockets = new Set();
  const server = createServer((near) => {
    const far = createConnection({ host: "127.0.0.1", port: to });
    for (const [one, other] of [[near, far], [far, near]]) {
      sockets.add(one);
      one.on("error", () => {});
      one.on("close", () => other.destroy());
    }
    near.on("data", (bytes) => far.write(bytes));
    far.on("data", (bytes) => setTimeout(() => near.writable && near.write(bytes), WAY_MS));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  return { port: server.address().port, close };
}

before(async () => {
  origin = await onAir();
  const { stream } = (await origin.json("/api/v1/streams")).streams[0];
  way = await slowWay(Number(origin.listeners["p2p-tcp"].split(":").pop()));
  const program = ["env", "RUST_LOG=info,meshlive_gateway::publish::mirrored=trace", "NO_COLOR=1", binary()];
  const flags = ["--follow", `${stream}@/ip4/127.0.0.1/tcp/${way.port}?name=copy`, "--p2p-quic", "off"];
  mirror = await Gateway.start({ inputs: [], flags, program });
  await until("the mirror is live", async () => (await mirror.json("/api/v1/streams/copy")).live, { timeoutMs: 30_000 });
  node = await helia();
  await node.dial(tcpOf((await mirror.json("/api/v1/peer")).addresses));
});
after(async () => {
  await node?.stop();
  await mirror?.dispose();
  way?.close();
  await origin?.dispose();
});

/** The next part of a rendition as soon as the origin has announced it: `{cid, url, at}`; `at`: behind which to wait. */
async function next(base, at) {
  const query = at ? `?_HLS_msn=${at.msn}&_HLS_part=${at.part + 1}` : "";
  const text = await (await fetch(base + query)).text();
  const uri = [...text.matchAll(/#EXT-X-PART:.*?URI="([^"]+)"/g)].at(-1)[1];
  const [, msn, part] = /(\d+)\.(\d+)\.m4s/.exec(uri).map(Number);
  const url = new URL(uri, base);
  const answer = await fetch(url, { method: "HEAD" });
  return { cid: answer.headers.get("etag").replaceAll('"', ""), url, at: { msn, part } };
}

/** When the mirror stored a block, ms since the epoch, as it says itself; undefined as long as it has not. */
function stored(cid) {
  const line = mirror.log.split("\n").find((one) => one.includes("a block is stored") && one.includes(cid));
  return line && Date.parse(line.split(" ")[0]);
}

test("a part that is still on its way to a mirror reaches Helia as soon as the mirror has stored it", async () => {
  const base = (await renditions(origin))[0];
  const [late, waited] = [[], []];
  let { at } = await next(base);
  const wants = [];
  for (let count = 0; count < PARTS; count += 1) {
    const part = await next(base, at);
    at = part.at;
    const since = Date.now();
    assert.equal(stored(part.cid), undefined, "the mirror has it already");
    wants.push(node.want(part.cid, 30_000).then((block) => ({ ...part, since, came: Date.now(), block: Buffer.from(block) })));
  }
  for (const { cid, url, since, came, block } of await Promise.all(wants)) {
    assert.deepEqual(block, Buffer.from(await (await fetch(url)).arrayBuffer()));
    const at = await until("the mirror says when it stored it", () => stored(cid));
    late.push(came - at);
    waited.push(at - since);
  }
  late.sort((a, b) => a - b);
  waited.sort((a, b) => a - b);
  const [median, worst] = [late[Math.floor(late.length / 2)], late.at(-1)];
  console.log(`# Helia: wanted ${waited[0].toFixed(0)} ms or more before the mirror stored it, served ${median.toFixed(0)} ms after that, ${worst.toFixed(0)} ms at most, ${late.length} parts`);
  assert.ok(waited[0] > WAY_MS / 2, `${waited}`);
  assert.ok(late[0] > -10, `nobody else can have given it: ${late}`);
  assert.ok(median <= LATE_MS && worst < WORST_MS, `${late}`);
});

test("what nobody stores never comes", async () => {
  const nothing = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
  await assert.rejects(node.want(nothing, 2000));
});
