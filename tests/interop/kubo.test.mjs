// Kubo, an IPFS node of other people's making, and the gateway: it pins what we publish, reads it back, and
// gives it to another gateway.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { sleep, until } from "../e2e/gateway.mjs";
import { compile, Fetcher, tcpOf } from "./fetcher.mjs";
import { Kubo } from "./kubo.mjs";
import { media, onAir, renditions } from "./stream.mjs";

let gateway;
let kubo;
let mirror; // a gateway that has nothing
let playlist; // URL of a media playlist
let address; // the gateway's TCP address, with its peer id

before(async () => {
  compile();
  gateway = await onAir();
  playlist = (await renditions(gateway))[0];
  const { addresses } = await gateway.json("/api/v1/peer");
  address = tcpOf(addresses);
  kubo = await Kubo.start();
  mirror = await Fetcher.start();
});
after(async () => {
  await mirror?.dispose();
  await kubo?.dispose();
  await gateway?.dispose();
});

/** The newest whole segment over HTTP: its CID and its bytes. */
async function segment() {
  const { text } = await media(gateway, playlist);
  const uri = text.split("\n").filter((line) => line && !line.startsWith("#")).at(-1);
  const answer = await fetch(new URL(uri, playlist));
  assert.equal(answer.status, 200);
  const cid = answer.headers.get("etag").replaceAll('"', "");
  return { cid, bytes: Buffer.from(await answer.arrayBuffer()) };
}

/** The bytes that Kubo has under a CID. */
async function read(node, cid) {
  const target = join(node.folder, `read-${cid}`);
  assert.equal(await node.ask("get", cid, target), 0, `Kubo reads ${cid}`);
  return readFileSync(target);
}

const sentParts = async () => {
  const text = await gateway.text("/metrics");
  return Number(/meshlive_p2p_sent_bytes_total\{kind="part"\} (\d+)/.exec(text)[1]);
};

test("Kubo connects to the gateway, pins a segment by its CID, and reads back its bytes", async () => {
  assert.equal(await kubo.ask("connect", address), 0);
  const { cid, bytes } = await segment();
  const before = await sentParts();
  const since = performance.now();
  assert.equal(await kubo.ask("pin", cid), 0, "it pins");
  const took = performance.now() - since;
  assert.match(await kubo.ask("pins"), new RegExp(cid));
  const counted = (await sentParts()) - before;
  assert.ok(counted >= bytes.length, `${counted} bytes of parts are counted, ${bytes.length} were read`);
  assert.ok(took < 5000, `pinning took ${took} ms`);
  assert.deepEqual(await read(kubo, cid), bytes);
  const { streams } = await gateway.json("/api/v1/streams");
  assert.equal(streams[0].offload, 0, "an IPFS node is no viewer");
});

test("with the gateway gone, Kubo has what it pinned and gives it to a gateway that has nothing; what it did not pin nobody has", async () => {
  const { cid, bytes } = await segment();
  assert.equal(await kubo.ask("pin", cid), 0);
  await sleep(2500);
  const other = await until("another segment", async () => {
    const next = await segment();
    return next.cid !== cid && next;
  });
  await gateway.stop();
  assert.deepEqual(await read(kubo, cid), bytes);
  const fetched = await mirror.fetch(kubo.address, cid);
  assert.ok(fetched.new > 1 && fetched.bytes > bytes.length, JSON.stringify(fetched));
  const answer = await fetch(`${mirror.url}/ipfs/${cid}`);
  assert.deepEqual(Buffer.from(await answer.arrayBuffer()), bytes);
  const missing = await mirror.fetch(kubo.address, other.cid);
  assert.match(missing.error, new RegExp(other.cid));
  assert.equal((await fetch(`${mirror.url}/ipfs/${other.cid}`)).status, 404);
});
