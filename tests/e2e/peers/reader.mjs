// A viewer without a picture: reads one rendition part by part as a player does, goes to another gateway when its own is
// gone, and back when that has had what is newest for ten seconds, as a page does. `node reader.mjs STREAM RENDITION URL…`; prints what it has seen each second, a line of JSON.

const [stream, rendition, ...known] = process.argv.slice(2);
/** Behind the newest part, seconds: what a player has buffered. */
const BUFFER_S = 1;
const PATIENCE_MS = 2_000;
/** Home is looked for so often, and is steady when it was there so many times in a row. */
const LOOK_MS = 2_000;
const LOOKS = 5;

let at = known[0];
let alive = performance.now();
/** `from`: bytes by gateway; `latestMs`: the longest from the end of a part's recording until it is here; all clocks here are one machine's. */
const seen = { at, parts: 0, bytes: 0, from: {}, lost: [], stallMs: 0, longestMs: 0, latestMs: 0, moves: 0, discontinuities: 0 };

async function get(path, timeoutMs = PATIENCE_MS) {
  const answer = await fetch(at + path, { signal: AbortSignal.timeout(timeoutMs) });
  if (!answer.ok) throw Object.assign(new Error(`${at}${path}: ${answer.status}`), { status: answer.status });
  return answer;
}

/** To the next of those that are known. */
function move() {
  at = known[(known.indexOf(at) + 1) % known.length];
  seen.moves += 1;
  seen.at = at;
}

async function learn() {
  const { gateways } = await (await get(`/api/v1/streams/${stream}`)).json();
  for (const url of gateways) if (!known.includes(url)) known.push(url);
}
setInterval(() => learn().catch(() => {}), 1000);

let good = 0;
/** Back to the first when that is steady. */
async function returns() {
  const [home] = known;
  if (at === home || !last) return;
  const there = await fetch(home + last.path, { method: "HEAD", signal: AbortSignal.timeout(1_000) }).catch(() => null);
  good = there?.ok ? good + 1 : 0;
  if (good < LOOKS) return;
  [good, at, seen.at] = [0, home, home];
}
setInterval(returns, LOOK_MS);
setInterval(() => console.log(JSON.stringify({ ...seen, quietMs: Math.round(performance.now() - alive) })), 1000);

/** Parts of a media playlist in order: `[{msn, part, path, seconds, discontinuities, endMs}]`; `endMs`: of its recording. */
function parts(text) {
  let msn = Number(/#EXT-X-MEDIA-SEQUENCE:(\d+)/.exec(text)[1]);
  let [part, discontinuities, all] = [0, Number(/#EXT-X-DISCONTINUITY-SEQUENCE:(\d+)/.exec(text)?.[1] ?? 0), []];
  let endMs = Number.NaN;
  for (const line of text.split("\n")) {
    if (line === "#EXT-X-DISCONTINUITY") discontinuities += 1;
    if (line.startsWith("#EXT-X-PROGRAM-DATE-TIME:")) endMs = Date.parse(line.slice(line.indexOf(":") + 1));
    if (line.startsWith("#EXT-X-PART:")) {
      const seconds = Number(/[:,]DURATION=([\d.]+)/.exec(line)[1]);
      endMs += 1000 * seconds;
      all.push({ msn, part, seconds, discontinuities, endMs, path: `/live/${stream}/${rendition}/${msn}.${part}.m4s` });
      part += 1;
    } else if (line && !line.startsWith("#")) {
      msn += 1;
      part = 0;
    }
  }
  return all;
}

/** When the next part is due on screen, performance.now(). */
let dueMs = null;
let last = null;
for (;;) {
  try {
    const query = last ? `?_HLS_msn=${last.msn}&_HLS_part=${last.part + 1}` : "";
    const text = await (await get(`/live/${stream}/${rendition}.m3u8${query}`)).text();
    const all = parts(text);
    const fresh = all.filter(({ msn, part }) => !last || msn > last.msn || (msn === last.msn && part > last.part));
    if (!last) fresh.splice(0, Math.max(0, fresh.length - 5));
    for (const one of fresh) {
      let bytes = null;
      for (let tries = 0; bytes === null && tries < 2 * known.length; tries += 1) {
        try {
          bytes = (await (await get(one.path)).arrayBuffer()).byteLength;
          seen.from[at] = (seen.from[at] ?? 0) + bytes;
        } catch {
          move();
        }
      }
      const now = performance.now();
      if (bytes === null) seen.lost.push(one.path);
      else alive = now;
      if (!last || last.discontinuities !== one.discontinuities) {
        if (last) seen.discontinuities += 1;
        dueMs = now + BUFFER_S * 1000;
      } else if (now > dueMs) {
        seen.stallMs += Math.round(now - dueMs);
        seen.longestMs = Math.max(seen.longestMs, Math.round(now - dueMs));
        dueMs = now;
      }
      if (last && one.endMs) seen.latestMs = Math.max(seen.latestMs, Math.round(Date.now() - one.endMs));
      dueMs += one.seconds * 1000;
      seen.parts += 1;
      seen.bytes += bytes ?? 0;
      last = one;
    }
    // Nothing new for a while: this gateway has nobody to hear from.
    if (fresh.length === 0 && performance.now() - alive > PATIENCE_MS) throw new Error("nothing new");
  } catch {
    move();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
