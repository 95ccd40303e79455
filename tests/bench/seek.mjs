// Seeks anywhere in a recorded day in the player's page, until the picture is on screen: `node tests/bench/seek.mjs [--hours N] [--seeks N]`
// The day is made quickly, of a film that is repeated (2.4 GB for 24 hours); `--day FOLDER` makes it there, or takes what is there. Of each seek the time counts from the bar's
// change to the first frame that is of that time.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { launch, median, open } from "../e2e/browser.mjs";
import { Gateway } from "../e2e/gateway.mjs";
import { compile, example } from "../interop/fetcher.mjs";
import { report } from "./process.mjs";

const { values } = parseArgs({ options: { hours: { type: "string", default: "24" }, seeks: { type: "string", default: "60" }, day: { type: "string" } } });
const [hours, seeks] = [Number(values.hours), Number(values.seeks)];
/** 2026-11-22T00:00:00Z, seconds. */
const MIDNIGHT = 1_795_305_600;

const folder = mkdtempSync(join(tmpdir(), "meshlive-seek-"));
const [video, sound, config] = ["v.h264", "a.aac", "config.toml"].map((name) => join(folder, name));
const data = values.day ?? join(folder, "data");
let gateway;
let browser;

/** Runs in the page: puts the bar there; ms until a frame of that time is on screen. */
function seek(offset) {
  const player = document.querySelector("mesh-player");
  const range = player.shadowRoot.querySelector(".seek input");
  const held = player.shadowRoot.querySelector("canvas");
  const since = performance.now();
  return new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`no picture at ${offset}`)), 20_000);
    range.value = offset;
    range.dispatchEvent(new Event("input"));
    range.dispatchEvent(new Event("change"));
    const shown = () => {
      // The frame is here; that nothing covers it is seen with the next one.
      if (!held.hidden || player.video.seeking || Math.abs(Number(range.value) - offset) > 3000) return ask();
      resolve(performance.now() - since);
    };
    const ask = () => player.video.requestVideoFrameCallback(shown);
    ask();
  });
}

function make() {
  compile("past");
  mkdirSync(data);
  const ffmpeg = (...args) => execFileSync("ffmpeg", ["-v", "error", "-y", ...args]);
  const coded = "-c:v libx264 -preset veryfast -crf 34 -bf 0 -g 50 -sc_threshold 0 -pix_fmt yuv420p -bsf:v h264_metadata=aud=insert";
  ffmpeg("-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=60", ...coded.split(" "), "-f", "h264", video);
  ffmpeg("-f", "lavfi", "-i", "sine=r=48000:d=60", "-ac", "2", "-c:a", "aac", "-b:a", "16k", "-f", "adts", sound);
  const since = performance.now();
  execFileSync(example("past"), [data, "cam", video, sound, `${MIDNIGHT}:${hours * 3600}`], { stdio: ["ignore", "ignore", "inherit"] });
  console.log(`# ${hours} hours were made in ${Math.round((performance.now() - since) / 1000)} s`);
}

try {
  if (!existsSync(data)) make();
  writeFileSync(config, 'inputs = []\n[archive]\nkeep = "everything"\n');
  gateway = await Gateway.start({ data, inputs: [], flags: ["--config", config] });
  const { days } = await gateway.json("/api/v1/streams/cam/archive");
  const seconds = days.flatMap((day) => day.hours).reduce((sum, hour) => sum + hour.duration, 0);
  if (Math.abs(seconds / 3600 / hours - 1) > 0.01) throw new Error(`of ${hours * 3600} s there are ${seconds}`);
  browser = await launch();
  const [first, took] = [[], []];
  for (let round = 0; round < 3; round += 1) {
    const page = await open(browser, `${gateway.url}/s/cam`);
    await page.waitForFunction(() => document.querySelector("mesh-player").view?.message);
    await page.mouse.move(400, 300);
    await page.waitForSelector(".seek:not([hidden])");
    const length = await page.$eval(".seek input", (range) => Number(range.max));
    // Low discrepancy: anywhere, and each time the same.
    for (let at = 0; at < seeks / 3; at += 1) {
      const share = ((at * 3 + round) * 0.618_034 + 0.3) % 0.999;
      (at === 0 ? first : took).push(await page.evaluate(seek, Math.round(share * length)));
    }
    await page.finish();
  }
  const sorted = took.toSorted((a, b) => a - b);
  const ms = (value) => `${Math.round(value)} ms`;
  const what = `${took.length} seeks anywhere in ${hours} hours, picture on screen, median (95 %, longest)`;
  const shown = `${ms(median(took))} (${ms(sorted[Math.floor(sorted.length * 0.95)])}, ${ms(sorted.at(-1))})`;
  report(what, shown, "≤ 700 ms", median(took) <= 700);
  report("the same, the first in a page (with the day's playlist), median of 3", ms(median(first)), "–", true);
} finally {
  await browser?.close();
  await gateway?.dispose();
  rmSync(folder, { recursive: true, force: true });
}
