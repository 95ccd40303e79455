// IPNS over PubSub: Kubo hears our record on its topic and carries it to a gateway that knows nobody else, Helia asks for it by
// libp2p-fetch and hears of newer ones; what either tells us that is forged, older or of another name replaces nothing.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { sleep, until } from "../e2e/gateway.mjs";
import { compile, Fetcher } from "./fetcher.mjs";
import { Kubo } from "./kubo.mjs";
import "./node20.mjs";

/** Whatever have CIDs. */
const [A, B, C] = ["a", "b", "c"].map((letter) => `bafybeiczsscdsbs7ffqz55asqdf${letter}smv6klcw3gofszvwlyarci47bgf354`);
const SECONDS = 30_000;
/** In which nothing comes that would come. */
const SILENCE = 3000;

let origin; // a gateway that publishes names
let other; // a gateway that knows Kubo alone
let kubo;
let helia;
let names; // what makes and reads records that are not ours

before(async () => {
  compile();
  [origin, other, kubo] = await Promise.all([Fetcher.start(), Fetcher.start(), Kubo.start()]);
  const [{ createIPNSRecord, marshalIPNSRecord, unmarshalIPNSRecord }, { generateKeyPair }, { CID }, { base36 }] = await Promise.all([
    import("ipns"), import("@libp2p/crypto/keys"), import("multiformats/cid"), import("multiformats/bases/base36"),
  ]);
  names = {
    /** A name of its own: `{name, record(root, sequence)}`, the record in hexadecimal. */
    async fresh() {
      const key = await generateKeyPair("Ed25519");
      const record = async (root, sequence) => hex(marshalIPNSRecord(await createIPNSRecord(key, `/ipfs/${root}`, sequence, 86_400_000)));
      return { name: key.publicKey.toCID().toString(base36), record };
    },
    key: (name) => Buffer.concat([Buffer.from("/ipns/"), CID.parse(name, base36).multihash.bytes]),
    read: (bytes) => unmarshalIPNSRecord(bytes),
    multihash: (name) => CID.parse(name, base36).multihash,
  };
});
after(async () => {
  await helia?.stop();
  for (const one of [kubo, other, origin]) await one?.dispose();
});

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const topicOf = (name) => `/record/${names.key(name).toString("base64url")}`;
/** The same record with another root in it, which nobody signed. */
const forged = (record, from, to) => record.replaceAll(hex(from), hex(to));

/** What a gateway has for a name, in hexadecimal; null for nothing. */
async function held(gateway, name) {
  const answer = await fetch(`${gateway.url}/ipns/${name}?format=ipns-record`);
  return answer.status === 200 ? hex(await answer.arrayBuffer()) : null;
}

const holds = (gateway, name, record) => until(`the record is there`, async () => (await held(gateway, name)) === record, { timeoutMs: SECONDS, everyMs: 100 });

/** js-libp2p with GossipSub, fetch and @helia/ipns over both. */
async function start(address) {
  const [{ createLibp2p }, { tcp }, { noise }, { yamux }, { identify }, { ping }, { gossipsub }, { fetch: libp2pFetch }, { MemoryDatastore }] = await Promise.all([
    import("libp2p"), import("@libp2p/tcp"), import("@chainsafe/libp2p-noise"), import("@chainsafe/libp2p-yamux"), import("@libp2p/identify"), import("@libp2p/ping"),
    import("@libp2p/gossipsub"), import("@libp2p/fetch"), import("datastore-core"),
  ]);
  const [{ ipnsResolver, pubSubIPNSRouting }, { createHeliaLight }, { defaultLogger }, { multiaddr }] = await Promise.all([
    import("@helia/ipns"), import("helia"), import("@libp2p/logger"), import("@multiformats/multiaddr"),
  ]);
  const libp2p = await createLibp2p({
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify(), ping: ping(), pubsub: gossipsub(), fetch: libp2pFetch() },
  });
  const nobody = { get: async () => { throw new Error("nobody is asked but by PubSub"); } };
  const { keychain } = createHeliaLight(); // knows the kinds of keys
  const parts = { datastore: new MemoryDatastore(), logger: defaultLogger(), libp2p, routing: nobody, keychain };
  const pubsub = pubSubIPNSRouting(parts);
  await pubsub.start();
  await libp2p.dial(multiaddr(address));
  const resolver = ipnsResolver(parts, { routers: [pubsub] });
  return {
    /** The root of a name. */
    async root(name) {
      for await (const { value } of resolver.resolve(names.multihash(name), { signal: AbortSignal.timeout(5000) })) return value.replace("/ipfs/", "");
    },
    tell: (name, record) => libp2p.services.pubsub.publish(topicOf(name), Buffer.from(record, "hex")),
    subscribers: (name) => libp2p.services.pubsub.getSubscribers(topicOf(name)).map(String),
    subscribe: (name) => libp2p.services.pubsub.subscribe(topicOf(name)),
    stop: async () => {
      pubsub.stop();
      await libp2p.stop();
    },
  };
}

