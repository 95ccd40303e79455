// Every case of ipfs/gateway-conformance (as of 2026-04-30, commit 22c76440) by its name: those that the gateway claims are
// asked of the real binary, over fixtures of our own making; of the others it is said why they are not claimed.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Gateway, run } from "../e2e/gateway.mjs";
import { claimed as ofCars } from "./conformance/car.mjs";
import { Fixtures } from "./conformance/fixtures.mjs";
import { claimed as ofNames } from "./conformance/ipns.mjs";
import { claimed as ofRaw } from "./conformance/raw.mjs";
import { unclaimed, WHY } from "./conformance/unclaimed.mjs";
import { claimed as ofUnixfs } from "./conformance/unixfs.mjs";
import { compile, example, tcpOf } from "./fetcher.mjs";

const claimed = { ...ofCars, ...ofRaw, ...ofUnixfs, ...ofNames };
/** Cases as the suite's sources name them. */
const TOTAL = 215;

const folder = mkdtempSync(join(tmpdir(), "meshlive-conformance-"));
/** No stream of its own: the test card would want the machine. */
const config = join(folder, "config.toml");
writeFileSync(config, "inputs = []\n");
const at = {};
let gateway;

before(async () => {
  compile("blocks");
  at.f = await Fixtures.make();
  const [data, blocks] = ["data", "blocks"].map((name) => join(folder, name));
  for (const one of [data, blocks]) mkdirSync(one);
  for (const [cid, bytes] of at.f.blocks) writeFileSync(join(blocks, cid), bytes);
  const { code, stderr } = await run(example("blocks"), [data, blocks]);
  assert.equal(code, 0, stderr);
  gateway = await Gateway.start({ data, inputs: [], flags: ["--config", config] });
  at.url = gateway.url;
  const { addresses } = await gateway.json("/api/v1/peer");
  for (const [which, { name, bytes }] of Object.entries(at.f.names)) {
    if (!bytes) continue;
    const { stdout } = await run(example("dht"), [tcpOf(addresses), "put", name, bytes.toString("hex")]);
    assert.equal(stdout.trim(), String(which !== "brokenV2"), which);
  }
});
after(async () => {
  await gateway?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

for (const [group, cases] of Object.entries(claimed)) {
  describe(group, () => {
    for (const [name, check] of Object.entries(cases)) test(name, () => check(at));
  });
}

test("every case is claimed or has a reason", () => {
  const names = new Set();
  const reasons = Object.fromEntries(Object.keys(WHY).map((key) => [key, 0]));
  for (const [group, cases] of Object.entries(claimed)) for (const name of Object.keys(cases)) names.add(`${group}: ${name}`);
  const ours = names.size;
  let others = 0;
  for (const [group, cases] of Object.entries(unclaimed)) {
    for (const [name, why] of cases) {
      assert.ok(!(name in (claimed[group] ?? {})), `${group}: ${name} is both`);
      reasons[Object.keys(WHY).find((key) => WHY[key] === why)] += 1;
      others += 1;
    }
  }
  assert.equal(ours + others, TOTAL);
  assert.ok(Object.values(reasons).every((count) => count > 0), JSON.stringify(reasons));
  console.log(`# gateway-conformance: ${ours} of ${TOTAL} cases claimed; not claimed: ${JSON.stringify(reasons)}`);
});

test("a name whose record does not verify leads nowhere, and neither does a block that nobody has", async () => {
  const missing = at.f.holedLeaves[1];
  for (const path of [`/ipns/${at.f.names.brokenV2.name}`, `/ipfs/${missing}`, `/ipfs/${missing}?format=car`]) {
    assert.equal((await fetch(gateway.url + path)).status, 404, path);
  }
  const cut = async () => (await fetch(`${gateway.url}/ipfs/${at.f.holed}`)).arrayBuffer();
  await assert.rejects(cut, "a file with a hole is cut off");
});
