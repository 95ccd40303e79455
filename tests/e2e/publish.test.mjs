// Publishers over RTMP, as the README says it, seen on the page.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch, open, playing, stats } from "./browser.mjs";
import { film, Gateway, run, sleep, start, until } from "./gateway.mjs";

let browser;
let gateway;
const folder = mkdtempSync(join(tmpdir(), "meshlive-film-"));
const path = join(folder, "film.mp4");
before(async () => {
  [browser, gateway] = await Promise.all([launch(), Gateway.start(), film(path, { seconds: 40 })]);
});
after(async () => {
  await browser?.close();
  await gateway?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

async function secretOf(alias) {
  const { code, stdout, stderr } = await gateway.command("keys", "new", alias);
  assert.equal(code, 0, stderr);
  await sleep(1200); // a running gateway sees new keys within a second
  return /publish secret\s+(\S+)/.exec(stdout)[1];
}

const publish = (secret, extra = []) =>
  start("ffmpeg", [
    ...["-v", "warning", "-re", "-stream_loop", "-1", "-i", path, "-c", "copy", ...extra],
    ...["-f", "flv", `rtmp://127.0.0.1:${gateway.ports.rtmp}/live/${secret}`],
  ]);

test("ffmpeg publishes by its secret, and a page that waited shows it by itself", async () => {
  const secret = await secretOf("stage");
  const page = await open(browser, `${gateway.url}/s/stage`, { allow: [/404/] });
  await page.waitForFunction(() => document.querySelector("mesh-player").view?.message, null, { timeout: 10_000 });
  const publisher = publish(secret);
  await until("the first segment", async () => {
    const { streams } = await gateway.json("/api/v1/streams");
    const stage = streams.find(({ alias }) => alias === "stage");
    return stage?.live && (await gateway.text("/live/stage/index.m3u8")).includes(".m3u8");
  });
  const since = Date.now();
  await playing(page, 20_000);
  const took = Date.now() - since;
  assert.ok(took < 3000, `on the page ${took} ms after its first playlist`);
  assert.equal(await page.evaluate(() => document.querySelector("mesh-player").video.videoWidth), 640);

  const { streams } = await gateway.json("/api/v1/streams");
  assert.deepEqual(streams.filter(({ live }) => live).map(({ alias }) => alias).sort(), ["stage", "testcard"]);

  // Goes and comes back: the same page goes on.
  await publisher.stop();
  await sleep(3000);
  const again = publish(secret);
  const before_ = (await stats(page)).playedMs;
  await until("the picture is back", async () => (await stats(page)).playedMs > before_ + 3000, { timeoutMs: 30_000 });
  await again.stop();
  await page.finish();
});

test("a wrong secret is refused", async () => {
  const refused = await run(
    "ffmpeg",
    [
      ...["-v", "error", "-re", "-i", path, "-t", "5", "-c", "copy"],
      ...["-f", "flv", `rtmp://127.0.0.1:${gateway.ports.rtmp}/live/wrong-secret`],
    ],
    { timeoutMs: 15_000 },
  );
  assert.notEqual(refused.code, 0);
  const { streams } = await gateway.json("/api/v1/streams");
  assert.ok(!streams.some(({ alias }) => alias.includes("wrong")), JSON.stringify(streams));
});

test("a second publisher on a live stream is refused, and the first goes on", async () => {
  const secret = await secretOf("twice");
  const first = publish(secret);
  const live = async () => (await gateway.json("/api/v1/streams/twice")).live;
  await until("the first is live", live);
  const second = publish(secret);
  const { code } = await second.ended;
  assert.notEqual(code, 0, "the second publisher was let in");
  assert.ok(await live());
  assert.equal(first.child.exitCode, null, first.output);
  await first.stop();
});
