// A gateway that changes what was live: a bit of a segment, a playlist, the list of hours. Nothing of it is shown, the page says
// what and what helps, and goes on at another gateway where it knows one. The twin: the same gateway without the lie plays.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { between, flipped } from "./between.mjs";
import { launch, open, playing } from "./browser.mjs";
import { Gateway, until } from "./gateway.mjs";
import { recorded, TEN } from "./recorded.mjs";

/** Two hours. */
const RUNS = [[TEN + 3580, 40]];

let browser;
let scene;
let gateway;
let liar;
let past;

before(async () => {
  scene = recorded(RUNS);
  gateway = await Gateway.start({ data: scene.data, inputs: ["testcard?name=cam&size=320x240&bit_rate=300000"], flags: ["--config", scene.config] });
  liar = await between(gateway);
  browser = await launch();
  past = await gateway.json("/api/v1/streams/cam/archive");
});
after(async () => {
  await browser?.close();
  liar?.close();
  await gateway?.dispose();
  scene?.remove();
});

const isSegment = (path) => /^\/ipfs\/[^/]+\?filename=\d+\.m4s$/.test(path);
const isList = (path) => /^\/api\/v1\/streams\/[^/]+\/archive$/.test(path);
const json = (body, change) => {
  const object = JSON.parse(body);
  change(object);
  return Buffer.from(JSON.stringify(object));
};

/** The archive's page of the first hour at a gateway that lies so; what it shows after some seconds. */
async function seen(lie, { url = `${liar.url}/s/cam/archive#t=${TEN + 3585}`, context } = {}) {
  Object.assign(liar, { lie, lies: 0 });
  const page = context ? await context.newPage() : await open(browser, url);
  if (context) await page.goto(url);
  await page
    .waitForFunction(() => {
      const video = document.querySelector("video");
      const says = /sent|cannot|verifier/.test(document.querySelector("#status").textContent);
      return video.currentTime > 1 && video.readyState > 2 && !video.seeking || says || !document.querySelector("#trouble").hidden;
    }, null, { timeout: 20_000 });
  await page.waitForTimeout(1000);
  const found = await page.evaluate(() => {
    const { currentTime, readyState, videoWidth, buffered } = document.querySelector("video");
    const trouble = document.querySelector("#trouble");
    const texts = [document.querySelector("#status").textContent, trouble.hidden ? "" : trouble.textContent];
    return { at: currentTime, pictures: readyState > 1 ? videoWidth : 0, buffered: buffered.length, hours: document.querySelectorAll("#hours li").length, texts };
  });
  if (context) await page.close();
  else await page.finish();
  return { ...found, says: found.texts.join(" "), lies: liar.lies };
}

function notShown(found, what) {
  assert.ok(found.lies > 0, "the gateway did lie");
  assert.equal(found.pictures, 0, JSON.stringify(found));
  assert.match(found.says, what);
  assert.ok(found.says.includes(liar.url), found.says);
  assert.match(found.says, /not what the publisher signed.*another gateway/);
}

test("the twin: what is not changed on its way plays", { timeout: 60_000 }, async () => {
  const found = await seen(() => null);
  assert.ok(found.at > 1 && found.pictures === 320, JSON.stringify(found));
  assert.equal(found.texts[1], "");
  assert.equal(found.hours, 2);
});

test("a bit of a segment", { timeout: 60_000 }, async () => {
  const found = await seen((path, body) => (isSegment(path) ? flipped(body) : null));
  notShown(found, /a wrong \d+\.m4s/);
  assert.equal(found.buffered, 0, "the decoder had nothing of it");
});

test("an init segment, and one of another hour's names", { timeout: 60_000 }, async () => {
  notShown(await seen((path, body) => (/filename=init/.test(path) ? flipped(body) : null)), /a wrong init-\d+\.mp4/);
  const block = (path) => /format=raw/.test(path);
  notShown(await seen((path, body) => (block(path) && body.length > 300 ? flipped(body) : null)), /a wrong directory/);
});

