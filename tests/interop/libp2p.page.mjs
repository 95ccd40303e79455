// The page of libp2p.test.mjs: a js-libp2p peer, bundled by esbuild. It never asks a foreign STUN server.

import { noise } from "@chainsafe/libp2p-noise";
import { yamux } from "@chainsafe/libp2p-yamux";
import { circuitRelayTransport } from "@libp2p/circuit-relay-v2";
import { identify } from "@libp2p/identify";
import { ping } from "@libp2p/ping";
import { webRTC, webRTCDirect } from "@libp2p/webrtc";
import { webSockets } from "@libp2p/websockets";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";

const ECHO = "/meshlive-trial/echo/1";

const signal = () => AbortSignal.timeout(20_000);
let node;

/** Starts the peer; with a `relay` it listens there. Its WebRTC address, or its id. */
window.start = async (relay) => {
  node = await createLibp2p({
    addresses: { listen: relay ? ["/p2p-circuit", "/webrtc"] : [] },
    transports: [
      webSockets(),
      webRTC({ rtcConfiguration: { iceServers: [] } }),
      webRTCDirect({ rtcConfiguration: { iceServers: [] } }),
      circuitRelayTransport(),
    ],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false }, // the browser's default refuses addresses of this host
    services: { identify: identify(), ping: ping() },
  });
  await node.handle(ECHO, async (stream) => {
    for await (const bytes of stream) if (!stream.send(bytes)) await stream.onDrain();
    await stream.close();
  });
  if (!relay) return node.peerId.toString();
  await node.dial(multiaddr(relay), { signal: signal() });
  for (let tries = 0; tries < 200; tries += 1) {
    const address = node.getMultiaddrs().map(String).find((one) => one.includes("/webrtc/"));
    if (address) return address;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("no reservation at the relay");
};

/** Dials; what the connection is, and what identify and ping say of the other side. */
window.dial = async (address) => {
  const connection = await node.dial(multiaddr(address), { signal: signal() });
  const rtt = await node.services.ping.ping(connection.remotePeer, { signal: signal() });
  return { rtt, direct: connection.direct, limited: connection.limits !== undefined, ...(await identified(connection.remotePeer)) };
};

/** What an identify over the relayed connection to this peer fails with. */
window.identifyRelayed = async (peer) => {
  const [relayed] = node.getConnections().filter((one) => String(one.remotePeer) === peer && one.limits);
  try {
    return await node.services.identify.identify(relayed);
  } catch (error) {
    return error.name;
  }
};

/** What identify says of a peer that connected by itself. */
window.identified = (peer) => identified(node.getConnections().find((one) => String(one.remotePeer) === peer).remotePeer);

window.connections = () => node.getConnections().map((one) => String(one.remoteAddr));

async function identified(peer) {
  for (let tries = 0; tries < 100; tries += 1) {
    const { metadata, protocols } = await node.peerStore.get(peer);
    const agent = metadata.get("AgentVersion");
    if (agent) return { agent: new TextDecoder().decode(agent), protocols };
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("identify said nothing");
}

/** Sends so many bytes, ends its half, reads until the other side ends his: whether the same came back. */
window.echo = async (peer, bytes) => {
  const [connection] = node.getConnections().filter((one) => String(one.remotePeer) === peer && !one.limits);
  const stream = await connection.newStream(ECHO, { signal: signal() });
  const sent = Uint8Array.from({ length: bytes }, (_, at) => at * 7 + (at >> 8));
  const write = (async () => {
    for (let at = 0; at < bytes; at += 60_000) {
      if (!stream.send(sent.subarray(at, at + 60_000))) await stream.onDrain({ signal: signal() });
    }
    await stream.close({ signal: signal() });
  })();
  let received = 0;
  let same = true;
  for await (const part of stream) {
    for (const byte of part.subarray()) {
      same &&= byte === sent[received];
      received += 1;
    }
  }
  await write;
  return same && received === bytes;
};
