// A real OBS under Xvfb publishes at its defaults (x264, a key frame each 8.3 s) and is seen on the page.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch, open, playing, screenshot, stats } from "../e2e/browser.mjs";
import { Gateway, sleep, start, until } from "../e2e/gateway.mjs";

const home = mkdtempSync(join(tmpdir(), "meshlive-obs-"));
const DISPLAY = ":87";
let browser;
let gateway;
let screen;
before(async () => {
  [browser, gateway] = await Promise.all([launch(), Gateway.start()]);
  screen = start("Xvfb", [DISPLAY, "-screen", "0", "1280x800x24", "+extension", "GLX", "-nolisten", "tcp"]);
});
after(async () => {
  await browser?.close();
  await gateway?.dispose();
  await screen?.stop();
  rmSync(home, { recursive: true, force: true });
});

/** OBS' folders as a first start would leave them, with one coloured scene; only the size is not the default. */
function configure(secret) {
  const config = join(home, ".config/obs-studio");
  const profile = join(config, "basic/profiles/meshlive");
  const scenes = join(config, "basic/scenes");
  for (const folder of [profile, scenes]) mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(config, "global.ini"),
    "[General]\nFirstRun=true\nLastVersion=486539266\nEnableAutoUpdates=false\n[BasicWindow]\nWarnBeforeStartingStream=false\n",
  );
  writeFileSync(
    join(profile, "basic.ini"),
    "[General]\nName=meshlive\n[Video]\nBaseCX=640\nBaseCY=360\nOutputCX=640\nOutputCY=360\n",
  );
  const settings = { server: `rtmp://127.0.0.1:${gateway.ports.rtmp}/live`, key: secret, use_auth: false };
  writeFileSync(join(profile, "service.json"), JSON.stringify({ type: "rtmp_custom", settings }));
  const item = { name: "colour", id: 1, visible: true, pos: { x: 0, y: 0 }, scale: { x: 1, y: 1 }, align: 5, rot: 0 };
  const sources = [
    { id: "color_source", versioned_id: "color_source_v3", name: "colour", settings: { color: 4278255615, width: 640, height: 360 } },
    { id: "scene", versioned_id: "scene", name: "Scene", settings: { items: [item], id_counter: 1, custom_size: false } },
  ];
  const collection = { name: "meshlive", current_scene: "Scene", current_program_scene: "Scene", scene_order: [{ name: "Scene" }], sources };
  writeFileSync(join(scenes, "meshlive.json"), JSON.stringify(collection));
}

test("OBS publishes at its defaults and the page shows it, also after the switch to transcoding", async () => {
  const { code, stdout, stderr } = await gateway.command("keys", "new", "studio");
  assert.equal(code, 0, stderr);
  configure(/publish secret\s+(\S+)/.exec(stdout)[1]);
  await sleep(1000);
  const obs = start(
    "obs",
    [
      ...["--multi", "--profile", "meshlive", "--collection", "meshlive", "--startstreaming", "--minimize-to-tray"],
      ...["--disable-updater", "--disable-missing-files-check"],
    ],
    { env: { HOME: home, XDG_CONFIG_HOME: join(home, ".config"), DISPLAY, LIBGL_ALWAYS_SOFTWARE: "1", QT_QPA_PLATFORM: "xcb" } },
  );
  try {
    const studio = () => gateway.json("/api/v1/streams/studio");
    await until("OBS is live", async () => (await studio()).live, { timeoutMs: 60_000 }).catch((error) => {
      throw new Error(`${error.message}\n${obs.output.slice(-3000)}`);
    });
    // What OBS sends by default has key frames too far apart: the gateway says so, and transcodes.
    const page = await open(browser, `${gateway.url}/s/studio`, { allow: [/404/] });
    await until("the notice", async () => (await studio()).notices.some((notice) => /transcod/i.test(notice)), {
      timeoutMs: 30_000,
    });
    await playing(page, 30_000);
    await sleep(8000);
    const before_ = await stats(page);
    await sleep(6000);
    const now = await stats(page);
    assert.ok(now.playedMs - before_.playedMs > 4000, JSON.stringify(now));
    assert.equal(await page.evaluate(() => document.querySelector("mesh-player").video.videoWidth), 640);
    await screenshot(page, "obs");
    await page.finish();
  } finally {
    await obs.stop();
  }
  await until("the stream has ended", async () => !(await gateway.json("/api/v1/streams/studio")).live, { timeoutMs: 20_000 });
});
