// Helia's bitswap on js-libp2p in Node, over TCP: an IPFS node of other people's making that holds nothing.

import "./node20.mjs";

/** `{want, dial, stop}`: `want(cid)` is the block's bytes, as soon as any connected peer has it. */
export async function helia() {
  const [{ createLibp2p }, { tcp }, { noise }, { yamux }, { identify }, { withBitswap }, { MemoryBlockstore }] = await Promise.all([
    import("libp2p"), import("@libp2p/tcp"), import("@chainsafe/libp2p-noise"), import("@chainsafe/libp2p-yamux"),
    import("@libp2p/identify"), import("@helia/bitswap"), import("blockstore-core"),
  ]);
  const { CID } = await import("multiformats/cid");
  const { sha256 } = await import("multiformats/hashes/sha2");
  const { defaultLogger } = await import("@libp2p/logger");
  const { multiaddr } = await import("@multiformats/multiaddr");
  const node = await createLibp2p({
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify() },
  });
  const nobody = { async *findProviders() {} };
  // What Helia hands to its parts; the rest of Helia brings bootstrap peers and routers along, and is not needed here.
  let bitswap;
  const parts = {
    status: "starting",
    libp2p: node,
    logger: defaultLogger(),
    blockstore: new MemoryBlockstore(),
    routing: nobody,
    getHasher: async () => sha256,
    hasBlockBroker: () => false,
    addBlockBroker: (broker) => {
      bitswap = broker;
    },
  };
  let mixin;
  withBitswap({ addMixin: (one) => { mixin = one; } });
  await mixin.start(parts);
  return {
    want: (cid, ms) => bitswap.retrieve(CID.parse(cid), { signal: AbortSignal.timeout(ms) }),
    dial: (address) => node.dial(multiaddr(address)),
    stop: async () => {
      await bitswap.stop();
      await node.stop();
    },
  };
}
