// Playlists: hls-parser in strict mode, and our own rules for what it misses (RFC 8216bis §4.4, §6.2.5, §6.3).

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import HLS from "hls-parser";
import { sleep } from "../e2e/gateway.mjs";
import { media, onAir, renditions } from "./stream.mjs";

HLS.setOptions({ strictMode: true, silent: true });

let gateway;
let playlists;
before(async () => {
  gateway = await onAir();
  playlists = await renditions(gateway);
});
after(() => gateway?.dispose());

const attribute = (text, name) => new RegExp(`[:,]${name}=("[^"]*"|[^,\\s]*)`).exec(text)?.[1]?.replace(/"/g, "");
const tag = (text, name) => new RegExp(`^#${name}:(.*)$`, "m").exec(text)?.[1];

/** What a media playlist breaks; our own rules. */
function broken(text) {
  const faults = [];
  const rule = (holds, what) => {
    if (!holds) faults.push(what);
  };
  const target = Number(attribute(text, "PART-TARGET"));
  const control = tag(text, "EXT-X-SERVER-CONTROL") ?? "";
  rule(target > 0, "EXT-X-PART-INF names PART-TARGET");
  rule(attribute(`:${control}`, "CAN-BLOCK-RELOAD") === "YES", "CAN-BLOCK-RELOAD=YES");
  const partHoldBack = Number(attribute(`:${control}`, "PART-HOLD-BACK"));
  rule(partHoldBack >= 2 * target, `PART-HOLD-BACK ${partHoldBack} is at least twice PART-TARGET ${target}`);
  rule(partHoldBack <= 3, `PART-HOLD-BACK ${partHoldBack} keeps the latency low`);
  const duration = Number(tag(text, "EXT-X-TARGETDURATION"));
  const skip = attribute(`:${control}`, "CAN-SKIP-UNTIL");
  if (skip !== undefined) rule(Number(skip) >= 6 * duration, `CAN-SKIP-UNTIL ${skip} is at least six times ${duration}`);
  const hold = attribute(`:${control}`, "HOLD-BACK");
  if (hold !== undefined) rule(Number(hold) >= 3 * duration, `HOLD-BACK ${hold} is at least three times ${duration}`);

  rule(/^#EXT-X-PROGRAM-DATE-TIME:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:?\d\d)$/m.test(text), "program date time");
  rule(/^#EXT-X-MAP:URI="[^"]+"/m.test(text), "EXT-X-MAP with a quoted URI");
  rule(/^#EXT-X-PRELOAD-HINT:TYPE=PART,URI="[^"]+"/m.test(text), "a preload hint for the next part");
  for (const [, extinf] of text.matchAll(/^#EXTINF:([\d.]+)/gm)) {
    rule(Math.round(Number(extinf)) <= duration, `EXTINF ${extinf} rounds to at most ${duration}`);
  }

  // Parts by segment: those of a finished one are followed by its EXTINF.
  let parts = [];
  for (const line of text.split("\n")) {
    if (line.startsWith("#EXT-X-PART:")) {
      parts.push(line);
      rule(/URI="[^"]+"/.test(line), `quoted URI: ${line}`);
    }
    if (!line.startsWith("#EXTINF")) continue;
    for (const [index, part] of parts.entries()) {
      const seconds = Number(attribute(part, "DURATION"));
      const last = index === parts.length - 1;
      rule(seconds <= target + 1e-9, `${part} is at most PART-TARGET ${target}`);
      if (!last && attribute(part, "INDEPENDENT") !== "YES") {
        rule(seconds >= 0.85 * target, `${part} is at least 85 % of PART-TARGET ${target}`);
      }
    }
    if (parts.length > 0) {
      const sum = parts.reduce((total, part) => total + Number(attribute(part, "DURATION")), 0);
      const extinf = Number(/#EXTINF:([\d.]+)/.exec(line)[1]);
      rule(Math.abs(sum - extinf) < 0.02, `parts of ${sum} s make a segment of ${extinf} s`);
      rule(attribute(parts[0], "INDEPENDENT") === "YES", "a segment begins with an independent part");
    }
    parts = [];
  }
  return faults;
}

test("every media playlist passes hls-parser's strict mode and our rules", async () => {
  assert.ok(playlists.length > 0);
  for (const url of playlists) {
    const { text } = await media(gateway, url);
    const parsed = HLS.parse(text);
    assert.equal(parsed.isMasterPlaylist, false);
    assert.ok(parsed.segments.length >= 4, text);
    assert.deepEqual(broken(text), [], `${url}\n${text}`);
  }
});

test("the rules notice what is wrong (their negative twin)", async () => {
  const { text } = await media(gateway, playlists[0]);
  for (const [pattern, wrong] of [
    [/PART-HOLD-BACK=[\d.]+/, "PART-HOLD-BACK=0.1"],
    [/CAN-BLOCK-RELOAD=YES/, "CAN-BLOCK-RELOAD=NO"],
    [/#EXT-X-PART:DURATION=[\d.]+/, "#EXT-X-PART:DURATION=0.9"],
    [/#EXT-X-PROGRAM-DATE-TIME.*\n/g, ""],
    [/#EXT-X-PRELOAD-HINT.*\n/, ""],
  ]) {
    assert.ok(pattern.test(text), `${pattern} is in the playlist`);
    assert.notDeepEqual(broken(text.replace(pattern, wrong)), [], `${wrong}`);
  }
});

test("the multivariant playlist is strict HLS with codecs, bandwidth and frame rate", async () => {
  const text = await gateway.text("/live/testcard/index.m3u8");
  const { isMasterPlaylist, variants } = HLS.parse(text);
  assert.ok(isMasterPlaylist);
  for (const { bandwidth, codecs } of variants) {
    assert.ok(bandwidth > 10_000);
    assert.match(codecs, /avc1\.|mp4a\./);
  }
  assert.ok(variants.some(({ frameRate, resolution }) => frameRate >= 29 && resolution?.width === 640), text);
});

/** The last segment and part that a playlist has: where a reload would block. */
function edge(text) {
  const first = Number(tag(text, "EXT-X-MEDIA-SEQUENCE"));
  const hint = /PRELOAD-HINT:.*?URI="[^"]*?(\d+)\.(\d+)\.m4s/.exec(text);
  return { first, msn: Number(hint[1]), part: Number(hint[2]) };
}

test("a blocking reload is answered when its part is there, and holds it (§6.2.5.2)", async () => {
  for (let round = 0; round < 5; round += 1) {
    const { text } = await media(gateway, playlists[0]);
    const { msn, part } = edge(text);
    const asked = await media(gateway, playlists[0], { _HLS_msn: msn, _HLS_part: part + 1 });
    assert.equal(asked.status, 200);
    const now = edge(asked.text);
    assert.ok(now.msn > msn || now.part > part + 1, `asked for ${msn}.${part + 1}, got up to ${now.msn}.${now.part}`);
    assert.ok(asked.ms < 1500, `held for ${asked.ms} ms`);
  }
});

test("blocking reload: too far ahead and malformed are refused at once (§6.2.5.2)", async () => {
  const { msn } = edge((await media(gateway, playlists[0])).text);
  for (const query of [
    { _HLS_msn: msn + 10 },
    { _HLS_msn: "x" },
    { _HLS_msn: "-1" },
    { _HLS_part: 1 },
    { _HLS_msn: "9".repeat(40) },
    { _HLS_msn: msn, _HLS_part: "9".repeat(40) },
  ]) {
    const { status, ms } = await media(gateway, playlists[0], query);
    assert.equal(status, 400, JSON.stringify(query));
    assert.ok(ms < 1000, `${JSON.stringify(query)} took ${ms} ms`);
  }
});

test("the preload hint's part is answered when it is there, whole", async () => {
  const { text } = await media(gateway, playlists[0]);
  const uri = /PRELOAD-HINT:.*?URI="([^"]+)"/.exec(text)[1];
  const answer = await fetch(new URL(uri, playlists[0]), { signal: AbortSignal.timeout(5000) });
  assert.equal(answer.status, 200);
  assert.ok((await answer.arrayBuffer()).byteLength > 100);
});

test("a delta update says the same with fewer lines (§6.2.5.1)", async () => {
  await sleep(26_000); // CAN-SKIP-UNTIL is at least six target durations
  const whole = (await media(gateway, playlists[0])).text;
  const { text } = await media(gateway, playlists[0], { _HLS_skip: "YES" });
  const skipped = Number(attribute(text, "SKIPPED-SEGMENTS"));
  assert.ok(skipped > 0, text);
  assert.ok(text.length < whole.length);
  const count = (playlist) => (playlist.match(/#EXTINF/g) ?? []).length;
  assert.ok(Math.abs(count(whole) - count(text) - skipped) <= 1, `${count(whole)}, ${count(text)} + ${skipped}`);
});
