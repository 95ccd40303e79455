// Content for the conformance list, of our own making: blocks that ipfs-unixfs-importer writes (Helia's), links and
// directories over them, and IPNS records. Nothing of it is what our gateway would write.

import { generateKeyPair } from "@libp2p/crypto/keys";
import * as dagPb from "@ipld/dag-pb";
import { importBytes, importer } from "ipfs-unixfs-importer";
import { fixedSize } from "ipfs-unixfs-importer/chunker";
import { createIPNSRecord, marshalIPNSRecord } from "ipns";
import { base36 } from "multiformats/bases/base36";
import { base58btc } from "multiformats/bases/base58";
import { CID } from "multiformats/cid";
import { sha256 } from "multiformats/hashes/sha2";

const text = (string) => new TextEncoder().encode(string);
/** 1026 bytes without a repetition of 256: four leaves, and one of two bytes. */
const LONG = text(Array.from({ length: 600 }, (_, n) => n.toString(36)).join(" ")).subarray(0, 1026);

/** Blocks by CID, and what they are called. */
export class Fixtures {
  blocks = new Map();

  static async make() {
    const all = new Fixtures();
    const [ascii, hello, json, leaf] = await Promise.all(
      ["hello application/vnd.ipld.car\n", "hello world\n", '{"stream": "of", "n": [1, 2]}\n', "hello\n"].map((one) => all.file(text(one))),
    );
    all.bytes = { ascii: text("hello application/vnd.ipld.car\n"), json: text('{"stream": "of", "n": [1, 2]}\n') };
    const long = await all.file(LONG);
    all.json = json.cid;
    all.listing = (await all.directory({ ą: await all.directory({ ę: await all.directory({ "file-źł.txt": ascii }) }) })).cid;
    all.page = await all.directory({ "index.html": leaf });
    all.pages = (await all.directory({ root2: await all.directory({ root3: await all.directory({ root4: all.page }) }) })).cid;
    all.raw = (await all.directory({ dir: await all.directory({ "ascii.txt": ascii }) })).cid;
    all.simple = (await all.directory({ subdir: await all.directory({ "ascii.txt": ascii, "hello.txt": hello }) })).cid;
    all.mixed = (await all.directory({ subdir: await all.directory({ "ascii.txt": ascii, "hello.txt": hello, "multiblock.txt": long }) })).cid;
    all.twice = (await all.directory({ "ascii-copy.txt": ascii, "ascii.txt": ascii, "hello.txt": hello, "multiblock.txt": long })).cid;
    all.percent = (await all.directory({ "Portugal%2C+España=Peninsula Ibérica.txt": hello })).cid;
    all.links = (await all.directory({ foo: await all.file(text("content")), bar: await all.symlink("foo") })).cid;
    all.sharded = await all.shards();
    await all.withHole();
    await all.records();
    return all;
  }

  async put(cid, bytes) {
    this.blocks.set(cid.toString(), bytes);
    return cid;
  }

  /** As a blockstore that the importer writes to. */
  get store() {
    return { put: (cid, bytes) => this.put(cid, bytes) };
  }

  /** In leaves of 256 bytes. */
  async file(bytes, more = {}) {
    const { cid, size } = await importBytes(bytes, this.store, { cidVersion: 1, rawLeaves: true, chunker: fixedSize({ chunkSize: 256 }), ...more });
    return { cid, size: Number(size ?? bytes.length) };
  }

  async node(links, data, version = 1) {
    const bytes = dagPb.encode(dagPb.prepare({ Data: data, Links: links }));
    const hash = await sha256.digest(bytes);
    const cid = version === 0 ? CID.createV0(hash) : CID.createV1(dagPb.code, hash);
    return { cid: await this.put(cid, bytes), size: bytes.length };
  }

  directory(entries) {
    const links = Object.entries(entries).map(([Name, { cid, size }]) => ({ Name, Hash: cid, Tsize: size }));
    return this.node(links, Uint8Array.of(8, 1));
  }

