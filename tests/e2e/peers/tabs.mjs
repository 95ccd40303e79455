// Viewers by puppeteer: tabs that can be hidden (playwright makes every page believe it is in front), and Firefox.

import assert from "node:assert/strict";
import puppeteer from "puppeteer-core";
import { FLAGS, ONLY_MESH, installed } from "../browser.mjs";
import { until } from "../gateway.mjs";

/** Tabs behind others are slowed down as in everyday life. */
const UNTAMED = ["--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding", "--disable-background-timer-throttling"];

export function chromium() {
  return puppeteer.launch({
    executablePath: installed("chromium", "chromium-browser", "google-chrome"),
    args: [...FLAGS.filter((flag) => !UNTAMED.includes(flag)), ONLY_MESH],
    ignoreDefaultArgs: UNTAMED,
    defaultViewport: { width: 480, height: 360 },
  });
}

export function firefox() {
  const quiet = ["network.captive-portal-service.enabled", "network.connectivity-service.enabled", "app.normandy.enabled", "extensions.systemAddon.update.enabled"];
  return puppeteer.launch({
    browser: "firefox",
    executablePath: installed("firefox-esr", "firefox"),
    extraPrefsFirefox: { "media.autoplay.default": 0, ...Object.fromEntries(quiet.map((name) => [name, false])) },
    defaultViewport: { width: 480, height: 360 },
  });
}

/** A viewer in a tab of such a browser; what `during` of viewers.mjs wants. */
export class Tab {
  static async open(browser, gateway, { alias = "film", allow = [], sharing = true, init } = {}) {
    const tab = new Tab();
    tab.allow = allow;
    tab.errors = [];
    tab.page = await browser.newPage();
    tab.page.on("console", (message) => {
      if (message.type() === "error") tab.errors.push(message.text());
    });
    if (init) await tab.page.evaluateOnNewDocument(...init);
    tab.page.on("pageerror", (error) => tab.errors.push(`uncaught: ${error.stack ?? error}`));
    // The viewer's own switch, as an earlier visit left it; set from a page of that origin that plays nothing.
    await tab.page.goto(gateway.url);
    await tab.page.evaluate((value) => localStorage.setItem("meshlive-sharing", value), sharing ? "on" : "off");
    await tab.page.goto(`${gateway.url}/s/${alias}`);
    await until(`the page plays (${await browser.version()})`, async () => {
      const now = await tab.stats();
      if (now?.state !== "playing" || now.firstFrameMs === null) throw new Error(JSON.stringify({ stats: now, errors: tab.errors }));
      return true;
    }, { timeoutMs: 40_000 });
    return tab;
  }

  stats() {
    // A copy: getters do not travel.
    return this.page.evaluate(() => JSON.parse(JSON.stringify(document.querySelector("mesh-player")?.stats ?? null)));
  }

  async finish() {
    await this.page.close();
    assert.deepEqual(this.errors.filter((text) => !this.allow.some((pattern) => pattern.test(text))), [], "the console of the page");
  }
}
