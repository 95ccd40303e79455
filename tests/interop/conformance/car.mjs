// trustless_gateway_car_test.go

import assert from "node:assert/strict";
import { ask, blocksOf, car, matches, once } from "./expect.mjs";

const FILE = ["subdir", "multiblock.txt"];
const long = ({ f }) => f.at(f.mixed, ...FILE);
/** Blocks of the file of several leaves, from one leaf to another. */
const leaves = (from, to) => (at) => [long(at), ...at.f.descendants(long(at)).slice(from, to)];
const ofRange = (bytes, from, to) => car(long, `dag-scope=entity&entity-bytes=${bytes}`, leaves(from, to));
const wayTo = (f, root, ...names) => names.map((_, n) => f.at(root, ...names.slice(0, n + 1)));
const whole = ({ f }) => [f.mixed, ...wayTo(f, f.mixed, ...FILE), ...f.descendants(f.at(f.mixed, ...FILE))];
const shards = ({ f }) => [f.sharded, ...f.hamt(f.sharded)];
const twice = ({ f }) => [f.twice, ...f.descendants(f.twice)].map(String);
const type = (more) => ({ "content-type": new RegExp(`^application/vnd\\.ipld\\.car.*${more}`) });
/** A CAR of the directory with the same file twice, asked for with this query and header. */
const withTwice = (query, accept, more) => async (at) => {
  const answer = await ask(at, `/ipfs/${at.f.twice}${query}`, { headers: { accept } });
  matches(answer, { status: 200, headers: type(more) });
  return blocksOf(answer.body);
};
const exactlyTwice = (query, accept, more) => async (at) => assert.deepEqual(await withTwice(query, accept, more)(at), twice(at));

