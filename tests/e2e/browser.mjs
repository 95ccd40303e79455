// Chromium, and pages in it that fail the test on any console error or uncaught exception.

import assert from "node:assert/strict";
import { accessSync, constants, mkdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { delimiter, join } from "node:path";
import { after, before } from "node:test";
import { chromium } from "playwright-core";
import { Gateway, out } from "./gateway.mjs";

export const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--autoplay-policy=no-user-gesture-required",
  // Four tabs play at once; none of them may count as hidden.
  "--disable-backgrounding-occluded-windows",
  "--disable-renderer-backgrounding",
  "--disable-background-timer-throttling",
];
/** Whatever asks for another host than this one fails, and is seen. On the mesh of peers/ neighbours' names are found, too. */
const ONLY_HERE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost";
export const ONLY_MESH = `${ONLY_HERE}, EXCLUDE 10.77.0.*, EXCLUDE *.local`;

export const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

/** The path of the first of these programs that is there. */
export function installed(...names) {
  const folders = (process.env.PATH ?? "").split(delimiter);
  for (const path of names.flatMap((name) => folders.map((folder) => join(folder, name)))) {
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {}
  }
  throw new Error(`${names[0]} is not installed: run deploy/setup --tests`);
}

/** A browser process: `mesh`: on the network of peers/, at a `site` of it if one is given; `flags` are added. */
export function launch({ mesh = false, site, flags = [] } = {}) {
  const path = installed("chromium", "chromium-browser", "google-chrome");
  const executablePath = site ? site.wrapped(path) : path;
  return chromium.launch({ executablePath, args: [...FLAGS, mesh ? ONLY_MESH : ONLY_HERE, ...flags] });
}

/** A browser and a gateway that all tests of a file share: `{browser, gateway}`, there from the first to the last. */
export function together() {
  const scene = {};
  before(async () => {
    [scene.browser, scene.gateway] = await Promise.all([launch(), Gateway.start()]);
  });
  after(async () => {
    await scene.browser?.close();
    await scene.gateway?.dispose();
  });
  return scene;
}

/**
 * A page at `url` in a context of its own. `page.finish()` closes it and fails on what the console said;
 * `allow` is what this test provokes itself.
 */
export async function open(browser, url, { allow = [], context: options = {}, init } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  const errors = [];
  const hosts = new Set();
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(`${message.text()} (${message.location().url})`);
  });
  page.on("pageerror", (error) => errors.push(`uncaught: ${error.stack ?? error}`));
  page.on("crash", () => errors.push("the page crashed"));
  page.on("request", (request) => hosts.add(new URL(request.url()).host));
  await page.addInitScript(inPage);
  if (init) await page.addInitScript(init);
  await page.goto(url);
  page.hosts = hosts;
  page.finish = async () => {
    await context.close();
    assert.deepEqual(
      errors.filter((text) => !allow.some((pattern) => pattern.test(text))),
      [],
      "the console of the page",
    );
  };
  return page;
}

/** A page of another origin, really served: `{url, close}`. */
export async function site(html) {
  const server = createServer((_, answer) => {
    answer.setHeader("content-type", "text/html");
    answer.end(`<!doctype html><html lang="en"><title>another site</title><link rel="icon" href="data:,">${html}`);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${server.address().port}/`, close };
}

export const stats = (page) => page.evaluate(() => document.querySelector("mesh-player").stats);

/** Waits until the page plays, and gives its stats. */
export async function playing(page, timeoutMs = 30_000) {
  try {
    await page.waitForFunction(
      () => {
        const now = document.querySelector("mesh-player")?.stats;
        return now?.state === "playing" && now.firstFrameMs !== null;
      },
      null,
      { timeout: timeoutMs, polling: 100 },
    );
  } catch {
    const seen = await page.evaluate(() => ({
      stats: document.querySelector("mesh-player")?.stats,
      view: document.querySelector("mesh-player")?.view?.message,
    }));
    throw new Error(`the page does not play within ${timeoutMs} ms: ${JSON.stringify(seen)}`);
  }
  return stats(page);
}

/** Reads the clock strip of every frame shown for some seconds: `[{strip, nowMs, mediaMs, latencyMs, …}]`. */
export const watch = (page, seconds) => page.evaluate((s) => window.meshliveTest.watch(s), seconds);

/** What `open` is to allow of a page that is to crash. */
export const CRASHED = /the page crashed/;

/** Ends a page's renderer process as a fault does. */
export async function crash(page) {
  const session = await page.context().newCDPSession(page);
  const crashed = page.waitForEvent("crash", { timeout: 10_000 });
  session.send("Page.crash").catch(() => {}); // nobody is left to answer
  await crashed;
}

export async function screenshot(page, name) {
  mkdirSync(out, { recursive: true });
  await page.screenshot({ path: join(out, `${name}.png`) });
}

/** What axe-core finds against WCAG 2.2 AA, a line each. */
export async function violations(page) {
  await page.evaluate(readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8"));
  const { violations: found } = await page.evaluate(() =>
    window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] }),
  );
  return found.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html.slice(0, 120)).join(" | ")}`);
}

/** Whether the page need not be scrolled sideways. */
export const fits = (page) => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);

/** Runs in the page, before any of its own scripts. */
function inPage() {
  const realNow = Date.now.bind(Date);
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });

  /** The strip's milliseconds, null where it cannot be read. gateway/src/ingest/testcard/strip.rs says how. */
  function readStrip(video) {
    const { videoWidth: width, videoHeight: height } = video;
    if (!width) return null;
    canvas.width = width;
    canvas.height = Math.ceil(height / 12);
    context.drawImage(video, 0, 0);
    const bits = [];
    for (let row = 0; row < 2; row += 1) {
      const line = context.getImageData(0, Math.floor(((row + 0.5) * height) / 24), width, 1).data;
      for (let column = 0; column < 32; column += 1) {
        const at = 4 * Math.floor(((column + 0.5) * width) / 32);
        bits.push(line[at] + line[at + 1] + line[at + 2] > 3 * 128 ? 1 : 0);
      }
    }
    const number = (from, to) => bits.slice(from, to).reduce((sum, bit) => sum * 2 + bit, 0);
    if (number(0, 4) !== 0b1010 || number(60, 64) !== 0b0101) return null;
    let check = 0x5a;
    for (let at = 4; at < 52; at += 8) check = (check + number(at, at + 8)) & 0xff;
    return check === number(52, 60) ? number(4, 52) : null;
  }

  window.meshliveTest = {
    readStrip,
    realNow,
    watch(seconds) {
      const player = document.querySelector("mesh-player");
      const frames = [];
      const end = performance.now() + seconds * 1000;
      return new Promise((resolve) => {
        const each = (_, { mediaTime }) => {
          const { latencyMs, state, rendition } = player.stats;
          const frame = { strip: readStrip(player.video), nowMs: realNow(), latencyMs, state, rendition };
          frames.push({ ...frame, width: player.video.videoWidth, mediaMs: mediaTime * 1000 });
          if (performance.now() < end) player.video.requestVideoFrameCallback(each);
        };
        player.video.requestVideoFrameCallback(each);
        setTimeout(() => resolve(frames), seconds * 1000 + 500);
      });
    },
  };
}

export const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
