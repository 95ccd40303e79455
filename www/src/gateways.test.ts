import assert from "node:assert/strict";
import { test } from "node:test";
import { Gateways } from "./gateways.ts";

const HOME = "http://10.0.0.1:8080";
const other = (n: number) => `http://10.0.0.${n}:8080`;

function known({ secure = false, home = HOME, name = true } = {}): Gateways {
  const gateways = new Gateways(home, "cam", secure, () => 0.5);
  if (name) gateways.name = "k51name";
  return gateways;
}

test("alone it stays where it is, and waits longer each time", () => {
  const gateways = known();
  assert.deepEqual([gateways.hasOthers, gateways.other(0)], [false, null]);
  assert.deepEqual(
    [0, 1000, 2000].map((at) => gateways.leave(at)),
    [187.5, 375, 750],
  );
  assert.equal(gateways.at, HOME);
  gateways.well(HOME);
  assert.equal(gateways.leave(9000), 187.5);
});

test("it goes to another at once, where the stream has its own name, and everything is asked there", () => {
  const gateways = known();
  gateways.told([other(2)]);
  const url = `${HOME}/live/cam/source/7.3.m4s`;
  assert.equal(gateways.door(url), url);
  assert.equal(gateways.leave(0), 0);
  assert.equal(gateways.at, other(2));
  assert.equal(gateways.door(url), `${other(2)}/live/k51name/source/7.3.m4s`);
  assert.equal(gateways.door("http://elsewhere/x"), "http://elsewhere/x");
  assert.deepEqual([gateways.isHome, gateways.home], [false, HOME]);
  assert.deepEqual(
    [0, 1_000].map((at) => gateways.beside(url, at)),
    [null, url],
    "home is tried again, and known there by the name that was asked for",
  );
  assert.equal(gateways.beside("http://elsewhere/x", 1_000), null);
  // That one is gone, too: the first is worth trying again before it.
  assert.equal(gateways.leave(10), 177.5);
  assert.deepEqual([gateways.at, gateways.isHome], [HOME, true]);
});

test("before the stream's own name is known there is nowhere to go", () => {
  const gateways = known({ name: false });
  gateways.told([other(2)]);
  assert.equal(gateways.leave(0), 187.5);
  assert.equal(gateways.at, HOME);
});

test("who failed is left alone for a while", () => {
  const gateways = known();
  gateways.told([other(2), other(3)]);
  assert.equal(gateways.other(0, other(2)), other(3), "nor one that is asked already");
  gateways.failed(other(2), 0);
  assert.equal(gateways.other(0), other(3));
  gateways.failed(other(3), 0);
  assert.equal(gateways.other(0), null);
  assert.notEqual(gateways.other(200), null);
});

test("a page on https asks none that is not", () => {
  const gateways = known({ secure: true, home: "https://tv.mesh" });
  gateways.told([other(2), "https://b.mesh/"]);
  gateways.leave(0);
  assert.equal(gateways.at, "https://b.mesh");
  gateways.leave(1);
  assert.equal(gateways.at, "https://tv.mesh");
});

test("what is no gateway is not taken, and of more than the limit the oldest are forgotten", () => {
  const gateways = known();
  for (const nonsense of [
    undefined,
    7,
    "x",
    {},
    ["javascript:alert(1)", 5, null, "ftp://x", `http://${"x".repeat(300)}`],
  ]) {
    gateways.told(nonsense);
  }
  assert.equal(gateways.hasOthers, false);
  for (let n = 2; n < 100; n += 1) gateways.told([other(n)]);
  const seen = new Set<string>();
  for (let tries = 0; tries < 50; tries += 1) {
    const next = gateways.other(0);
    if (next === null) break;
    seen.add(next);
    gateways.failed(next, 0);
  }
  assert.deepEqual([...seen].sort(), [92, 93, 94, 95, 96, 97, 98, 99].map(other).sort());
});
