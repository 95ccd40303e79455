// How the pages look and weigh: accessibility in light and dark, on a phone and a desk; budgets of what is transferred.

import assert from "node:assert/strict";
import { request } from "node:http";
import { after, before, test } from "node:test";
import { fits, launch, open, PHONE, playing, screenshot, violations } from "./browser.mjs";
import { CARD, Gateway, until } from "./gateway.mjs";

let browser;
let gateway;
before(async () => {
  const inputs = [`${CARD}&title=The%20test%20card`];
  [browser, gateway] = await Promise.all([launch(), Gateway.start({ inputs })]);
  await until("a still picture", async () => (await fetch(`${gateway.url}/live/testcard/still.jpg`)).status === 200);
});
after(async () => {
  await browser?.close();
  await gateway?.dispose();
});

for (const colorScheme of ["light", "dark"]) {
  for (const [device, context] of [["desk", {}], ["phone", PHONE]]) {
    test(`directory and player meet WCAG 2.2 AA: ${colorScheme}, ${device}`, async () => {
      const page = await open(browser, gateway.url, { context: { ...context, colorScheme } });
      const card = page.getByRole("link", { name: /The test card/ });
      await card.waitFor({ timeout: 15_000 });
      assert.deepEqual(await violations(page), []);
      assert.ok(await fits(page), "the directory scrolls sideways");
      await screenshot(page, `directory-${colorScheme}-${device}`);
      await card.click();
      await playing(page);
      assert.deepEqual(await violations(page), []);
      assert.ok(await fits(page), "the player page scrolls sideways");
      await screenshot(page, `player-${colorScheme}-${device}`);
      await page.finish();
    });
  }
}

test("the player is used by the keyboard alone", async () => {
  const page = await open(browser, `${gateway.url}/s/testcard`);
  await playing(page);
  await page.evaluate(() => document.querySelector("mesh-player").shadowRoot.querySelector("media-play-button").focus());
  await page.keyboard.press("Space");
  await page.waitForFunction(() => document.querySelector("mesh-player").video.paused);
  // The button hears of it a moment later, and would pause once more.
  await page.waitForFunction(() => document.querySelector("mesh-player").shadowRoot.querySelector("media-play-button").hasAttribute("mediapaused"));
  await page.keyboard.press("Space");
  await page.waitForFunction(() => !document.querySelector("mesh-player").video.paused);
  await page.finish();
});

/** Bytes of the body as they come over the wire to someone who takes gzip. */
function transferred(url) {
  return new Promise((resolve, reject) => {
    const asked = request(url, { headers: { "accept-encoding": "gzip" } }, (answer) => {
      let bytes = 0;
      answer.on("data", (more) => {
        bytes += more.length;
      });
      answer.on("end", () => resolve(bytes));
    });
    asked.on("error", reject);
    asked.end();
  });
}

test("the player page keeps its budgets: gzip, wasm 535 KB, with JavaScript 830 KB", async () => {
  const urls = new Set();
  const page = await open(browser, "about:blank");
  page.on("request", (asked) => urls.add(asked.url()));
  await page.goto(`${gateway.url}/s/testcard`);
  await playing(page);
  await page.finish();
  const sum = async (pattern) => {
    const wanted = [...urls].filter((url) => pattern.test(new URL(url).pathname));
    const sizes = await Promise.all(wanted.map(transferred));
    return sizes.reduce((a, b) => a + b, 0);
  };
  const [script, wasm] = [await sum(/\.js$/), await sum(/\.wasm$/)];
  assert.ok(wasm > 0 && wasm <= 535_000, `wasm: ${wasm} bytes`);
  assert.ok(script > 0 && script + wasm <= 830_000, `JavaScript: ${script} bytes beside ${wasm} of wasm`);
});
