// The directory page, /: which streams are live, told by push.

import { byId, setText, viewerCount } from "./dom.ts";
import { always, Feed, type StreamObject } from "./feed.ts";
import { socketUrl } from "./url.ts";

/** A page of cards; more than this would be a search, not a directory. */
const MAX_CARDS = 500;

const cards = new Map<string, HTMLLIElement>();

const watch = always(socketUrl(new URL("/api/v1/streams/watch", location.href).href));
new Feed<{ streams?: StreamObject[] }>(watch, {
  object: ({ streams }) => show(streams ?? []),
  connected: (up) => {
    if (!up) setText(byId("status"), "The gateway does not answer. Trying again by itself…");
  },
});

byId("server").textContent = `rtmp://${location.hostname}/live`;
byId("ffmpeg").textContent = `ffmpeg -re -i file.mp4 -c copy -f flv rtmp://${location.hostname}/live/SECRET`;

/** Whoever returns to this tab looks at the pictures again. */
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") for (const card of cards.values()) refresh(card);
});

function show(streams: StreamObject[]): void {
  const live = streams.filter((one) => one.live && one.stream).slice(0, MAX_CARDS);
  byId("empty").hidden = live.length > 0;
  const words = live.length === 1 ? "1 stream is on air." : `${live.length} streams are on air.`;
  setText(byId("status"), live.length === 0 ? "" : words);
  const names = new Set(live.map((one) => one.stream ?? ""));
  for (const [name, card] of cards) {
    if (!names.has(name)) {
      card.remove();
      cards.delete(name);
    }
  }
  for (const one of live) {
    const name = one.stream ?? "";
    const card = cards.get(name) ?? make(name, one);
    fill(card, one);
    byId("streams").append(card);
  }
}

function make(name: string, { alias }: StreamObject): HTMLLIElement {
  const card = document.createElement("li");
  card.innerHTML = `<a class="card"><span class="picture"><img alt=""></span>
    <span class="text"><strong></strong><span class="facts"><span class="badge">Live</span><span class="viewers"></span></span></span></a>`;
  card.dataset.stream = name;
  const image = card.querySelector("img") as HTMLImageElement;
  image.addEventListener("error", () => image.classList.add("missing"));
  image.addEventListener("load", () => image.classList.remove("missing"));
  const path = encodeURIComponent(alias || name);
  (card.querySelector("a") as HTMLAnchorElement).href = `/s/${path}`;
  cards.set(name, card);
  return card;
}

function fill(card: HTMLLIElement, { stream, alias, title, viewers = 0 }: StreamObject): void {
  setText(card.querySelector("strong") as HTMLElement, title || alias || stream || "");
  setText(card.querySelector(".viewers") as HTMLElement, viewerCount(viewers));
  refresh(card);
}

/** The still picture as it is now. Each push and each return to the tab brings one; nothing is asked for in between. */
function refresh(card: HTMLLIElement): void {
  const image = card.querySelector("img") as HTMLImageElement;
  image.src = `/live/${encodeURIComponent(card.dataset.stream ?? "")}/still.jpg?${Date.now()}`;
}