  symlink(target) {
    return this.node([], Uint8Array.of(8, 4, 18, target.length, ...text(target)));
  }

  /** A thousand files in a directory over several blocks; some of several leaves. */
  async shards() {
    const files = Array.from({ length: 1000 }, (_, n) => ({ path: `${n}.txt`, content: n % 5 ? text(`file ${n}`) : text(`file ${n} `.repeat(60)) }));
    let root;
    const options = { cidVersion: 1, rawLeaves: true, wrapWithDirectory: true, shardSplitThresholdBytes: 1, chunker: fixedSize({ chunkSize: 256 }) };
    for await (const entry of importer(files, this.store, options)) root = entry.cid;
    if (!this.hamt(root).length) throw new Error("the importer wrote a plain directory");
    return root;
  }

  /** 3072 bytes in three leaves, each a node of version 0; nobody has the second. */
  async withHole() {
    const parts = ["a", "b", "c"].map((letter) => text(letter.repeat(1024)));
    const leaf = (bytes) => this.node([], Uint8Array.of(8, 2, 18, 128, 8, ...bytes, 24, 128, 8), 0);
    const leaves = await Promise.all(parts.map(leaf));
    const links = leaves.map(({ cid, size }) => ({ Name: "", Hash: cid, Tsize: size }));
    this.holed = (await this.node(links, Uint8Array.of(8, 2, 24, 128, 24, 32, 128, 8, 32, 128, 8, 32, 128, 8), 0)).cid;
    this.holedLeaves = leaves.map(({ cid }) => cid);
    this.blocks.delete(leaves[1].cid.toString());
  }

  async records() {
    this.names = {};
    const value = `/ipfs/${this.json}`;
    const record = async (name, path, change = () => {}, options = {}) => {
      const key = await generateKeyPair("Ed25519");
      const made = await createIPNSRecord(key, path, 1, 86_400_000, { v1Compatible: true, ttlNs: 1_800_000_000_000n, ...options });
      change(made);
      const text = key.publicKey.toCID().toString(base36);
      this.names[name] = { name: text, peer: key.publicKey.toString(), value: path, bytes: Buffer.from(marshalIPNSRecord(made)) };
    };
    await record("both", value);
    await record("v2", value, undefined, { v1Compatible: false });
    await record("brokenV1", value, (made) => made.signatureV1.fill(1));
    await record("brokenV2", value, (made) => made.signatureV2.fill(1));
    await record("pages", `/ipfs/${this.pages}`);
    await record("below", `/ipfs/${this.pages}/root2`);
    const hash = await sha256.digest(text("no key at all"));
    this.names.rsa = { peer: base58btc.encode(hash.bytes).slice(1), name: CID.createV1(0x72, hash).toString(base36) };
  }

  /** What a block links to: `{name, cid}`. */
  below(cid) {
    if (cid.code !== dagPb.code) return [];
    const bytes = this.blocks.get(cid.toString());
    return bytes ? dagPb.decode(bytes).Links.map(({ Name, Hash }) => ({ name: Name ?? "", cid: Hash })) : [];
  }

  /** The CID at a path, in plain directories. */
  at(root, ...names) {
    return names.reduce((cid, name) => this.below(cid).find((link) => link.name === name).cid, root);
  }

  /** All below a CID, in the order in which they are linked. */
  descendants(cid) {
    return this.below(cid).flatMap((link) => [link.cid, ...this.descendants(link.cid)]);
  }

  /** The blocks of a sharded directory below its first. */
  hamt(root) {
    const shards = this.below(root).filter(({ name }) => name.length === 2);
    return shards.flatMap(({ cid }) => [cid, ...this.hamt(cid)]);
  }

  /** The way to a name of a sharded directory, with what it names, found by looking everywhere. */
  hamtWay(root, name) {
    for (const link of this.below(root)) {
      if (link.name.slice(2) === name && link.name.length > 2) return [link.cid];
      const way = link.name.length === 2 && this.hamtWay(link.cid, name);
      if (way) return [link.cid, ...way];
    }
  }
}
