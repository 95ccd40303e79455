// What conformance cases ask and expect.

import assert from "node:assert/strict";
import { CarBlockIterator } from "@ipld/car";
import { sha256 } from "multiformats/hashes/sha2";

/** Asks the gateway; redirects are not followed. */
export async function ask(at, path, { headers = {}, method = "GET" } = {}) {
  const answer = await fetch(new URL(path, at.url), { headers, method, redirect: "manual", signal: AbortSignal.timeout(20_000) });
  return { status: answer.status, headers: answer.headers, body: Buffer.from(await answer.arrayBuffer()) };
}

/** `{status, headers: {name: text or RegExp}, body}` of an answer. */
export function matches(answer, { status, headers = {}, body }) {
  if (status !== undefined) assert.equal(answer.status, status, answer.body.toString("utf8", 0, 200));
  for (const [name, wanted] of Object.entries(headers)) {
    const value = answer.headers.get(name) ?? "";
    if (wanted instanceof RegExp) assert.match(value, wanted, name);
    else assert.equal(value, wanted, name);
  }
  if (body !== undefined) assert.deepEqual(answer.body, Buffer.from(body));
}

/** A case that asks once. `request` and `expected` are made of what the run has: the gateway and the fixtures. */
export const once = (request, expected) => async (at) => {
  const { path, ...options } = request(at);
  matches(await ask(at, path, options), expected(at));
};

/** The blocks of a CAR in order, each checked against its CID. */
export async function blocksOf(body) {
  const cids = [];
  for await (const { cid, bytes } of await CarBlockIterator.fromBytes(body)) {
    if (cid.multihash.code === sha256.code) assert.deepEqual((await sha256.digest(bytes)).bytes, cid.multihash.bytes, `${cid}`);
    cids.push(cid.toString());
  }
  return cids;
}

const CAR = "application/vnd.ipld.car";

/** What every CAR has in its head. */
const CAR_HEADERS = {
  "x-content-type-options": "nosniff",
  "accept-ranges": "none",
  "content-type": /application\/vnd\.ipld\.car/,
  "content-disposition": /^attachment; filename=".*\.car"/,
  etag: /./,
};

/** A CAR with exactly these blocks in this order, asked for by the query and by the header. */
export const car = (path, query, blocks) => async (at) => {
  const url = `/ipfs/${path(at)}`;
  for (const [more, headers] of [["format=car", {}], ["", { accept: CAR }]]) {
    const answer = await ask(at, `${url}?${[query, more].filter(Boolean).join("&")}`, { headers });
    matches(answer, { status: 200, headers: CAR_HEADERS });
    assert.deepEqual(await blocksOf(answer.body), blocks(at).map(String));
  }
};
