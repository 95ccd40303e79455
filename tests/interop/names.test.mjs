// IPNS by way of Kubo's DHT of private networks: our record comes back whole, a forged one is refused.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { until } from "../e2e/gateway.mjs";
import { compile, dht, Fetcher } from "./fetcher.mjs";
import { Kubo } from "./kubo.mjs";

/** Whatever has a CID. */
const ROOT = "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354";

let origin; // a gateway that publishes a name
let kubo;
let other; // a gateway that knows Kubo alone
let published;

before(async () => {
  compile();
  [origin, other, kubo] = await Promise.all([Fetcher.start(), Fetcher.start(), Kubo.start("dht")]);
  published = await origin.publish(ROOT);
});
after(async () => {
  for (const one of [kubo, other, origin]) await one?.dispose();
});

test("a record that the gateway tells Kubo comes back from Kubo whole, also to a gateway that knows nobody else", async () => {
  assert.equal(dht(kubo.address, "get", published.name), "none");
  assert.equal(await kubo.ask("connect", origin.address), 0);
  const theirs = await until("Kubo has the record", () => {
    const said = dht(kubo.address, "get", published.name);
    return said !== "none" && said;
  }, { timeoutMs: 30_000, everyMs: 500 });
  assert.equal(theirs, published.record);
  await origin.dispose();
  assert.equal(await kubo.ask("connect", other.address), 0);
  const found = await other.find(published.name);
  assert.equal(found.record, published.record);
  const answer = await fetch(`${other.url}/ipns/${published.name}?format=ipns-record`);
  assert.equal(answer.headers.get("content-type"), "application/vnd.ipfs.ipns-record");
  assert.equal(Buffer.from(await answer.arrayBuffer()).toString("hex"), published.record);
});

test("Kubo and our gateways refuse a forged record and take the true one", async () => {
  const forged = published.record.replace(Buffer.from(ROOT).toString("hex"), Buffer.from(ROOT.replace(/54$/, "55")).toString("hex"));
  assert.notEqual(forged, published.record);
  for (const node of [kubo, other]) {
    assert.equal(dht(node.address, "put", published.name, forged), "false");
    assert.equal(dht(node.address, "get", published.name), published.record);
    assert.equal(dht(node.address, "put", published.name, published.record), "true");
  }
});
