// The page of a stream's past, /s/{stream}/archive: a calendar, the hours of a day, and a player over a whole day. The list
// and all that plays are checked (`Recorded`); pictures and titles are the gateway's word.

import Hls from "hls.js/light";
import { byId, setText } from "./dom.ts";
import type { StreamObject } from "./feed.ts";
import { Gateways } from "./gateways.ts";
import {
  asked,
  byLocalDay,
  type Chapter,
  dayName,
  type Hour,
  length,
  localDay,
  monthGrid,
  type Past,
  positionOf,
  size,
  stills,
  stretch,
  timeAt,
} from "./past.ts";
import { pastLoaders } from "./past-loader.ts";
import { checks, loadPeer } from "./peer.ts";
import { Recorded, Untrue } from "./recorded.ts";

const stream = decodeURIComponent(/^\/s\/([^/]+)/.exec(location.pathname)?.[1] ?? "");
const api = `/api/v1/streams/${encodeURIComponent(stream)}/archive`;
const video = Object.assign(document.createElement("video"), { controls: true, playsInline: true });
byId("stage").prepend(video);

/** What is on air has no hour yet: it plays from the gateway's own playlist. */
const ON_AIR = new URL(`/live/${encodeURIComponent(stream)}/earlier/index.m3u8`, location.href).href;

/** Another player begins where this one ends: a day of the viewer's may lie in two of the archive's. */
let playing: { hls: Hls; source: string; day: string } | null = null;
let recorded: Recorded | null = null;
let days = new Map<string, Hour[]>();
let chapters: Chapter[] = [];
/** The ends of a clip that are chosen, seconds since 1970. */
const clip: { from?: number; to?: number } = {};
/** Where a clip that was linked to ends, milliseconds since 1970. */
let until: number | undefined;
let shown = { year: 0, month: 0 };
let chosen = "";

const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const words = (day: string) =>
  new Date(`${day}T12:00:00Z`).toLocaleDateString(undefined, { dateStyle: "full", timeZone: "UTC" });

byId<HTMLAnchorElement>("to-live").href = `/s/${encodeURIComponent(stream)}`;
byId("earlier").addEventListener("click", () => turn(-1));
byId("later").addEventListener("click", () => turn(1));
video.addEventListener("timeupdate", () => {
  const at = timeAt(segments(), video.currentTime);
  if (at === undefined) return;
  setText(byId("clock"), exact.format(at));
  if (until !== undefined && at >= until) {
    until = undefined;
    video.pause();
  }
});
for (const end of ["from", "to"] as const) {
  byId(`clip-${end}`).addEventListener("click", () => {
    const at = timeAt(segments(), video.currentTime);
    if (at === undefined) return;
    clip[end] = at / 1000;
    void drawClip();
  });
}
video.addEventListener("ended", () => {
  const all = [...days.values()].flat();
  const next = all.find(({ day }) => playing?.day && day.name > playing.day);
  if (next) play(next, next.start);
});

void load();

async function load(): Promise<void> {
  let past: Past;
  try {
    past = await list();
  } catch (error) {
    setText(byId("status"), error instanceof Error ? error.message : String(error));
    return;
  }
  const title = past.title || past.alias;
  document.title = `Archive of ${title} · Meshlive`;
  setText(byId("title"), title);
  days = byLocalDay(past);
  chapters = past.chapters ?? [];
  drawOnAir(past);
  const wanted = asked(location.hash);
  const newest = [...days.keys()].at(-1);
  if (newest === undefined) {
    setText(byId("status"), "Nothing is archived yet: an hour appears here when it is over.");
    return;
  }
  const hours = [...days.values()].flat();
  const bytes = hours.reduce((sum, hour) => sum + hour.bytes, 0);
  const seconds = hours.reduce((sum, hour) => sum + hour.duration, 0);
  const count = days.size === 1 ? "1 day" : `${days.size} days`;
  setText(byId("status"), `${length(seconds)} on ${count}, ${size(bytes)}.`);
  setText(byId("zone"), `Times are those of ${Intl.DateTimeFormat().resolvedOptions().timeZone}.`);
  byId("weekdays").replaceChildren(
    ...Array.from({ length: 7 }, (_, at) => {
      const head = document.createElement("th");
      head.scope = "col";
      // 2024-01-01 was a Monday.
      const monday = new Date(Date.UTC(2024, 0, 1 + at));
      head.textContent = monday.toLocaleDateString(undefined, { weekday: "short", timeZone: "UTC" });
      return head;
    }),
  );
  byId("shelf").hidden = false;
  const time = wanted ? wanted.at * 1000 : 0;
  const at = hours.find(({ start, held }) => held && time >= start && time < start + 3_600_000);
  choose(at ? localDay(at.start) : newest);
  if (!at) return;
  play(at, time);
  if (wanted?.to !== undefined) {
    until = wanted.to * 1000;
    Object.assign(clip, { from: time / 1000, to: wanted.to });
    void drawClip();
  }
}

