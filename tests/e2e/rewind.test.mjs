// The player's seek bar: from live into what is past (the run on air, a day a week ago) and to live again, by pointer and by
// keys, in one element; the picture stays on screen until the other one is there.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, open, PHONE, playing, screenshot, violations } from "./browser.mjs";
import { Gateway, until } from "./gateway.mjs";
import { recorded, TEN } from "./recorded.mjs";

/** Two runs, with a hole of an hour between them. */
const RUNS = [[TEN + 3580, 40], [TEN + 7170, 30]];

let browser;
let scene;
let gateway;

before(async () => {
  scene = recorded(RUNS);
  gateway = new Gateway({ data: scene.data, inputs: ["testcard?name=cam&size=640x360&bit_rate=800000"], flags: ["--config", scene.config] });
  await gateway.start();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await gateway?.dispose();
  scene?.remove();
});

/** Runs in the page: the time of the picture, ms since 1970, and what of the bar and the video can be seen. */
const look = (page) =>
  page.evaluate(() => {
    const player = document.querySelector("mesh-player");
    const range = player.shadowRoot.querySelector(".seek input");
    const { stats, video } = player;
    return {
      at: Date.now() - stats.latencyMs,
      latencyMs: stats.latencyMs,
      state: stats.state,
      stalls: stats.stalls,
      text: range.getAttribute("aria-valuetext"),
      share: Number(range.value) / Number(range.max),
      length: Number(range.max),
      held: !player.shadowRoot.querySelector("canvas").hidden,
      ready: video.readyState,
      moving: !video.paused && video.currentTime,
    };
  });

/** Puts the bar to a share of it as a drag does, and waits until that is on screen; its ms, and how often nothing was in sight. */
async function drag(page, share) {
  const box = await page.locator(".seek input").boundingBox();
  await page.evaluate(() => {
    const { video, shadowRoot } = document.querySelector("mesh-player");
    window.black = 0;
    window.looking = setInterval(() => {
      if (video.readyState < 2 && !video.seeking && shadowRoot.querySelector("canvas").hidden) window.black += 1;
    }, 5);
  });
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await page.mouse.down();
  await page.mouse.move(box.x + 8 + (box.width - 16) * share, box.y + box.height / 2, { steps: 4 });
  const since = Date.now();
  await page.mouse.up();
  await page.waitForFunction(() => {
    const { video, shadowRoot } = document.querySelector("mesh-player");
    return shadowRoot.querySelector("canvas").hidden && video.readyState >= 3 && !video.seeking;
  }, null, { polling: 10, timeout: 15_000 });
  const took = Date.now() - since;
  const black = await page.evaluate(() => (clearInterval(window.looking), window.black));
  return { took, black };
}

/** What is past is the test picture of a film, of six colours; what is live is a card with a clock in it. */
const strip = (page) => page.evaluate(() => window.meshliveTest.readStrip(document.querySelector("mesh-player").video));

