// The panel that shows what flows, and the switch in it: by key and by button, in light and dark, on a phone and a desk.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fits, launch, open, PHONE, playing, screenshot, site, violations } from "./browser.mjs";
import { Gateway, sleep } from "./gateway.mjs";

let browser;
let gateway;
before(async () => {
  [browser, gateway] = await Promise.all([launch(), Gateway.start()]);
});
after(async () => {
  await browser?.close();
  await gateway?.dispose();
});

/** The player page, playing; its panel is opened by whoever wants it. */
async function player(options = {}) {
  const page = await open(browser, `${gateway.url}/s/testcard`, options);
  await playing(page);
  page.panel = page.getByRole("dialog", { name: "What flows" });
  page.button = page.getByRole("button", { name: "What flows" });
  return page;
}

/** Replaces the player's counters by those of a visit among `viewers` neighbours, to see what it draws of them. */
function pretend(viewers) {
  const element = document.querySelector("mesh-player");
  const real = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(element), "stats").get;
  const since = performance.now();
  window.reads = 0;
  Object.defineProperty(element, "stats", {
    configurable: true,
    get() {
      window.reads += 1;
      const seconds = (performance.now() - since) / 1000;
      const peer = (kind, id, bytesIn, bytesOut) => ({ id, kind, rttMs: 7, bytesIn, bytesOut });
      const names = Array.from({ length: viewers }, (_, i) => `12D3Koo${String.fromCharCode(97 + i).repeat(4)}`);
      const peers = names.map((id, i) => peer("viewer", id, i === 1 ? 0 : seconds * 25_000, i === 1 ? 0 : seconds * 20_000));
      peers.push(peer("gateway", "12D3Koogate", seconds * 10_000, 0));
      const sum = (way) => peers.reduce((all, one) => all + (one.kind === "viewer" ? one[way] : 0), 0);
      const bytes = { bytesFromPeers: sum("bytesIn"), bytesUploaded: sum("bytesOut"), bytesFromGateway: seconds * 10_000 };
      return { ...real.call(element), ...bytes, peers };
    },
  });
}

for (const colorScheme of ["light", "dark"]) {
  for (const [device, context] of [["desk", {}], ["phone", PHONE]]) {
    test(`the panel meets WCAG 2.2 AA: ${colorScheme}, ${device}`, async () => {
      const page = await player({ context: { ...context, colorScheme } });
      await page.evaluate(pretend, 4);
      await page.keyboard.press("p");
      await page.panel.getByText(/600 kbit\/s from 3 viewers, 80 kbit\/s from the gateway; 480 kbit\/s passed on/).waitFor();
      await sleep(4000);
      assert.deepEqual(await violations(page), []);
      assert.ok(await fits(page), "the page scrolls sideways");
      await screenshot(page, `panel-${colorScheme}-${device}`);
      await page.panel.getByText("The same as a table").click();
      const rows = await page.panel.getByRole("row").allTextContents();
      assert.equal(rows.length, 6, rows.join("\n"));
      assert.ok(rows.some((row) => /Viewer aaaa.*200 kbit\/s.*160 kbit\/s.*7 ms/.test(row)), rows.join("\n"));
      assert.ok(rows.some((row) => /Viewer bbbb0 kbit\/s0 kbit\/s/.test(row)), rows.join("\n"));
      assert.deepEqual(await violations(page), []);
      const visible = await page.evaluate(() => {
        const { left, right, bottom } = document.querySelector("mesh-player").shadowRoot.querySelector(".panel").getBoundingClientRect();
        return left >= 0 && right <= innerWidth && bottom <= innerHeight;
      });
      assert.ok(visible, "the panel is not wholly in the window");
      await page.finish();
    });
  }
}