/** What is past, checked; throws a sentence that says why there is none to show. */
async function list(): Promise<Past> {
  const about = new URL(`/api/v1/streams/${encodeURIComponent(stream)}`, location.href);
  const [answer, verifier] = await Promise.all([
    fetch(about).catch(() => null),
    loadPeer().catch((error) => error as unknown),
  ]);
  if (verifier !== undefined) {
    const why = "The player's verifier did not load, and nothing is shown that was not checked";
    throw new Error(`${why} (${verifier}). Reload the page to try again.`);
  }
  if (answer?.status === 404) throw new Error("There is no such stream on this gateway.");
  const object = answer?.ok ? ((await answer.json().catch(() => null)) as StreamObject | null) : null;
  if (!object?.stream) throw new Error("The gateway does not answer.");
  // An alias is the gateway's to give; a name that was asked for is not.
  if (stream.startsWith("k51") && stream !== object.stream)
    throw new Untrue(location.origin, "another stream");
  const gateways = new Gateways(location.origin, stream, location.protocol === "https:");
  gateways.name = object.stream;
  gateways.told(object.gateways);
  recorded = new Recorded(object.stream, () => gateways.all, checks);
  return recorded.past().catch((error) => {
    throw error instanceof Untrue ? error : new Error(`What is archived cannot be had: ${error.message}.`);
  });
}

/** What the chosen stretch is called and where it is had. It is stored nowhere: whoever runs the gateway may keep it. */
async function drawClip(): Promise<void> {
  const chosen = stretch(clip.from, clip.to);
  const words = (at?: number) => (at === undefined ? "…" : exact.format(at * 1000));
  setText(byId("clip-range"), `${words(chosen?.from ?? clip.from)} – ${words(chosen?.to ?? clip.to)}`);
  byId("clip-made").hidden = true;
  if (!chosen) return;
  const query = `from=${chosen.from}&to=${chosen.to}`;
  const answer = await fetch(`${api}/clip?${query}`).catch(() => null);
  const now = stretch(clip.from, clip.to);
  if (now?.from !== chosen.from || now.to !== chosen.to) return;
  if (!answer?.ok) {
    const why = (await answer?.json().catch(() => null)) as { error?: string } | null;
    setText(byId("clip-range"), why?.error ?? "The gateway does not answer.");
    return;
  }
  const { cid, bytes, kept } = (await answer.json()) as { cid: string; bytes: number; kept: boolean };
  byId<HTMLAnchorElement>("clip-link").href = `#t=${chosen.from}&to=${chosen.to}`;
  byId<HTMLAnchorElement>("clip-movie").href = `${api}/recording.mp4?${query}`;
  byId<HTMLAnchorElement>("clip-car").href = `${api}/clip.car?${query}`;
  setText(byId("clip-cid"), `${size(bytes)}, ipfs://${cid}${kept ? ", kept on this gateway as a clip" : ""}`);
  byId("clip-made").hidden = false;
}