/** What Kubo hears next on a topic. */
const kuboHears = (subscription) => until("Kubo hears of it", () => kubo.ask("heard", String(subscription)), { timeoutMs: SECONDS, everyMs: 100 });

test("Kubo hears our record whole, each newer one at once, and carries it to a gateway that knows nobody else", async () => {
  const first = await origin.publish(A);
  await other.follow(first.name);
  const subscription = await kubo.ask("subscribe", topicOf(first.name));
  assert.ok(subscription >= 0);
  // What it carries it does not keep: who comes too late hears of the next one.
  for (const [gateway, count] of [[other, 1], [origin, 2]]) {
    assert.equal(await kubo.ask("connect", gateway.address), 0);
    await until("Kubo knows that the gateway subscribes", async () => (await kubo.ask("subscribers", topicOf(first.name))).length === count, { timeoutMs: SECONDS });
  }
  assert.equal(await kuboHears(subscription), first.record);
  await holds(other, first.name, first.record);
  const newer = await origin.publish(B, first.name);
  assert.notEqual(newer.record, first.record);
  const said = Date.now();
  assert.equal(await kuboHears(subscription), newer.record);
  await holds(other, first.name, newer.record);
  assert.ok(Date.now() - said < 5000, `${Date.now() - said} ms`);
});

test("what Kubo tells us is taken where it is newer; forged, older and cut records replace nothing", async () => {
  const theirs = await names.fresh();
  await other.follow(theirs.name);
  assert.ok((await kubo.ask("subscribe", topicOf(theirs.name))) >= 0);
  await until("the gateway has the topic", async () => (await kubo.ask("subscribers", topicOf(theirs.name))).length > 0, { timeoutMs: SECONDS });
  const tell = async (record) => assert.equal(await kubo.ask("tell", topicOf(theirs.name), record), 0);
  const good = await theirs.record(B, 5);
  await tell(good);
  await holds(other, theirs.name, good);
  const newer = await theirs.record(C, 6);
  for (const wrong of [forged(newer, C, A), await theirs.record(A, 4), await (await names.fresh()).record(A, 9), newer.slice(0, -2), "00".repeat(12_000)]) await tell(wrong);
  await sleep(SILENCE);
  assert.equal(await held(other, theirs.name), good);
  await tell(newer);
  await holds(other, theirs.name, newer);
});

test("@helia/ipns asks the gateway for the record, hears of newer ones, and does not take it for one of another name", async () => {
  helia = await start(origin.address);
  const first = await origin.publish(A);
  const found = await until("Helia finds it", () => helia.root(first.name), { timeoutMs: SECONDS, everyMs: 250 });
  assert.equal(found, A);
  await origin.publish(B, first.name);
  await until("Helia hears of the newer one", async () => (await helia.root(first.name)) === B, { timeoutMs: SECONDS, everyMs: 100 });
  const nobody = (await names.fresh()).name;
  await assert.rejects(helia.root(nobody));
});

test("what Helia tells us is taken where it is newer, and not where it is forged or older", async () => {
  const theirs = await names.fresh();
  await origin.follow(theirs.name);
  helia.subscribe(theirs.name);
  await until("the gateway has the topic", () => helia.subscribers(theirs.name).length > 0, { timeoutMs: SECONDS });
  const good = await theirs.record(B, 5);
  await helia.tell(theirs.name, good);
  await holds(origin, theirs.name, good);
  const newer = await theirs.record(C, 6);
  for (const wrong of [forged(newer, C, A), await theirs.record(A, 4)]) await helia.tell(theirs.name, wrong);
  await sleep(SILENCE);
  assert.equal(await held(origin, theirs.name), good);
  await helia.tell(theirs.name, newer);
  await holds(origin, theirs.name, newer);
});