export const claimed = {
  TestTrustlessCarPathing: {
    "GET default CAR response with pathing through UnixFS Directory": car(({ f }) => `${f.simple}/subdir/ascii.txt`, "", ({ f }) => [f.simple, ...wayTo(f, f.simple, "subdir", "ascii.txt")]),
    "GET default CAR response of UnixFS file on a path with HAMT-sharded directory": car(({ f }) => `${f.sharded}/685.txt`, "", ({ f }) => {
      const way = f.hamtWay(f.sharded, "685.txt");
      assert.ok(way.length >= 2 && f.descendants(way.at(-1)).length >= 2, "the fixture has a shard below, and a file of several leaves");
      return [f.sharded, ...way, ...f.descendants(way.at(-1))];
    }),
    "GET default CAR response for non-existing file": once(({ f }) => ({ path: `/ipfs/${f.simple}/subdir/i-do-not-exist?format=car` }), () => ({ status: 404 })),
  },
  TestTrustlessCarDagScopeBlock: {
    "GET CAR with dag-scope=block of UnixFS directory on a path": car(({ f }) => `${f.simple}/subdir`, "dag-scope=block", ({ f }) => [f.simple, f.at(f.simple, "subdir")]),
    "GET CAR with dag-scope=block of UnixFS file on a path": car(({ f }) => `${f.simple}/subdir/ascii.txt`, "dag-scope=block", ({ f }) => [f.simple, ...wayTo(f, f.simple, "subdir", "ascii.txt")]),
    "GET CAR with dag-scope=block of UnixFS file on a path with sharded directory": car(({ f }) => `${f.sharded}/1.txt`, "dag-scope=block", ({ f }) => [f.sharded, ...f.hamtWay(f.sharded, "1.txt")]),
  },
  TestTrustlessCarDagScopeEntity: {
    "GET CAR with dag-scope=entity of a UnixFS directory": car(({ f }) => f.simple, "dag-scope=entity", ({ f }) => [f.simple]),
    "GET CAR with dag-scope=entity of a UnixFS sharded directory": car(({ f }) => f.sharded, "dag-scope=entity", shards),
    "GET CAR with dag-scope=entity of a UnixFS file": car(({ f }) => `${f.mixed}/subdir/ascii.txt`, "dag-scope=entity", ({ f }) => [f.mixed, ...wayTo(f, f.mixed, "subdir", "ascii.txt")]),
    "GET CAR with dag-scope=entity of a chunked UnixFS file": car(({ f }) => `${f.mixed}/${FILE.join("/")}`, "dag-scope=entity", whole),
  },
  TestTrustlessCarDagScopeAll: {
    "GET CAR with dag-scope=all of UnixFS directory with multiple files": car(({ f }) => `${f.mixed}/subdir`, "dag-scope=all", ({ f }) => {
      const subdir = f.at(f.mixed, "subdir");
      return [f.mixed, subdir, ...f.descendants(subdir)];
    }),
    "GET CAR with dag-scope=all of a chunked UnixFS file": car(({ f }) => `${f.mixed}/${FILE.join("/")}`, "dag-scope=all", whole),
  },
  TestTrustlessCarEntityBytes: {
    "GET CAR with entity-bytes succeeds even if the gateway is missing a block after the requested range": car(({ f }) => f.holed, "dag-scope=entity&entity-bytes=0:1000", ({ f }) => [f.holed, f.holedLeaves[0]]),
    "GET CAR with entity-bytes succeeds even if the gateway is missing a block before the requested range": car(({ f }) => f.holed, "dag-scope=entity&entity-bytes=2200:*", ({ f }) => [f.holed, f.holedLeaves[2]]),
    "GET CAR with entity-bytes of a full UnixFS file": car(({ f }) => `${f.mixed}/${FILE.join("/")}`, "dag-scope=entity&entity-bytes=0:*", whole),
    "GET CAR with entity-bytes of a UnixFS directory": car(({ f }) => f.sharded, "dag-scope=entity&entity-bytes=0:*", shards),
    "GET CAR with entity-bytes equivalent to a HTTP Range Request from the middle of a file to the end": ofRange("512:*", 2),
    "GET CAR with entity-bytes equivalent to a HTTP Range Request for the middle of a file": ofRange("512:1023", 2, 4),
    "GET CAR with entity-bytes equivalent to a HTTP Range Request for the middle of a file (negative ending)": ofRange("512:-256", 2, 4),
    "GET CAR with entity-bytes equivalent to HTTP Suffix Range Request for part of a file": ofRange("-5:*", 3),
    "GET CAR with entity-bytes requesting a negative range bigger than the length of a file": ofRange("-9999:*", 0),
    "GET CAR with entity-bytes requesting a range from the end of a file that is bigger than a file itself": ofRange("-9999:-3", 0, 4),
    "GET CAR with entity-bytes requesting only the blocks for the first byte of a file": ofRange("0:0", 0, 1),
  },
  TestTrustlessCarOrderAndDuplicates: {
    "GET CAR with order=dfs and dups=y of UnixFS Directory With Duplicate Files": exactlyTwice("", "application/vnd.ipld.car; version=1; order=dfs; dups=y", "order=dfs; dups=y"),
    "GET CAR smoke-test with order=unk of UnixFS Directory": async (at) => {
      const blocks = await withTwice("", "application/vnd.ipld.car; version=1; order=unk", "order=")(at);
      assert.deepEqual(new Set(blocks), new Set(twice(at)));
    },
    "GET CAR with order=dfs and dups=y of identity CID": async (at) => {
      const answer = await ask(at, "/ipfs/bafkqaf3imvwgy3zaneqgc3janfxgy2lomvscay3jmqfa", { headers: { accept: "application/vnd.ipld.car; dups=y" } });
      matches(answer, { status: 200, headers: type("dups=y") });
      assert.deepEqual(await blocksOf(answer.body), []);
    },
    "GET CAR with ?format=car respects Accept header order and dups params": exactlyTwice("?format=car", "application/vnd.ipld.car; version=1; order=dfs; dups=y", "order=dfs; dups=y"),
    "GET CAR with ?car-order=dfs takes precedence over order=unk in Accept": exactlyTwice("?format=car&car-order=dfs", "application/vnd.ipld.car; order=unk", "order=dfs"),
    "GET CAR with ?car-dups=y takes precedence over dups=n in Accept": exactlyTwice("?format=car&car-dups=y", "application/vnd.ipld.car; dups=n", "dups=y"),
  },
  TestTrustlessCarFormatPrecedence: {
    "GET with format=car query parameter takes precedence over Accept header": once(
      ({ f }) => ({ path: `/ipfs/${f.at(f.raw, "dir")}?format=car`, headers: { accept: "application/vnd.ipld.raw" } }),
      () => ({ status: 200, headers: type("") }),
    ),
    "GET with format=raw query parameter takes precedence over Accept header": once(
      ({ f }) => ({ path: `/ipfs/${f.at(f.raw, "dir")}?format=raw`, headers: { accept: "application/vnd.ipld.car" } }),
      () => ({ status: 200, headers: { "content-type": "application/vnd.ipld.raw" } }),
    ),
  },
};