test("a playlist that leaves out a segment", { timeout: 60_000 }, async () => {
  const lie = (path, body) => (/day-source\.m3u8/.test(path) ? Buffer.from(body.toString().replace(/#EXTINF:.*\n.*\n/, "")) : null);
  notShown(await seen(lie), /a wrong day-source\.m3u8/);
});

test("a list with another day, without its signature, signed by another, older than what was seen, or empty", { timeout: 120_000 }, async () => {
  const [day] = past.days;
  const lists = {
    "another day 2026-11-22": (list) => Object.assign(list.days[0], { cid: day.hours[0].cid }),
    "without the stream's signature": (list) => Object.assign(list, { signed: null }),
    "a list of recordings": (list) => Object.assign(list, { signed: `${list.signed.slice(0, -9)}${list.signed.at(-9) === "A" ? "B" : "A"}${list.signed.slice(-8)}` }),
  };
  for (const [what, change] of Object.entries(lists)) {
    const found = await seen((path, body) => (isList(path) ? json(body, change) : null));
    notShown(found, new RegExp(what));
    assert.equal(found.hours, 0, "nothing of it is listed");
  }

  // The list as it was when the first hour had closed: signed, and with its own root, which is here, too.
  const bytes = Buffer.from(await (await fetch(`${gateway.url}/api/v1/streams/cam/archive/catalogue`)).arrayBuffer());
  const length = (bytes[0] & 0x7f) | (bytes[1] << 7);
  const first = `u${bytes.subarray(2, 2 + length).toString("base64url")}`;
  const old = (list) => Object.assign(list, { signed: first, days: [] });
  const context = await browser.newContext();
  assert.equal((await seen(() => null, { context })).pictures, 320);
  notShown(await seen((path, body) => (isList(path) ? json(body, old) : null), { context }), /an old list of recordings/);
  const none = (list) => Object.assign(list, { signed: null, days: [] });
  notShown(await seen((path, body) => (isList(path) ? json(body, none) : null), { context }), /lacks all there was/);
  await context.close();
});

test("where another gateway is known, it goes on there", { timeout: 60_000 }, async () => {
  const found = await seen((path, body) => {
    if (path === "/api/v1/streams/cam") return json(body, (object) => Object.assign(object, { gateways: [gateway.url] }));
    return isSegment(path) ? flipped(body) : null;
  });
  assert.ok(found.lies > 1 && found.at > 1 && found.pictures === 320, JSON.stringify(found));
  assert.equal(found.texts[1], "");
});

test("the player: what is past of the run on air is proved, by an hour's list or by itself", { timeout: 150_000 }, async () => {
  await until("some segments are past", async () => {
    const { open } = await gateway.json("/api/v1/streams/cam/archive");
    return open && open.to - open.from >= 25;
  }, { timeoutMs: 60_000 });
  const lies = {
    twin: () => null,
    playlist: (path, body) => (/earlier\/source/.test(path) ? Buffer.from(body.toString().replace(/#EXTINF:2.000000,\n/, "#EXTINF:1.000000,\n")) : null),
    segment: (path, body) => (isSegment(path) ? flipped(body) : null),
  };
  for (const [name, lie] of Object.entries(lies)) {
    Object.assign(liar, { lie, lies: 0 });
    const page = await open(browser, `${liar.url}/s/cam`);
    await playing(page);
    await page.mouse.move(400, 300);
    await page.waitForSelector(".seek:not([hidden])");
    // Whether anything but live was in sight.
    await page.evaluate(() => {
      const player = document.querySelector("mesh-player");
      window.pastShown = 0;
      const look = () => {
        if (player.stats.latencyMs > 9_000 && player.video.readyState > 2 && player.shadowRoot.querySelector("canvas").hidden) window.pastShown += 1;
        player.video.requestVideoFrameCallback(look);
      };
      player.video.requestVideoFrameCallback(look);
      const range = player.shadowRoot.querySelector(".seek input");
      range.value = Number(range.max) - 20_000;
      range.dispatchEvent(new Event("input"));
      range.dispatchEvent(new Event("change"));
    });
    if (name === "twin") await page.waitForFunction(() => window.pastShown > 20, null, { timeout: 15_000 });
    else {
      await page.waitForFunction(() => /not what the publisher signed/.test(document.querySelector("mesh-player").view.message?.text), null, { timeout: 15_000 });
      const { text, kind } = await page.evaluate(() => document.querySelector("mesh-player").view.message);
      assert.equal(kind, "error");
      assert.match(text, name === "playlist" ? /wrong playlist of what is on air/ : /a wrong \d+\.m4s/);
      // Live goes on.
      await page.waitForFunction(() => { const { latencyMs, state } = document.querySelector("mesh-player").stats; return state === "playing" && latencyMs < 5_000; }, null, { timeout: 20_000 });
      assert.equal(await page.evaluate(() => window.pastShown), 0, name);
      assert.ok(liar.lies > 0);
    }
    await page.finish();
  }
});
