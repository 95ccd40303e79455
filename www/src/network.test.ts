import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { Network } from "./network.ts";

const closing: (() => void)[] = [];
after(() => {
  for (const close of closing) close();
});

/** A gateway, what it was asked, and a peer that keeps what it is told. */
async function gateway(
  listener: RequestListener = (_, response) => response.end("here"),
  { sharing = true, beginAfterMs = 60_000 } = {},
) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? "");
    listener(request, response);
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const told: (string | number)[] = [];
  const peer = {
    connect: (answer: string) => {
      if (answer === "nonsense") throw new Error("nonsense");
      told.push(answer);
    },
    meet: () => void told.push("meets"),
    disconnect: () => void told.push("left"),
    upload: (bytes: number) => void told.push(bytes > 0 ? "shares" : "keeps"),
  };
  const network = new Network(origin, sharing, beginAfterMs);
  closing.push(() => {
    network.close();
    server.close().closeAllConnections();
  });
  const until = async (what: () => boolean) => {
    for (let waited = 0; waited < 3000 && !what(); waited += 5) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.ok(what(), JSON.stringify({ asked, told }));
  };
  return { network, peer, origin, asked, told, until };
}

const shortly = () => new Promise((resolve) => setTimeout(resolve, 100));

test("the way to the gateway is asked once and taken at once; others are met when there is media, not before", async () => {
  const { network, peer, asked, told, until } = await gateway();
  network.peer = peer;
  await until(() => told.includes("here"));
  await shortly();
  assert.deepEqual(told, ["shares", "here"]);
  network.begin();
  network.begin();
  assert.deepEqual([asked, told], [["/api/v1/peer"], ["shares", "here", "meets"]]);
});

test("the way to the gateway is asked before there is a peer, and not again when the gateway is heard or the peer is there", async () => {
  const { network, peer, origin, asked, told, until } = await gateway();
  await until(() => asked.length === 1);
  network.renew(origin);
  await shortly();
  network.peer = peer;
  assert.deepEqual(told, ["shares", "here"], "at once");
  await shortly();
  assert.deepEqual(asked, ["/api/v1/peer"]);
});

test("what failed before there was a peer is asked again as soon as the gateway is heard", async () => {
  let tries = 0;
  const { network, peer, origin, asked, until, told } = await gateway((request, response) => {
    tries += 1;
    if (tries === 1) request.socket.destroy();
    else response.end("here");
  });
  await until(() => asked.length === 1);
  await shortly();
  network.renew(origin);
  await until(() => asked.length === 2);
  network.peer = peer;
  await until(() => told.includes("here"));
});

test("a peer that takes another's place meets others at once where that did", async () => {
  const { network, peer, told } = await gateway();
  network.begin();
  assert.deepEqual(told, []);
  network.peer = peer;
  assert.deepEqual(told, ["shares", "meets"]);
});

test("without media others are met after a while", async () => {
  const { network, peer, told, until } = await gateway(undefined, { beginAfterMs: 50 });
  network.peer = peer;
  await until(() => told.includes("meets"));
});

test("what takes long to answer is waited for", async () => {
  const { network, peer, told, until } = await gateway((_, response) => {
    setTimeout(() => response.end("here"), 50);
  });
  network.peer = peer;
  network.begin();
  await until(() => told.includes("here"));
});

test("a player that was closed joins nobody", async () => {
  const { network, peer, asked, told, until } = await gateway((_, response) => {
    setTimeout(() => response.end("here"), 50);
  });
  network.peer = peer;
  await until(() => asked.length === 1);
  network.close();
  network.begin();
  await shortly();
  assert.deepEqual(told, ["shares"]);
});

test("a gateway without such a network is asked once", async () => {
  const { network, peer, asked, told } = await gateway((_, response) => response.writeHead(404).end());
  network.peer = peer;
  network.begin();
  await shortly();
  await shortly();
  assert.deepEqual([asked.length, told], [1, ["shares", "meets"]]);
});

test("a gateway that is away or starting is asked again", async () => {
  let tries = 0;
  const { network, peer, told, until } = await gateway((request, response) => {
    tries += 1;
    if (tries === 1) request.socket.destroy();
    else if (tries === 2) response.writeHead(503).end();
    else response.end("here");
  });
  network.peer = peer;
  network.begin();
  await until(() => told.includes("here"));
  assert.equal(tries, 3);
});

test("back again, the gateway is asked again; only what is new is told", async () => {
  let answer = "here";
  const { network, peer, origin, asked, told, until } = await gateway((_, response) => response.end(answer));
  network.peer = peer;
  network.begin();
  await until(() => told.includes("here"));
  network.renew(origin);
  await until(() => asked.length === 2);
  await shortly();
  answer = "there";
  network.renew(origin);
  await until(() => told.includes("there"));
  assert.deepEqual(told, ["shares", "meets", "here", "there"]);
});

test("at another gateway that one is asked", async () => {
  const { network, peer, told, until } = await gateway();
  const { origin } = await gateway((_, response) => response.end("elsewhere"));
  network.peer = peer;
  network.begin();
  await until(() => told.includes("here"));
  network.renew(origin);
  await until(() => told.includes("elsewhere"));
});

test("an answer that makes no sense changes nothing", async () => {
  const { network, peer, asked, told, until } = await gateway((_, response) => response.end("nonsense"));
  network.peer = peer;
  network.begin();
  await until(() => asked.length === 1);
  await shortly();
  assert.deepEqual(told, ["shares", "meets"]);
});

test("with sharing off nobody is asked; switched on it joins, switched off it leaves", async () => {
  const { network, peer, asked, told, until } = await gateway(undefined, { sharing: false });
  network.peer = peer;
  network.begin();
  await shortly();
  assert.deepEqual([asked, told], [[], ["keeps", "meets"]]);
  network.sharing = true;
  await until(() => told.includes("here"));
  network.sharing = false;
  await shortly();
  assert.deepEqual(told, ["keeps", "meets", "shares", "here", "keeps", "left"]);
});

test("another peer joins in place of the one before", async () => {
  const { network, peer, told, until } = await gateway();
  network.peer = peer;
  network.begin();
  await until(() => told.includes("here"));
  const other: string[] = [];
  network.peer = { ...peer, connect: (answer) => void other.push(answer) };
  await until(() => other.length === 1);
});
