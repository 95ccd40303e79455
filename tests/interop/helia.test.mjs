// Helia wants a part of a gateway that does not have it yet, and is served as soon as it is stored there.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { compile, Fetcher, tcpOf } from "./fetcher.mjs";
import { helia } from "./helia.mjs";
import { onAir, renditions } from "./stream.mjs";

/** The bar, which half of the parts keep at least; a machine that tests share gets more for one. */
const LATE_MS = 100;
const WORST_MS = 1000;

let origin;
let mirror;
let node;

before(async () => {
  compile();
  origin = await onAir();
  mirror = await Fetcher.start();
  node = await helia();
  await node.dial(mirror.address);
});
after(async () => {
  await node?.stop();
  await mirror?.dispose();
  await origin?.dispose();
});

/** CIDs of the parts of whole segments, with their bytes, as the origin has them. */
async function parts() {
  const { text } = await fetch((await renditions(origin))[0]).then(async (answer) => ({ text: await answer.text() }));
  const base = (await renditions(origin))[0];
  const uris = [...text.matchAll(/#EXT-X-PART:.*?URI="([^"]+)"/g)].map((match) => match[1]);
  return Promise.all(uris.slice(0, 10).map(async (uri) => {
    const answer = await fetch(new URL(uri, base));
    return { cid: answer.headers.get("etag").replaceAll('"', ""), bytes: Buffer.from(await answer.arrayBuffer()) };
  }));
}

test("a part that a mirror does not have yet reaches Helia as soon as the mirror has stored it", async () => {
  const { addresses } = await origin.json("/api/v1/peer");
  const late = [];
  for (const { cid, bytes } of await parts()) {
    let came;
    const wanted = node.want(cid, 30_000).then((block) => {
      came = performance.now();
      return Buffer.from(block);
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(came, undefined, "nobody has it that Helia knows");
    assert.equal((await mirror.fetch(tcpOf(addresses), cid)).new, 1);
    const stored = performance.now();
    assert.deepEqual(await wanted, bytes);
    late.push(Math.max(0, came - stored));
  }
  late.sort((a, b) => a - b);
  const [median, worst] = [late[Math.floor(late.length / 2)], late.at(-1)];
  console.log(`# Helia: ${median.toFixed(0)} ms after the mirror stored it, ${worst.toFixed(0)} ms at most, ${late.length} parts`);
  assert.ok(median <= LATE_MS && worst < WORST_MS, `${late}`);
});

test("what nobody stores never comes", async () => {
  const nothing = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
  await assert.rejects(node.want(nothing, 2000));
});
