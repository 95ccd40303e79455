import assert from "node:assert/strict";
import { after, beforeEach, test } from "node:test";
import { always, Feed } from "./feed.ts";
import { browserWith, Socket } from "./test-socket.ts";
import { liveBase, socketUrl } from "./url.ts";

const page = { origin: "http://node:8080", pathname: "/s/caf%C3%A9 1".replace(" ", "%20") };
const url = socketUrl(`${liveBase(page.origin, "café 1")}announcements`);
after(browserWith({ location: page }));
beforeEach(() => {
  Socket.made = [];
  globalThis.meshliveEarly = undefined;
});

function feed(address: string) {
  const told: unknown[] = [];
  const made = new Feed<{ alias: string }>(always(address), {
    object: (object) => told.push(object.alias),
    envelope: (bytes) => told.push(bytes.length),
    connected: (up) => told.push(up),
  });
  return { made, told };
}

test("what was opened early is taken over once, with what came over it", async () => {
  await import("./early.ts");
  const [socket] = Socket.made;
  assert.ok(socket);
  assert.equal(socket.url, url, "the same address on both sides");
  socket.readyState = 1;
  socket.onmessage?.({ data: '{"alias":"café"}' });
  socket.onmessage?.({ data: new ArrayBuffer(7) });

  const { made, told } = feed(url);
  assert.deepEqual(told, [], "not before whoever made it has it");
  await Promise.resolve();
  assert.deepEqual(told, [true, "café", 7]);
  socket.onmessage?.({ data: new ArrayBuffer(9) });
  assert.equal(told.at(-1), 9);
  assert.equal(Socket.made.length, 1);
  made.close();
  feed(url).made.close();
  assert.equal(Socket.made.length, 2, "a second one opens its own");
});

test("an early socket that says more than anybody would is closed, and its page opens its own", async () => {
  // @ts-expect-error: the same script for another page
  await import("./early.ts?again");
  const [socket] = Socket.made;
  assert.ok(socket);
  socket.readyState = 1;
  for (let i = 0; i < 4; i += 1) socket.onmessage?.({ data: new ArrayBuffer((1 << 20) - 1) });
  assert.equal(socket.readyState, 1, "four megabytes are kept");
  socket.onmessage?.({ data: "" });
  assert.notEqual(socket.readyState, 1);
  feed(url).made.close();
  assert.equal(Socket.made.length, 2);
});

test("one that is closed, or goes elsewhere, is left alone", () => {
  for (const [address, readyState] of [
    [url, 3],
    ["ws://other/live/x/announcements", 1],
  ] as const) {
    const socket = new Socket(url);
    socket.readyState = readyState;
    globalThis.meshliveEarly = { socket: socket as unknown as WebSocket, messages: [] };
    const { made } = feed(address);
    assert.equal(Socket.made.at(-1)?.url, address);
    assert.notEqual(Socket.made.at(-1), socket);
    made.close();
  }
});
