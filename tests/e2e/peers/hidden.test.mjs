// A tab behind another one keeps receiving and sharing; the peer never holds up the page's main thread.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { sleep } from "../gateway.mjs";
import { Tab, chromium } from "./tabs.mjs";
import { between, during, gatewayOfFilm, seconds, told } from "./viewers.mjs";

/** A task longer than this is felt (and what browsers call a long task). */
const LONG_MS = 50;

let browsers;
let gateway;
before(async () => {
  [gateway, ...browsers] = await Promise.all([gatewayOfFilm(), chromium(), chromium()]);
});
after(async () => {
  await Promise.all((browsers ?? []).map((browser) => browser.close()));
  await gateway?.dispose();
});

/** Two tabs that watch, the first of them behind an empty one. */
async function tabs(sharing) {
  const hidden = await Tab.open(browsers[0], gateway, { sharing });
  const front = await Tab.open(browsers[1], gateway, { sharing });
  const cover = await browsers[0].newPage();
  await cover.bringToFront();
  assert.equal(await hidden.page.evaluate(() => document.visibilityState), "hidden");
  await sleep(10_000);
  const close = async () => {
    await hidden.finish();
    await front.finish();
    await cover.close();
  };
  return { hidden, front, close };
}

test("a hidden tab receives, and gives as much as one in front", async () => {
  const { hidden, front, close } = await tabs(true);
  const seen = await during(gateway, [hidden, front], seconds(15));
  await close();
  for (const viewer of seen.viewers) {
    between(viewer.fromPeers + viewer.fromGateway, 0.9, 1.1, "copies received", seen);
    between(viewer.uploaded, 0.35, 0.65, "copies uploaded", seen);
    assert.equal(viewer.stalls, 0, told(seen));
  }
});

test("with sharing off a hidden tab receives over HTTP and gives nothing", async () => {
  const { hidden, front, close } = await tabs(false);
  const seen = await during(gateway, [hidden, front], seconds(10));
  await close();
  for (const viewer of seen.viewers) {
    between(viewer.fromGateway, 0.85, 1.15, "copies received", seen);
    assert.deepEqual([viewer.fromPeers, viewer.uploaded], [0, 0], told(seen));
  }
});

/** Long tasks of the main thread while `act` goes on, each with how much of it was spent in WebAssembly: `[{ms, wasmMs}]`. */
async function longTasks(page, act) {
  const session = await page.createCDPSession();
  await session.send("Profiler.enable");
  await session.send("Profiler.setSamplingInterval", { interval: 1000 });
  await page.evaluate(() => {
    window.longTasks = [];
    window.longTaskObserver = new PerformanceObserver((list) => {
      for (const { startTime, duration } of list.getEntries()) window.longTasks.push({ startTime, duration });
    });
    window.longTaskObserver.observe({ entryTypes: ["longtask"] });
  });
  await session.send("Profiler.start");
  await act();
  const { profile } = await session.send("Profiler.stop");
  // Both clocks are the machine's monotonic one; performance.now() is 0 at the page's navigation.
  const { startMicros, tasks } = await page.evaluate(async (late) => {
    await new Promise((resolve) => setTimeout(resolve, late)); // entries come some time after their task
    window.longTaskObserver.disconnect();
    return { startMicros: performance.timeOrigin, tasks: window.longTasks };
  }, 500);
  const { metrics } = await session.send("Performance.enable").then(() => session.send("Performance.getMetrics"));
  await session.detach();
  const navigation = metrics.find(({ name }) => name === "NavigationStart").value * 1e6;
  assert.ok(navigation > 0 && startMicros > 0);
  return tasks.map(({ startTime, duration }) => {
    const [from, to] = [navigation + startTime * 1000, navigation + (startTime + duration) * 1000];
    return { ms: duration, wasmMs: wasmMicros(profile, from, to) / 1000 };
  });
}

/** Microseconds between two times in which WebAssembly was on the stack. */
function wasmMicros(profile, from, to) {
  const parents = new Map();
  const inWasm = new Set();
  for (const { id, children = [] } of profile.nodes) for (const child of children) parents.set(child, id);
  for (const { id, callFrame } of profile.nodes) if (callFrame.url.startsWith("wasm://") || callFrame.url.endsWith(".wasm")) inWasm.add(id);
  const isWasm = (id) => id !== undefined && (inWasm.has(id) || isWasm(parents.get(id)));
  let [now, micros] = [profile.startTime, 0];
  profile.samples.forEach((id, at) => {
    const since = now;
    now += profile.timeDeltas[at];
    if (since >= from && now <= to && isWasm(id)) micros += now - since;
  });
  return micros;
}

/** WebAssembly that counts to `n`: (func (param i32) (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))) */
const COUNT = [
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 1, 127, 0, 3, 2, 1, 0, 7, 5, 1, 1, 99, 0, 0],
  ...[10, 16, 1, 14, 0, 3, 64, 32, 0, 65, 1, 107, 34, 0, 13, 0, 11, 11],
];

test("in steady state the peer causes no task over 50 ms; WebAssembly that does is found out", async () => {
  const { front, close } = await tabs(true);
  const steady = await longTasks(front.page, seconds(15));
  const busy = await longTasks(front.page, () =>
    front.page.evaluate(async (bytes) => {
      const { instance } = await WebAssembly.instantiate(new Uint8Array(bytes));
      for (let n = 1 << 24, since = performance.now(); performance.now() - since < 200; n *= 2) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        since = performance.now();
        instance.exports.c(n);
      }
    }, COUNT),
  );
  await close();
  const text = JSON.stringify({ steady, busy });
  assert.ok(busy.some(({ wasmMs }) => wasmMs > LONG_MS), `the twin was not seen: ${text}`);
  assert.ok(!steady.some(({ wasmMs }) => wasmMs > LONG_MS), `the peer holds up the page: ${text}`);
});
