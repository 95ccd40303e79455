// Kubo, an IPFS node of other people's making, and the gateway: it pins what we publish and reads it back.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { sleep, until } from "../e2e/gateway.mjs";
import { Kubo } from "./kubo.mjs";
import { media, onAir, renditions } from "./stream.mjs";

let gateway;
let kubo;
let playlist; // URL of a media playlist
let address; // the gateway's TCP address, with its peer id

before(async () => {
  gateway = await onAir();
  playlist = (await renditions(gateway))[0];
  const { addresses } = await gateway.json("/api/v1/peer");
  address = addresses.find((one) => /^\/ip4\/127\.0\.0\.1\/tcp\/\d+\/p2p\//.test(one));
  kubo = await Kubo.start();
});
after(async () => {
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

test("with the gateway gone, what Kubo pinned is still whole there, and what it did not pin is not", async () => {
  const { cid, bytes } = await segment();
  assert.equal(await kubo.ask("pin", cid), 0);
  await sleep(2500);
  const other = await until("another segment", async () => {
    const next = await segment();
    return next.cid !== cid && next;
  });
  await gateway.stop();
  assert.deepEqual(await read(kubo, cid), bytes);
  const missing = await Promise.race([
    kubo.ask("get", other.cid, join(kubo.folder, "missing"), 60_000).catch(() => "no answer"),
    sleep(3000).then(() => "nothing"),
  ]);
  assert.notEqual(missing, 0, "what nobody has cannot be read");
});