test("what is drawn is what flows: arrows both ways as wide as their rates, a dotted line where nothing does", async () => {
  const page = await player();
  await page.evaluate(pretend, 12);
  await page.keyboard.press("p");
  await page.panel.getByText(/from 11 viewers/).waitFor();
  const shapes = () =>
    page.evaluate(() => {
      const picture = document.querySelector("mesh-player").shadowRoot.querySelector(".panel .who");
      const count = (selector) => picture.querySelectorAll(selector).length;
      return {
        arrows: [count("path.fill-viewers"), count("path.fill-given"), count("path.fill-gateway")],
        nodes: [count("circle.viewer"), count("circle.me")],
        words: picture.textContent,
      };
    });
  const drawn = await shapes();
  assert.deepEqual([drawn.arrows, drawn.nodes], [[8, 8, 1], [8, 1]]);
  assert.match(drawn.words, /and 4 more/);
  await page.evaluate(pretend, 2);
  await page.panel.getByText(/from 1 viewer,/).waitFor();
  await page.waitForFunction(() => document.querySelector("mesh-player").shadowRoot.querySelector(".panel .idle"));
  assert.deepEqual((await shapes()).nodes, [2, 1]);
  await page.finish();
});

test("by the keyboard: in by button or key, Escape out, and back to where one was", async () => {
  const page = await player();
  await page.button.focus();
  await page.keyboard.press("Enter");
  await page.panel.waitFor();
  const focused = () =>
    page.evaluate(() => document.querySelector("mesh-player").shadowRoot.activeElement?.getAttribute("aria-label"));
  assert.equal(await focused(), "Close");
  assert.equal(await page.button.getAttribute("aria-expanded"), "true");
  await page.keyboard.press("Tab");
  assert.ok(await page.getByRole("switch").evaluate((one) => one.matches(":focus")), "the switch comes next");
  await page.keyboard.press("Escape");
  await page.panel.waitFor({ state: "hidden" });
  assert.equal(await focused(), "What flows");
  // A dialog says that it closed in a task of its own.
  await page.button.and(page.locator('[aria-expanded="false"]')).waitFor();
  await page.keyboard.press("p");
  await page.panel.waitFor();
  await page.keyboard.press("p");
  await page.panel.waitFor({ state: "hidden" });
  assert.equal(await page.evaluate(() => document.pictureInPictureElement), null);
  await page.finish();
});

test("the key is no trap: not with Ctrl, not in the quality menu, and not at all where it is switched off", async () => {
  const page = await player();
  await page.keyboard.press("Control+p");
  await page.evaluate(() => {
    const menu = document.querySelector("mesh-player").shadowRoot.querySelector(".quality");
    menu.hidden = false;
    menu.focus();
  });
  await page.keyboard.press("p");
  await sleep(500);
  assert.equal(await page.panel.count(), 0);
  await page.button.click();
  await page.panel.getByLabel("The key P opens and closes this").uncheck();
  await page.keyboard.press("Escape");
  await page.keyboard.press("p");
  await sleep(500);
  assert.ok(await page.panel.isHidden());
  await page.reload();
  await playing(page);
  await page.keyboard.press("p");
  await sleep(500);
  assert.equal(await page.panel.count(), 0);
  await page.finish();
});

test("above a picture that fills the screen it still shows", async () => {
  const page = await player();
  await page.evaluate(() => document.querySelector("mesh-player").shadowRoot.querySelector("media-fullscreen-button").click());
  await page.waitForFunction(() => document.fullscreenElement);
  await page.keyboard.press("p");
  await page.panel.waitFor();
  const above = await page.evaluate(() => {
    const dialog = document.querySelector("mesh-player").shadowRoot.querySelector(".panel");
    const { left, top, width, height } = dialog.getBoundingClientRect();
    const there = dialog.getRootNode().elementFromPoint(left + width / 2, top + height / 2);
    return dialog.contains(there);
  });
  assert.ok(above, "the picture covers the panel");
  await page.evaluate(() => document.exitFullscreen());
  await page.panel.waitFor({ state: "hidden" });
  await page.finish();
});

