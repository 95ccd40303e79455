import assert from "node:assert/strict";
import { after, before, beforeEach, type TestContext, test } from "node:test";
import { Follow } from "./follow.ts";
import { Gateways } from "./gateways.ts";
import { bytes, loadPeerFromDisk, NAME } from "./golden.ts";
import { Counters } from "./stats.ts";
import { browserWith, Socket } from "./test-socket.ts";

before(loadPeerFromDisk);
after(browserWith());
beforeEach(() => {
  Socket.made = [];
});

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const soon = () => sleep(20);
const nothing = () => {};

/** The socket that was opened so-many-th, which is to this gateway. */
function socketTo(gateway: string, number: number): Socket {
  const socket = Socket.made[number];
  assert.ok(socket, `${gateway} is asked`);
  assert.ok(socket.url.startsWith(`ws://${gateway}:8080/`), socket.url);
  return socket;
}

/** What a gateway says to who comes: the stream, and all it knows of it. */
function tells(socket: Socket): void {
  socket.readyState = Socket.OPEN;
  socket.onopen?.();
  socket.onmessage?.({ data: JSON.stringify({ stream: NAME, alias: "cam", live: true }) });
  socket.onmessage?.({ data: bytes("manifest").buffer });
}

/** It answers what was asked first. */
function answers(socket: Socket): void {
  const { t0 } = JSON.parse(socket.sent[0] ?? "") as { t0: number };
  socket.onmessage?.({ data: JSON.stringify({ t0, clock: 1 }) });
}

/** Follows the golden stream as long as the test runs; `news` hears whether it is up to date with each. */
async function followed(
  context: TestContext,
  news: (isUpToDate: boolean) => void = nothing,
): Promise<Follow> {
  const gateways = new Gateways("http://node:8080", NAME, false);
  const follow: Follow = new Follow(gateways, NAME, new Counters(0), {
    told: nothing,
    met: nothing,
    news: () => news(follow.isUpToDate),
    narrowed: nothing,
    anew: nothing,
    moved: nothing,
    returns: () => true,
    impostor: nothing,
  });
  context.after(() => follow.close());
  follow.compiled();
  // No socket opens at once.
  await soon();
  return follow;
}

test("a window may be old until all behind it has been told, also by the next gateway", async (context) => {
  const news: boolean[] = [];
  const follow = await followed(context, (isUpToDate) => news.push(isUpToDate));
  const first = socketTo("node", 0);
  tells(first);
  await soon();
  assert.ok(follow.peer?.latest(), "there is something that could be shown");
  assert.deepEqual(news, [false]);
  answers(first);
  assert.deepEqual(news, [false, true], "who waited for that hears of it");
  answers(first);
  assert.equal(news.length, 2, "once");

  // A gateway that is gone takes nothing away; the one that is there next begins from the start.
  follow.gateways.told(["http://other:8080"]);
  first.onclose?.();
  assert.equal(follow.isUpToDate, true);
  await soon();
  const next = socketTo("other", 1);
  tells(next);
  assert.equal(follow.isUpToDate, false);
  answers(next);
  assert.equal(follow.isUpToDate, true);
});

test("while all is silent another gateway is listened to, also after a third one that is not there", async (context) => {
  const follow = await followed(context);
  const first = socketTo("node", 0);
  tells(first);
  answers(first);
  follow.gateways.told(["http://other:8080"]);
  await sleep(1_500);
  const other = socketTo("other", 1);
  tells(other);
  follow.gateways.told(["http://third:8080"]);
  await sleep(3_500);
  const third = socketTo("third", 2);
  assert.equal(other.readyState, 3, "one beside is enough");
  third.onclose?.();
  assert.equal(socketTo("other", 3).readyState, 0);
});
