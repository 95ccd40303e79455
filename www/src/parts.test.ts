import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { type Engine, HttpParts, PartError, PeerParts, type Place } from "./parts.ts";
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
  const wanted = { cid: "good", size: GOOD.length, url, place: null };
  const http = new HttpParts(same, counters, 200);
  const ask = (signal = AbortSignal.timeout(5000)) => http.part(wanted, signal);
  return { ask, http, base: new URL("/", url).href, stats: () => counters.read(0, null, null) };
}

test("verified bytes are given and counted", async () => {
  const { ask, stats } = await gateway((_, response) => response.end(GOOD));
  assert.deepEqual(await ask(), GOOD);
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

const PLACE: Place = { rendition: "source", msn: 7, part: 2 };
const WANTED = { cid: "good", size: GOOD.length, url: "/source/7.2.m4s", place: PLACE };
const never = new AbortController().signal;

/** An engine that writes down what it is told, and has what `held` says. */
class Wishes implements Engine {
  demanded: [Place, number][] = [];
  answers: [string, Uint8Array | undefined, boolean][] = [];
  held = new Map<string, Uint8Array>();
  heard: () => void = () => {};
  locatePart(_: string, msn: number): { cid: string; size: number } | undefined {
    return msn === PLACE.msn ? { cid: "good", size: GOOD.length } : undefined;
  }
  demand(place: Place, first: number): string | undefined {
    this.demanded.push([place, first]);
    return place.rendition === "source" ? "key" : undefined;
  }
  part(key: string): Uint8Array<ArrayBuffer> | undefined {
    const held = this.held.get(key);
    return held && new Uint8Array(held);
  }
  fetched(key: string, bytes: Uint8Array | undefined, tookMs: number): void {
    this.answers.push([key, bytes, tookMs > 0]);
    this.heard();
  }
  answered(): Promise<void> {
    return new Promise((resolve) => {
      this.heard = resolve;
    });
  }
}

/** No init segment is asked for. */
const neverAsked = { part: () => Promise.reject(new Error("not asked")) };

async function swarm(listener: RequestListener = (_, response) => response.end(GOOD)) {
  const { http, base, stats } = await gateway(listener);
  const engine = new Wishes();
  return { engine, parts: new PeerParts(engine, http, base), base, stats };
}

test("a part is demanded of the engine, and given to all who wait, each a copy of its own", async () => {
  const { engine, parts } = await swarm();
  const both = [parts.part(WANTED, never), parts.part({ ...WANTED, first: 0 }, never)];
  engine.held.set("key", GOOD);
  parts.ready("key");
  const [first, second] = await Promise.all(both);
  assert.deepEqual(first, GOOD);
  assert.deepEqual(second, GOOD);
  assert.notEqual(first?.buffer, second?.buffer);
  assert.deepEqual(engine.demanded, [
    [PLACE, PLACE.part],
    [PLACE, 0],
  ]);
});

test("a part that nobody waits for is nobody's", async () => {
  const { engine, parts } = await swarm();
  engine.held.set("other", GOOD);
  parts.ready("other");
  const waiting = parts.part(WANTED, never);
  parts.gone("other");
  assert.equal(
    await Promise.race([waiting, new Promise((resolve) => setTimeout(resolve, 5, "not yet"))]),
    "not yet",
  );
  parts.gone("key");
  await assert.rejects(waiting, (error) => error instanceof PartError && error.code === 404);
});

test("no rendition, no demand; whoever aborts no longer waits", async () => {
  const { engine, parts } = await swarm();
  const nowhere = { ...WANTED, place: { ...PLACE, rendition: "none" } };
  await assert.rejects(
    parts.part(nowhere, never),
    (error) => error instanceof PartError && error.code === 404,
  );
  const abort = new AbortController();
  const waiting = parts.part(WANTED, abort.signal);
  abort.abort();
  await assert.rejects(waiting);
  engine.held.set("key", GOOD);
  parts.ready("key");
  await assert.rejects(parts.part(WANTED, abort.signal));
  assert.equal(engine.demanded.length, 2, "nothing is demanded for who is gone already");
});

test("what the engine wants over HTTP comes from the part's own address, and is counted by the engine alone", async () => {
  const asked: string[] = [];
  const { engine, parts, stats } = await swarm((request, response) => {
    asked.push(request.url ?? "");
    response.end(GOOD);
  });
  const answered = engine.answered();
  parts.fetch("key", PLACE);
  await answered;
  assert.deepEqual(asked, ["/source/7.2.m4s"]);
  assert.deepEqual(engine.answers, [["key", GOOD, true]]);
  assert.equal(stats().bytesFromGateway, 0);
});

test("what the gateway does not give the engine hears at once", async () => {
  const missing = await swarm((_, response) => response.writeHead(404).end());
  const starting = await swarm((_, response) => response.writeHead(503).end());
  const away = await swarm((request) => request.socket.destroy());
  for (const { engine, parts } of [missing, starting, away]) {
    const answered = engine.answered();
    parts.fetch("key", PLACE);
    await answered;
    assert.deepEqual(engine.answers, [["key", undefined, true]]);
  }
  const { engine, parts } = await swarm();
  parts.fetch("key", { ...PLACE, msn: 8 });
  assert.deepEqual(engine.answers, [["key", undefined, false]], "not announced: not asked for");
});

test("whatever came the engine judges; what it did not take is asked for past the browser's cache", async () => {
  const wanted: (string | undefined)[] = [];
  const { engine, parts, stats } = await swarm((request, response) => {
    wanted.push(request.headers["cache-control"]);
    response.end(new Uint8Array(9));
  });
  for (const ready of [false, true, false]) {
    const answered = engine.answered();
    parts.fetch("key", PLACE);
    await answered;
    if (ready) parts.ready("key");
  }
  assert.deepEqual(wanted, [undefined, "no-cache", undefined]);
  assert.deepEqual(engine.answers[0], ["key", new Uint8Array(GOOD.length + 1), true], "one byte too many");
  assert.equal(stats().partsRejected, 0);
});

test("a fetch that is aborted ends, and says nothing any more", async () => {
  let closed = 0;
  const { engine, parts } = await swarm((request) => {
    request.socket.on("close", () => {
      closed += 1;
    });
    if (closed === 0) parts.abort("key");
  });
  parts.fetch("key", PLACE);
  while (closed === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(engine.answers, []);
});

test("what is under way when the viewer moves is asked for at the other gateway, whether the first is gone or hangs", async () => {
  for (const hangs of [true, false]) {
    const first = await swarm((request) => {
      if (!hangs) request.socket.destroy();
      setTimeout(move, 30);
    });
    const second = await swarm();
    const doors = {
      hasOthers: true,
      at: first.base,
      door: (url: string) => url.replace(first.base, doors.at),
      beside: () => null,
    };
    const engine = first.engine;
    const parts = new PeerParts(engine, neverAsked, first.base, doors);
    const move = () => {
      doors.at = second.base;
      parts.moved();
    };
    const answered = engine.answered();
    parts.fetch("key", PLACE);
    await answered;
    assert.deepEqual(engine.answers, [["key", GOOD, true]], hangs ? "it hangs" : "it is gone");
  }
});

test("where the viewer stays, what the gateway does not give is soon told so", async () => {
  const { engine, base } = await swarm((request) => request.socket.destroy());
  const stays = { hasOthers: true, door: (url: string) => url, beside: () => null };
  const parts = new PeerParts(engine, neverAsked, base, stays);
  const answered = engine.answered();
  parts.fetch("key", PLACE);
  await answered;
  assert.deepEqual(engine.answers, [["key", undefined, true]]);
});

test("what the gateway lacks, or breaks off, is asked of another one beside it, once", async () => {
  const lacks: RequestListener[] = [
    (_, response) => response.writeHead(404).end(),
    (_, response) => response.writeHead(200, { "content-length": 4 }).write("x", () => response.destroy()),
  ];
  for (const [at, listener] of lacks.entries()) {
    const first = await swarm(listener);
    const asked: string[] = [];
    const second = await swarm((request, response) => {
      asked.push(request.url ?? "");
      if (at === 0) response.end(GOOD);
      else response.writeHead(404).end();
    });
    const beside = (url: string) => url.replace(first.base, second.base);
    const parts = new PeerParts(first.engine, neverAsked, first.base, {
      hasOthers: true,
      door: (url) => url,
      beside,
    });
    const answered = first.engine.answered();
    parts.fetch("key", PLACE);
    await answered;
    assert.deepEqual(asked, ["/source/7.2.m4s"]);
    assert.deepEqual(first.engine.answers, [["key", at === 0 ? GOOD : undefined, true]]);
  }
});

test("init segments come over HTTP, and count as the gateway's", async () => {
  const { engine, parts, base, stats } = await swarm();
  const init = { cid: "good", size: GOOD.length, url: `${base}source/init-0.mp4`, place: null };
  assert.deepEqual(await parts.part(init, never), GOOD);
  assert.deepEqual(engine.demanded, []);
  assert.deepEqual([stats().bytesFromGateway, stats().partsFromGateway], [GOOD.length, 0]);
});

test("closing ends what is under way and whoever waits", async () => {
  const { engine, parts } = await swarm((_, response) => {
    response.flushHeaders();
    parts.close();
  });
  const waiting = parts.part(WANTED, never);
  parts.fetch("key", PLACE);
  await assert.rejects(waiting, PartError);
  assert.deepEqual(engine.answers, []);
});
