// path_gateway_raw_test.go and trustless_gateway_raw_test.go

import assert from "node:assert/strict";
import { ask, matches, once } from "./expect.mjs";

const RAW = "application/vnd.ipld.raw";
const accept = { accept: RAW };
const bytesOf = (f, ...names) => f.blocks.get(f.at(f.raw, ...names).toString());
const immutable = /^public, max-age=(29030400|3\d{7}), immutable$/;

/** The cases that stand in both files; `place` names the directory and the file, by path or by CID. */
const both = (place) => ({
  "GET with format=raw param returns a raw block": once(({ f }) => ({ path: `${place(f, "dir")}?format=raw` }), ({ f }) => ({ status: 200, body: bytesOf(f, "dir") })),
  "GET with application/vnd.ipld.raw header returns a raw block": once(({ f }) => ({ path: place(f, "dir"), headers: accept }), ({ f }) => ({ status: 200, body: bytesOf(f, "dir") })),
  "GET with application/vnd.ipld.raw header returns expected response headers": once(
    ({ f }) => ({ path: place(f, "dir", "ascii.txt"), headers: accept }),
    ({ f }) => ({
      status: 200,
      headers: { "content-type": RAW, "content-length": String(f.bytes.ascii.length), "content-disposition": /^attachment;/, "x-content-type-options": "nosniff" },
      body: f.bytes.ascii,
    }),
  ),
  "GET with application/vnd.ipld.raw header and filename param returns expected Content-Disposition header with custom filename": once(
    ({ f }) => ({ path: `${place(f, "dir", "ascii.txt")}?filename=foobar.bin`, headers: accept }),
    () => ({ status: 200, headers: { "content-disposition": /^attachment; filename="foobar\.bin"/ } }),
  ),
  "GET with application/vnd.ipld.raw header returns expected caching headers": once(
    ({ f }) => ({ path: place(f, "dir", "ascii.txt"), headers: accept }),
    ({ f }) => ({
      status: 200,
      headers: { etag: /./, "x-ipfs-path": place(f, "dir", "ascii.txt"), "x-ipfs-roots": new RegExp(place(f, "dir", "ascii.txt").split("/")[2]), "cache-control": immutable },
    }),
  ),
});

export const claimed = {
  TestGatewayBlock: {
    ...both((f, ...names) => `/ipfs/${[f.raw, ...names].join("/")}`),
    "GET with application/vnd.ipld.raw with single range request includes correct bytes": once(
      ({ f }) => ({ path: `/ipfs/${f.raw}/dir`, headers: { ...accept, range: "bytes=6-16" } }),
      ({ f }) => {
        const bytes = bytesOf(f, "dir");
        return { status: 206, headers: { "content-type": RAW, "content-range": `bytes 6-16/${bytes.length}` }, body: bytes.subarray(6, 17) };
      },
    ),
  },
  TestTrustlessRaw: both((f, ...names) => `/ipfs/${f.at(f.raw, ...names)}`),
  TestTrustlessRawRanges: {
    "GET with application/vnd.ipld.raw with range request includes correct bytes": async (at) => {
      const { ascii } = at.f.bytes;
      const path = `/ipfs/${at.f.at(at.f.raw, "dir", "ascii.txt")}`;
      // One range, and several, of which the first is answered.
      for (const [range, from, to] of [["3-12", 3, 12], ["0-0", 0, 0], ["5-9,20-25", 5, 9]]) {
        const answer = await ask(at, path, { headers: { ...accept, range: `bytes=${range}` } });
        matches(answer, { status: 206, headers: { "content-range": `bytes ${from}-${to}/${ascii.length}`, "content-type": RAW }, body: ascii.subarray(from, to + 1) });
      }
      assert.ok(ascii.length > 26);
    },
  },
};