test("one bar leads from live to a week ago, over a hole, to the run on air and back to live", { timeout: 150_000 }, async () => {
  await until("some segments are past", async () => {
    const { open } = await gateway.json("/api/v1/streams/cam/archive");
    return open && open.to - open.from >= 25;
  }, { timeoutMs: 60_000 });
  const page = await open(browser, `${gateway.url}/s/cam`, { context: { timezoneId: "UTC", locale: "en-GB" } });
  await playing(page);
  assert.equal(await page.isHidden(".seek"), true, "who only watches asks for nothing");
  await page.mouse.move(400, 300);
  await page.waitForSelector(".seek:not([hidden])");
  const live = await look(page);
  assert.deepEqual([live.text, live.share.toFixed(6)], ["Live", "1.000000"]);
  // 70 s a week ago, and the run on air.
  assert.ok(live.length > 90_000 && live.length < 200_000, `${live.length}`);

  // A week ago: 11 s into the first hour.
  const old = await drag(page, 11_000 / live.length);
  const then = await look(page);
  assert.ok(Math.abs(then.at / 1000 - (TEN + 3580 + 11)) < 5, `${new Date(then.at).toISOString()}`);
  assert.match(then.text, /22 Nov.* 10:59:5|22 Nov.* 10:59:4/);
  assert.equal(await strip(page), null, "that is another picture");
  await screenshot(page, "rewind");
  // It plays on, over the hour's seam …
  await page.waitForFunction(() => / 11:00:0/.test(document.querySelector("mesh-player").shadowRoot.querySelector(".seek output").textContent), null, { timeout: 20_000 });
  // … and over the hole of an hour.
  const hole = await drag(page, 37_500 / live.length);
  await page.waitForFunction(() => / 11:59:3/.test(document.querySelector("mesh-player").shadowRoot.querySelector(".seek output").textContent), null, { timeout: 20_000 });

  // The run on air, by the same bar; its own clock says when.
  const run = await drag(page, (70_000 + 6_000) / (await look(page)).length);
  const earlier = await look(page);
  assert.ok(earlier.latencyMs > 12_000 && earlier.latencyMs < 120_000, `${earlier.latencyMs}`);
  const shown = await strip(page);
  assert.ok(Math.abs(shown - earlier.at) < 1000, `${shown} is on screen, the bar says ${earlier.at}`);
  assert.equal(await page.getAttribute("media-live-button", "mediatimeislive"), null);
  const before = await look(page);
  await page.waitForTimeout(1500);
  assert.ok((await look(page)).moving > before.moving + 0.5, "the picture goes on");

  // Keys: ten seconds on by the arrow, to the beginning by Home, to live by End.
  const range = page.locator(".seek input");
  await range.focus();
  await page.keyboard.press("Home");
  await page.waitForFunction(() => /22 Nov.* 10:59:4/.test(document.querySelector("mesh-player").shadowRoot.querySelector(".seek output").textContent));
  await page.waitForFunction((from) => Math.abs(Date.now() - document.querySelector("mesh-player").stats.latencyMs - from) < 3_000 && document.querySelector("mesh-player").video.readyState >= 3, (TEN + 3580) * 1000);
  await page.keyboard.press("ArrowRight");
  await page.waitForFunction((from) => { const at = Date.now() - document.querySelector("mesh-player").stats.latencyMs - from; return at > 9_000 && at < 16_000; }, (TEN + 3580) * 1000);
  await page.keyboard.press("End");
  await page.waitForFunction(() => { const { latencyMs, state } = document.querySelector("mesh-player").stats; return state === "playing" && latencyMs < 4_000; }, null, { timeout: 15_000 });

  // Back a little, and the button to live.
  await drag(page, 1 - 20_000 / (await look(page)).length);
  assert.ok((await look(page)).latencyMs > 10_000);
  await page.click("media-live-button");
  await page.waitForFunction(() => { const { latencyMs, state } = document.querySelector("mesh-player").stats; return state === "playing" && latencyMs < 4_000; }, null, { timeout: 15_000 });
  assert.equal((await look(page)).text, "Live");
  for (const [name, { took, black }] of Object.entries({ old, hole, run })) {
    console.log(`# ${name}: ${took} ms`);
    assert.ok(took < 5_000, `${name}: ${took} ms`);
    assert.equal(black, 0, `${name}: nothing was in sight`);
  }
  assert.equal((await look(page)).stalls, 0);
  assert.deepEqual(await violations(page), []);
  await page.finish();
});

test("what is paused in the past stays there, and a phone has the bar, too", { timeout: 60_000 }, async () => {
  const page = await open(browser, `${gateway.url}/s/cam`, { context: { ...PHONE, timezoneId: "UTC", locale: "en-GB" } });
  await playing(page);
  await page.tap("mesh-player");
  await page.waitForSelector(".seek:not([hidden])");
  await screenshot(page, "rewind-phone");
  await page.evaluate((at) => {
    const range = document.querySelector("mesh-player").shadowRoot.querySelector(".seek input");
    range.value = at;
    range.dispatchEvent(new Event("input"));
    range.dispatchEvent(new Event("change"));
  }, 20_000);
  await page.waitForFunction(() => document.querySelector("mesh-player").stats.latencyMs > 86_400_000 && document.querySelector("mesh-player").video.readyState >= 3);
  await page.evaluate(() => document.querySelector("mesh-player").video.pause());
  const { at } = await look(page);
  await page.waitForTimeout(3500);
  await page.evaluate(() => document.querySelector("mesh-player").video.play());
  await page.waitForTimeout(700);
  const later = await look(page);
  assert.ok(later.latencyMs > 86_400_000, "it did not go to live");
  assert.ok(later.moving > 0 && Math.abs(later.at - at) < 6_000, `${later.at - at}`);
  await page.finish();
});

test("of a stream that is not on air the bar has what was recorded", { timeout: 90_000 }, async () => {
  await gateway.stop();
  gateway = new Gateway({ data: scene.data, inputs: [], flags: ["--config", scene.config] });
  await gateway.start();
  const page = await open(browser, `${gateway.url}/s/cam`, { context: { timezoneId: "UTC", locale: "en-GB" } });
  await page.waitForFunction(() => document.querySelector("mesh-player").view?.message?.kind === "wait");
  // The controls' script comes later where nothing plays; before it nothing can have the focus.
  await page.waitForFunction(() => customElements.get("media-play-button"));
  await page.focus("media-play-button");
  await page.waitForSelector(".seek:not([hidden])");
  await drag(page, 0);
  await page.waitForFunction(() => document.querySelector("mesh-player").stats.state === "playing");
  const { at, text } = await look(page);
  assert.ok(Math.abs(at / 1000 - (TEN + 3580)) < 5, `${new Date(at).toISOString()}`);
  assert.match(text, /10:59:4/);
  assert.equal(await page.isVisible(".message"), false);
  // To the end of all, over the hole and whatever was on air today: there it stands still, with the last picture.
  await drag(page, 1 - 4_000 / (await look(page)).length);
  await page.waitForFunction(() => document.querySelector("mesh-player").stats.state === "ended", null, { timeout: 20_000 });
  assert.ok((await look(page)).ready >= 2, "a picture is on screen");
  await page.finish();
});