/** What is past of the run on air, before its hour is over. */
function drawOnAir({ open }: Past): void {
  byId("on-air").hidden = !open;
  if (!open) return;
  setText(byId("on-air-since"), `On air since ${time.format(open.from * 1000)}`);
  byId("from-beginning").addEventListener("click", () => playOnAir(0));
}

/** Plays from a time on (ms since 1970) what is on air; its seek bar ends where live is. */
function playOnAir(at: number): void {
  show(ON_AIR, "", at);
}

function drawChapters(day: string): void {
  const ofDay = chapters.filter(({ at }) => localDay(at * 1000) === day);
  byId("chapters").replaceChildren(
    ...ofDay.map(({ at, title }) => {
      const row = document.createElement("li");
      const button = Object.assign(document.createElement("button"), { type: "button", className: "quiet" });
      button.textContent = `${time.format(at * 1000)} ${title}`;
      button.addEventListener("click", () => playAt(at * 1000));
      row.append(button);
      return row;
    }),
  );
}

/** Plays from a time on (ms since 1970), where that is kept. */
function playAt(at: number): void {
  const all = [...days.values()].flat();
  const hour = all.find(({ start, held }) => held && at >= start && at < start + 3_600_000);
  if (hour) play(hour, at);
}

function turn(months: number): void {
  const { year, month } = shown;
  const first = new Date(Date.UTC(year, month + months, 1));
  drawMonth(first.getUTCFullYear(), first.getUTCMonth());
}

function choose(day: string): void {
  chosen = day;
  drawMonth(Number(day.slice(0, 4)), Number(day.slice(5, 7)) - 1);
  drawDay(day);
}

function drawMonth(year: number, month: number): void {
  shown = { year, month };
  const first = new Date(Date.UTC(year, month, 1));
  setText(
    byId("month"),
    first.toLocaleDateString(undefined, { month: "long", year: "numeric", timeZone: "UTC" }),
  );
  const names = [...days.keys()];
  byId<HTMLButtonElement>("earlier").disabled = (names[0] ?? "") >= dayName(year, month, 1);
  byId<HTMLButtonElement>("later").disabled = (names.at(-1) ?? "") <= dayName(year, month, 31);
  byId("days").replaceChildren(
    ...monthGrid(year, month).map((week) => {
      const row = document.createElement("tr");
      row.append(
        ...week.map((day) => {
          const cell = document.createElement("td");
          if (day !== null) cell.append(dayButton(day));
          return cell;
        }),
      );
      return row;
    }),
  );
}

function dayButton(day: string): HTMLElement {
  const number = String(Number(day.slice(8)));
  const hours = days.get(day);
  if (!hours) return Object.assign(document.createElement("span"), { textContent: number });
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: number });
  button.className = day === chosen ? "chosen" : "quiet";
  button.dataset.day = day;
  button.setAttribute(
    "aria-label",
    `${words(day)}, ${hours.length} ${hours.length === 1 ? "hour" : "hours"}`,
  );
  if (day === chosen) button.setAttribute("aria-current", "date");
  button.addEventListener("click", () => {
    choose(day);
    document.querySelector<HTMLElement>(`[data-day="${day}"]`)?.focus();
  });
  return button;
}

function drawDay(day: string): void {
  const hours = days.get(day) ?? [];
  setText(byId("day"), words(day));
  drawChapters(day);
  const first = hours.find(({ held }) => held);
  const whole: Node[] = [];
  if (first) {
    const button = Object.assign(document.createElement("button"), {
      type: "button",
      textContent: "Play the day",
    });
    button.addEventListener("click", () => play(first, first.start));
    whole.push(button);
    const last = hours.at(-1) ?? first;
    whole.push(movie(first.start, last.start + 3_600_000, "Download the day (MP4)"));
  }
  byId("whole").replaceChildren(...whole);
  byId("hours").replaceChildren(...hours.map(hourRow));
}

