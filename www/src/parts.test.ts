import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { HttpParts, PartError } from "./parts.ts";
import { Counters } from "./stats.ts";

const GOOD = new Uint8Array([1, 2, 3, 4]);
const servers: ReturnType<typeof createServer>[] = [];
after(() => {
  for (const server of servers) server.close().closeAllConnections();
});

/** A gateway that answers as told, and a source that asks it; `verify` is true for GOOD only. */
async function gateway(listener: RequestListener) {
  const server = createServer(listener).listen(0, "127.0.0.1");
  servers.push(server);
  await new Promise((resolve) => server.once("listening", resolve));
  const counters = new Counters(0);
  const same = (_: string, bytes: Uint8Array) => Buffer.compare(bytes, GOOD) === 0;
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/part`;
  const wanted = { cid: "good", size: GOOD.length, url, isPart: true };
  const parts = new HttpParts(same, counters, 200);
  const ask = (signal = AbortSignal.timeout(5000)) => parts.part(wanted, 0, signal);
  return { ask, stats: () => counters.read(0, null, []) };
}

test("verified bytes are given and counted", async () => {
  const { ask, stats } = await gateway((_, response) => response.end(GOOD));
  assert.deepEqual(await ask(), GOOD);
  assert.equal(stats().partsFromGateway, 1);
  assert.equal(stats().bytesFromGateway, GOOD.length);
});

test("a gateway that falls silent, before its answer or within, is asked again", async () => {
  let asked = 0;
  const { ask, stats } = await gateway((_, response) => {
    asked += 1;
    if (asked === 2) response.write(GOOD.subarray(0, 2));
    if (asked === 3) response.end(GOOD);
  });
  assert.deepEqual(await ask(), GOOD);
  assert.equal(asked, 3);
  assert.equal(stats().partsRejected, 0);
});

test("wrong bytes are rejected, counted and asked for once more", async () => {
  let asked = 0;
  const { ask, stats } = await gateway((_, response) => {
    asked += 1;
    response.end(asked === 1 ? new Uint8Array([9, 9, 9, 9]) : GOOD);
  });
  assert.deepEqual(await ask(), GOOD);
  assert.equal(stats().partsRejected, 1);
  assert.equal(stats().bytesFromGateway, GOOD.length);
});

test("wrong twice is an error, and nothing of it is counted as received", async () => {
  const { ask, stats } = await gateway((_, response) => response.end(new Uint8Array([9])));
  await assert.rejects(ask(), (error) => error instanceof PartError && error.code === 0);
  assert.equal(stats().partsRejected, 2);
  assert.equal(stats().bytesFromGateway, 0);
});

test("a body without end is read no further than the part is long", async () => {
  const { ask, stats } = await gateway((_, response) => {
    const more = () => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536)));
    };
    response.on("drain", more);
    more();
  });
  await assert.rejects(ask(), PartError);
  assert.equal(stats().partsRejected, 2);
});

test("a part that is gone is an error at once", async () => {
  const { ask } = await gateway((_, response) => response.writeHead(404).end());
  await assert.rejects(ask(), (error) => error instanceof PartError && error.code === 404);
});

test("a gateway that is starting again is waited for", async () => {
  let asked = 0;
  const { ask } = await gateway((request, response) => {
    asked += 1;
    if (asked === 1) request.socket.destroy();
    else if (asked === 2) response.writeHead(503).end();
    else response.end(GOOD);
  });
  assert.deepEqual(await ask(), GOOD);
});

test("whoever asked can stop the wait", async () => {
  const { ask } = await gateway((request) => request.socket.destroy());
  await assert.rejects(ask(AbortSignal.timeout(50)));
});
