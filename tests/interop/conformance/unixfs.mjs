// path_gateway_unixfs_test.go, path_gateway_cors_test.go, and what path_gateway_dag_test.go has of UnixFS

import assert from "node:assert/strict";
import { ask, matches, once } from "./expect.mjs";

const IMMUTABLE = "public, max-age=29030400, immutable";
const NOWHERE = "QmYzfKSE55XCjD1MW128RfciAf2DViABhEiXfgVFMabSjN";
const WAY = ["root2", "root3", "root4"];
const roots = ({ f }, ...names) => [f.pages, ...names.map((_, n) => f.at(f.pages, ...names.slice(0, n + 1)))].join(",");
const cached = { "cache-control": "only-if-cached" };
const page = ({ f }) => `/ipfs/${f.pages}/${WAY.join("/")}/`;
const indexOf = ({ f }) => f.at(f.pages, ...WAY, "index.html");
const known = (path, tag) => once((at) => ({ path: path(at), headers: { "if-none-match": tag(at) } }), () => ({ status: 304 }));
const file = (at) => `${page(at)}index.html`;
const listing = ({ f }) => `/ipfs/${f.pages}/root2/root3/`;
/** The same with the name of a record in place of the directory's CID. */
const named = (path) => (at) => path(at).replace(`/ipfs/${at.f.pages}`, `/ipns/${at.f.names.pages.name}`);
const NAMED = { "cache-control": /^public, max-age=\d+$/ };

/** What a listing, a page, a file and a raw directory have in their heads, by path. */
const heads = (place) => ({
  listing: (at) => ({ status: 200, headers: { "x-ipfs-path": place(listing)(at), "x-ipfs-roots": roots(at, "root2", "root3"), etag: new RegExp(`^"DirIndex-.*_CID-${at.f.at(at.f.pages, "root2", "root3")}"$`) } }),
  page: (at) => ({ status: 200, headers: { "x-ipfs-path": place(page)(at), "x-ipfs-roots": roots(at, ...WAY), etag: `"${at.f.page.cid}"` }, body: "hello\n" }),
  file: (at) => ({ status: 200, headers: { "x-ipfs-path": place(file)(at), "x-ipfs-roots": roots(at, ...WAY, "index.html"), etag: `"${indexOf(at)}"` }, body: "hello\n" }),
  raw: (at) => ({ status: 200, body: at.f.blocks.get(at.f.page.cid.toString()) }),
});
const also = (expected, headers) => (at) => {
  const one = expected(at);
  return { ...one, headers: { ...one.headers, ...headers } };
};
const get = (path) => (at) => ({ path: path(at) });
const onPath = heads((path) => path);
const onName = heads(named);

const cors = (method) =>
  once(
    () => ({ path: "/ipfs/bafkqabtimvwgy3yk/", method }),
    () => ({
      headers: {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": /^(?=.*GET)(?=.*HEAD)(?=.*OPTIONS)/,
        "access-control-allow-headers": /^(?=.*Content-Type)(?=.*Range)(?=.*User-Agent)(?=.*X-Requested-With)/,
        "access-control-expose-headers": /^(?=.*Content-Range)(?=.*Content-Length)(?=.*X-Ipfs-Path)(?=.*X-Ipfs-Roots)(?=.*X-Chunked-Output)(?=.*X-Stream-Output)/,
      },
    }),
  );

const ascii = ({ f }) => `/ipfs/${f.raw}/dir/ascii.txt`;
const range = (bytes, from, to) =>
  once(
    (at) => ({ path: ascii(at), headers: { range: `bytes=${bytes}` } }),
    ({ f }) => ({ status: 206, headers: { "content-range": `bytes ${from}-${to}/31` }, body: f.bytes.ascii.subarray(from, to + 1) }),
  );
const holed = (from, to, letter) =>
  once(({ f }) => ({ path: `/ipfs/${f.holed}`, headers: { range: `bytes=${from}-${to}` } }), () => ({ status: 206, headers: { "content-range": `bytes ${from}-${to}/3072` }, body: letter.repeat(to - from + 1) }));