function hourRow(hour: Hour): HTMLLIElement {
  const row = document.createElement("li");
  row.dataset.hour = hour.cid;
  const head = document.createElement("p");
  head.className = "facts";
  const when = document.createElement("strong");
  when.textContent = time.format(hour.start);
  const what = document.createElement("span");
  what.textContent = `${length(hour.duration)}, ${size(hour.bytes)}`;
  head.append(when, what);
  if (hour.title) {
    const title = document.createElement("span");
    title.className = "title";
    title.textContent = hour.title;
    when.after(title);
  }
  row.append(head);
  if (!hour.held) {
    head.append("Not kept on this gateway any more.");
    return row;
  }
  const car = document.createElement("a");
  const name = `${stream}-${hour.start / 1000}.car`;
  car.href = `/ipfs/${hour.cid}?format=car&filename=${encodeURIComponent(name)}`;
  car.download = name;
  car.textContent = "Download (CAR)";
  const link = document.createElement("a");
  link.href = `/ipfs/${hour.cid}/index.m3u8`;
  link.textContent = "Playlist";
  head.append(movie(hour.start, hour.start + 3_600_000, "Download (MP4)"), car, link);
  const strip = document.createElement("div");
  strip.className = "strip";
  for (const at of stills(hour)) {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", `Play from ${time.format(at * 1000)}`);
    const picture = document.createElement("img");
    picture.loading = "lazy";
    picture.alt = "";
    picture.addEventListener("error", () => picture.classList.add("missing"));
    picture.src = `${api}/still.jpg?at=${at}`;
    button.append(picture);
    button.addEventListener("click", () => play(hour, at * 1000));
    strip.append(button);
  }
  row.append(strip);
  return row;
}

/** A link to what was between two times (ms since 1970), as one file. */
function movie(from: number, to: number, text: string): HTMLAnchorElement {
  const link = document.createElement("a");
  link.href = `${api}/recording.mp4?from=${from / 1000}&to=${to / 1000}`;
  link.textContent = text;
  return link;
}

function segments() {
  const { hls } = playing ?? {};
  return hls?.levels[hls.currentLevel]?.details?.fragments ?? hls?.latestLevelDetails?.fragments ?? [];
}

/** Plays the archive's day of this hour from a time on (ms since 1970); its seek bar is the whole day. */
function play(hour: Hour, at: number): void {
  until = undefined;
  history.replaceState(null, "", `#t=${Math.floor(at / 1000)}`);
  show(new URL(`/ipfs/${hour.day.cid}/index.m3u8`, location.href).href, hour.day.name, at);
}

function show(source: string, day: string, at: number): void {
  if (!recorded) return;
  byId("stage").hidden = false;
  byId("trouble").hidden = true;
  byId("stage").scrollIntoView({ block: "nearest" });
  if (playing?.source === source) {
    const position = positionOf(segments(), at);
    if (position !== undefined) video.currentTime = position;
    void start();
    return;
  }
  playing?.hls.destroy();
  const trouble = (text: string): void => {
    if (playing?.hls !== hls) return;
    byId("trouble").hidden = false;
    setText(byId("trouble"), text);
  };
  const untrue = (error: Untrue): void => {
    trouble(error.message);
    if (playing?.hls !== hls) return;
    // What was right is played to its end; another try begins anew.
    hls.stopLoad();
    playing.source = "";
  };
  const hls = new Hls({
    ...pastLoaders(recorded, untrue),
    autoStartLoad: false,
    // See `playback.ts`.
    enableWorker: false,
    maxBufferLength: 30,
    backBufferLength: 60,
  });
  playing = { hls, source, day };
  hls.on(Hls.Events.ERROR, (_, { fatal, details }) => {
    if (fatal) trouble(`This cannot be played (${details}). The hours below can be downloaded.`);
  });
  hls.once(Hls.Events.MANIFEST_PARSED, () => hls.startLoad(0));
  hls.once(Hls.Events.LEVEL_LOADED, (_, { details }) => {
    const position = positionOf(details.fragments, at);
    if (position) video.currentTime = position;
  });
  hls.loadSource(source);
  hls.attachMedia(video);
  void start();
}

/** A browser may want a click first: the controls are there for it. */
async function start(): Promise<void> {
  await video.play().catch(() => undefined);
}