test("it comes when it is asked for, looks at most twice a second, and not at all when closed or hidden", async () => {
  const page = await open(browser, "about:blank");
  const scripts = [];
  page.on("request", (asked) => scripts.push(new URL(asked.url()).pathname));
  await page.goto(`${gateway.url}/s/testcard`);
  await playing(page);
  const asked = () => scripts.filter((path) => /\/panel-/.test(path)).length;
  await sleep(1000);
  assert.equal(asked(), 0, "the panel's script came unasked");
  await page.evaluate(pretend, 2);
  const reads = async (ms) => {
    const from = await page.evaluate(() => window.reads);
    await sleep(ms);
    return (await page.evaluate(() => window.reads)) - from;
  };
  await page.keyboard.press("p");
  await page.getByRole("dialog", { name: "What flows" }).waitFor();
  assert.equal(asked(), 1);
  const seen = await reads(4000);
  assert.ok(seen >= 4 && seen <= 9, `${seen} looks in 4 s`);
  const visibility = (state) =>
    page.evaluate((value) => Object.defineProperty(document, "visibilityState", { value, configurable: true }), state);
  await visibility("hidden");
  assert.equal(await reads(2000), 0);
  await visibility("visible");
  assert.ok((await reads(2000)) > 0);
  await page.keyboard.press("Escape");
  assert.equal(await reads(2000), 0);
  await page.finish();
});

const sharing = (page) => page.evaluate(() => document.querySelector("mesh-player").sharing);

test("sharing is on, is switched off beside the line that says what it tells, and stays off", async () => {
  const page = await player();
  assert.equal(await sharing(page), true);
  await page.button.click();
  const choice = page.panel.getByRole("switch", { name: "Share with other viewers" });
  assert.ok(await choice.isChecked());
  await page.panel.getByText("Viewers that share see each other's network address.").waitFor();
  await choice.uncheck();
  assert.equal(await sharing(page), false);
  await page.panel.getByText(/^Sharing is off/).waitFor();
  await page.reload();
  await playing(page);
  assert.equal(await sharing(page), false);
  await page.keyboard.press("p");
  assert.ok(!(await choice.isChecked()));
  await choice.check();
  assert.equal(await sharing(page), true);
  await page.finish();
});

for (const [what, facts, words] of [
  ["saves data", { saveData: true }, /your browser is set to save data/],
  ["is on a mobile connection", { type: "cellular" }, /you are on a mobile connection/],
]) {
  test(`a viewer that ${what} does not share unless it says so, and is told why`, async () => {
    const init = `Object.defineProperty(navigator, "connection", { value: Object.assign(new EventTarget(), ${JSON.stringify(facts)}) })`;
    const page = await player({ init });
    assert.equal(await sharing(page), false);
    await page.button.click();
    const choice = page.panel.getByRole("switch", { name: "Share with other viewers" });
    assert.ok(!(await choice.isChecked()));
    await page.panel.getByText(words).waitFor();
    await choice.check();
    assert.equal(await sharing(page), true);
    await page.panel.getByText(words).waitFor({ state: "hidden" });
    await page.finish();
  });
}

test("a page of another origin decides by its attribute, and a forbidden store costs nothing", async () => {
  const { stream } = await gateway.json("/api/v1/streams/testcard");
  const embedder = await site(`<script type="module" src="${gateway.url}/embed.js"></script>
    <mesh-player stream="${stream}" share="off" autoplay muted></mesh-player>`);
  const init = 'Object.defineProperty(window, "localStorage", { get() { throw new DOMException("no", "SecurityError"); } })';
  const page = await open(browser, embedder.url, { init });
  await playing(page);
  assert.equal(await sharing(page), false);
  await page.keyboard.press("p");
  await sleep(500);
  assert.equal(await page.getByRole("dialog").count(), 0, "the key is the player's only while it has the focus");
  await page.getByRole("button", { name: "What flows" }).click();
  await page.getByText("Off by default on this page.").waitFor();
  await page.evaluate(() => document.querySelector("mesh-player").removeAttribute("share"));
  assert.equal(await sharing(page), true);
  await page.evaluate(() => document.querySelector("mesh-player").setAttribute("share", "off"));
  await page.getByRole("switch").check();
  assert.equal(await sharing(page), true);
  await page.finish();
  embedder.close();
});