const refused = (query, accept) => once(({ f }) => ({ path: `/ipfs/${f.at(f.mixed, "subdir", "multiblock.txt")}${query}`, headers: accept ? { accept } : {} }), () => ({ status: 406 }));
const asJson = (headers) => once(({ f }) => ({ path: `/ipfs/${f.json}`, headers }), ({ f }) => ({ status: 200, headers: { "content-type": "application/json" }, body: f.bytes.json }));

/** Tag of a listing, as the gateway says it. */
const listed = (weak) => async (at) => {
  const { headers } = await ask(at, listing(at));
  const tag = headers.get("etag");
  matches(await ask(at, listing(at), { headers: { "if-none-match": weak ? `W/${tag}` : tag } }), { status: 304 });
};

export const claimed = {
  TestUnixFSDirectoryListing: {
    "path gw: backlink on root CID should be hidden (TODO: cleanup Kubo-specifics)": async (at) => {
      const { body } = await ask(at, `/ipfs/${at.f.listing}/`);
      assert.match(body.toString(), /Index of/);
      assert.ok(!body.includes(`<a href="/ipfs/${at.f.listing}/">..</a>`));
    },
    "path gw: redirect dir listing to URL with trailing slash": once(({ f }) => ({ path: `/ipfs/${f.listing}/ą/ę` }), ({ f }) => ({ status: 301, headers: { location: `/ipfs/${f.listing}/%C4%85/%C4%99/` } })),
    "GET for /ipfs/cid/file UnixFS file that does not exist returns 404": once(({ f }) => ({ path: `/ipfs/${f.listing}/i-do-not-exist` }), () => ({ status: 404 })),
  },
  TestGatewayCache: {
    "GET for /ipfs/ unixfs dir listing succeeds": once(get(listing), also(onPath.listing, { "cache-control": "public, max-age=604800, stale-while-revalidate=2678400" })),
    "GET for /ipfs/ unixfs dir with index.html succeeds": once(get(page), also(onPath.page, { "cache-control": IMMUTABLE })),
    "GET for /ipfs/ unixfs file succeeds": once(get(file), also(onPath.file, { "cache-control": IMMUTABLE })),
    "GET for /ipfs/ unixfs dir as raw block succeeds": once((at) => ({ path: `${page(at)}?format=raw` }), also(onPath.raw, { "cache-control": IMMUTABLE })),
    "HEAD for /ipfs/ with only-if-cached succeeds when in local datastore": once((at) => ({ path: `${page(at)}?format=raw`, headers: cached, method: "HEAD" }), () => ({ status: 200 })),
    "HEAD for /ipfs/ with only-if-cached fails when not in local datastore": once(() => ({ path: `/ipfs/${NOWHERE}`, headers: cached, method: "HEAD" }), () => ({ status: 412 })),
    "GET for /ipfs/ with only-if-cached succeeds when in local datastore": once((at) => ({ path: `${page(at)}?format=raw`, headers: cached }), () => ({ status: 200 })),
    "GET for /ipfs/ with only-if-cached fails when not in local datastore": once(() => ({ path: `/ipfs/${NOWHERE}`, headers: cached }), () => ({ status: 412 })),
    "GET for /ipfs/ file with matching Etag in If-None-Match returns 304 Not Modified": known(file, (at) => `"${indexOf(at)}"`),
    "GET for /ipfs/ dir with index.html file with matching Etag in If-None-Match returns 304 Not Modified": known(page, ({ f }) => `"${f.page.cid}"`),
    "GET for /ipfs/ file with matching third Etag in If-None-Match returns 304 Not Modified": known(file, (at) => `"fakeEtag1", "fakeEtag2", "${indexOf(at)}"`),
    "GET for /ipfs/ file with matching weak Etag in If-None-Match returns 304 Not Modified": known(file, (at) => `W/"${indexOf(at)}"`),
    "GET for /ipfs/ file with wildcard Etag in If-None-Match returns 304 Not Modified": known(file, () => "*"),
    "DirIndex etag is based on xxhash(./assets/dir-index-html), so we need to fetch it dynamically": once(get(listing), () => ({ status: 200, headers: { etag: /./ } })),
    "GET for /ipfs/ dir listing with matching strong Etag in If-None-Match returns 304 Not Modified": listed(false),
    "GET for /ipfs/ dir listing with matching weak Etag in If-None-Match returns 304 Not Modified": listed(true),
  },
  TestGatewayCacheWithIPNS: {
    "GET for /ipns/ unixfs dir listing succeeds": once(get(named(listing)), also(onName.listing, NAMED)),
    "GET for /ipns/ unixfs dir with index.html succeeds": once(get(named(page)), also(onName.page, NAMED)),
    "GET for /ipns/ unixfs file succeeds": once(get(named(file)), also(onName.file, NAMED)),
    "GET for /ipns/ unixfs dir as raw block succeeds": once((at) => ({ path: `${named(page)(at)}?format=raw` }), also(onName.raw, NAMED)),
    "GET for /ipns/ file with matching Etag in If-None-Match returns 304 Not Modified": known(named(file), (at) => `"${indexOf(at)}"`),
  },
  TestGatewaySymlink: {
    "Test the directory listing": async (at) => {
      const { body } = await ask(at, `/ipfs/${at.f.links}/`);
      assert.ok(body.includes(">foo<") && body.includes(">bar<"));
    },
    "Test the directory raw query": once(({ f }) => ({ path: `/ipfs/${f.links}?format=raw` }), ({ f }) => ({ status: 200, body: f.blocks.get(f.links.toString()) })),
    "Test the symlink": once(({ f }) => ({ path: `/ipfs/${f.links}/bar` }), () => ({ status: 200, body: "foo" })),
  },
  TestGatewayUnixFSFileRanges: {
    "GET for /ipfs/ file includes Accept-Ranges header": once(get(ascii), ({ f }) => ({ status: 200, headers: { "accept-ranges": "bytes" }, body: f.bytes.ascii })),
    "GET for /ipfs/ file with single range request includes correct bytes": range("6-16", 6, 16),
    "GET for /ipfs/ file with suffix range request includes correct bytes from the end of file": range("-3", 28, 30),
    "GET for /ipfs/ file with multiple range request returns correct bytes": range("6-16,0-4", 6, 16),
    "GET Range of file succeeds even if the gateway is missing a block AFTER the requested range": holed(997, 1000, "a"),
    "GET Range of file succeeds even if the gateway is missing a block BEFORE the requested range": holed(2200, 2201, "c"),
  },
  TestPathGatewayMiscellaneous: {
    "GET for /ipfs/ file whose filename contains percentage-encoded characters works": once(
      ({ f }) => ({ path: `/ipfs/${f.percent}/Portugal%252C+España=Peninsula%20Ibérica.txt` }),
      () => ({ status: 200, body: "hello world\n" }),
    ),
  },
  TestCors: {
    "GET Responses from Gateway should include CORS headers allowing JS from other origins to read the data cross-origin.": cors("GET"),
    "OPTIONS to Gateway succeeds": cors("OPTIONS"),
  },
  TestGatewayJsonCbor: {
    "GET UnixFS file with JSON bytes is returned with application/json Content-Type - without headers": asJson({}),
    "GET UnixFS file with JSON bytes is returned with application/json Content-Type - with headers": asJson({ accept: "application/json" }),
  },
  TestCodecMismatchReturns406: {
    "GET UnixFS (dag-pb) file with format=dag-json returns 406 Not Acceptable": refused("?format=dag-json"),
    "GET UnixFS (dag-pb) file with format=dag-cbor returns 406 Not Acceptable": refused("?format=dag-cbor"),
    "GET UnixFS (dag-pb) file with Accept: application/vnd.ipld.dag-json returns 406 Not Acceptable": refused("", "application/vnd.ipld.dag-json"),
  },
};
