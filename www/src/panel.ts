// The panel "What flows": who feeds whom, since when, how late; and the switch that ends it. Loaded when first opened.

import type { MeshPlayer } from "./element.ts";
import { remember } from "./memory.ts";
import css from "./panel.css";
import { drawFlow, drawRates, drawTimes } from "./panel-draw.ts";
import { History } from "./panel-history.ts";
import { now, row, visit } from "./panel-text.ts";
import { because } from "./sharing.ts";
import type { Stats } from "./stats.ts";

const EVERY_MS = 500;
/** Rows of the table; a viewer has at most twice eight neighbours. */
const MOST_ROWS = 24;

const template = document.createElement("template");
template.innerHTML = `
<style>${css}</style>
<dialog class="panel" aria-labelledby="panel-title">
  <header>
    <h2 id="panel-title">What flows</h2>
    <button class="close" type="button" aria-label="Close">
      <svg viewBox="0 0 20 20" aria-hidden="true"><path d="M4 4 16 16M16 4 4 16" stroke="currentColor" stroke-width="2" stroke-linecap="round"/></svg>
    </button>
  </header>
  <p id="panel-now">Measuring…</p>
  <svg class="who" viewBox="0 0 400 262" role="img" aria-label="Who feeds whom" aria-describedby="panel-now"></svg>
  <ul class="key">
    <li><svg viewBox="0 0 18 12" aria-hidden="true"><rect class="fill-viewers" width="18" height="12" rx="2"/></svg>from viewers</li>
    <li><svg viewBox="0 0 18 12" aria-hidden="true"><rect class="fill-gateway" width="18" height="12" rx="2"/><rect fill="url(#hatch)" width="18" height="12"/></svg>from the gateway</li>
    <li><svg viewBox="0 0 18 12" aria-hidden="true"><path class="stroke-given" d="M0 6H18"/></svg>passed on</li>
  </ul>
  <div class="sharing">
    <label class="choice"><input class="switch" type="checkbox" role="switch" aria-describedby="panel-privacy panel-reason">Share with other viewers</label>
    <p id="panel-privacy" class="small">Viewers that share see each other's network address.</p>
    <p id="panel-reason" class="small" hidden></p>
  </div>
  <h3 id="panel-rates">The last two minutes</h3>
  <svg class="rates" viewBox="-14 -18 400 122" role="img" aria-labelledby="panel-rates" aria-describedby="panel-visit">
    <defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><line class="hatch" x1="0" x2="0" y1="0" y2="6"/></pattern></defs>
    <g></g>
  </svg>
  <p id="panel-visit" class="small"></p>
  <h3 id="panel-times">Behind and buffered</h3>
  <svg class="times" viewBox="-14 -18 400 94" role="img" aria-labelledby="panel-times" aria-describedby="panel-late"></svg>
  <ul class="key" id="panel-late">
    <li><svg viewBox="0 0 18 12" aria-hidden="true"><path class="stroke-accent" d="M0 6H18"/></svg><span class="latency">behind</span></li>
    <li><svg viewBox="0 0 18 12" aria-hidden="true"><path class="stroke-ink" d="M0 6H18"/></svg><span class="buffer">buffered</span></li>
  </ul>
  <details>
    <summary>The same as a table</summary>
    <table>
      <thead><tr><th scope="col">Who</th><th scope="col">gives</th><th scope="col">takes</th><th scope="col">away</th></tr></thead>
      <tbody></tbody>
    </table>
  </details>
  <label class="choice minor"><input class="keyed" type="checkbox">The key P opens and closes this</label>
</dialog>`;

export class Panel {
  #player: MeshPlayer;
  #dialog: HTMLDialogElement;
  #history = new History();
  #stats: Stats;
  #closed: () => void;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** Puts itself into `root`, closed; `closed` is called whenever it was open and is no longer. */
  constructor(player: MeshPlayer, root: ShadowRoot, closed: () => void) {
    this.#player = player;
    this.#stats = player.stats;
    this.#closed = closed;
    root.append(template.content.cloneNode(true));
    this.#dialog = root.querySelector("dialog.panel") as HTMLDialogElement;
    this.#find(".close").addEventListener("click", () => this.close());
    this.#dialog.addEventListener("close", this.#ended);
    this.#find<HTMLInputElement>(".switch").addEventListener("change", (event) => {
      player.sharing = (event.currentTarget as HTMLInputElement).checked;
      this.#draw();
    });
    this.#find<HTMLInputElement>(".keyed").addEventListener("change", (event) => {
      const { checked } = event.currentTarget as HTMLInputElement;
      remember("panel-key", checked);
      player.panelKey = checked;
    });
  }

  get isOpen(): boolean {
    return this.#dialog.open;
  }

  open(): void {
    if (this.isOpen) return;
    // Beside the picture, which goes on being used; above a picture that fills the screen only what is modal shows.
    if (document.fullscreenElement) this.#dialog.showModal();
    else this.#dialog.show();
    document.addEventListener("fullscreenchange", this.#reopen);
    this.#find<HTMLInputElement>(".keyed").checked = this.#player.panelKey;
    this.#timer = setInterval(this.#look, EVERY_MS);
    this.#look();
  }

  close(): void {
    if (this.isOpen) this.#dialog.close();
  }

  #ended = (): void => {
    clearInterval(this.#timer);
    document.removeEventListener("fullscreenchange", this.#reopen);
    this.#closed();
  };

  #reopen = (): void => this.close();

  /** Nobody sees a hidden page; what flowed meanwhile comes as an average with the next look. */
  #look = (): void => {
    if (document.visibilityState === "hidden") return;
    const { video } = this.#player;
    this.#stats = this.#player.stats;
    this.#history.add(this.#stats, bufferedAhead(video), performance.now());
    this.#draw();
  };

  #draw(): void {
    const { sharingNow } = this.#player;
    const { samples, viewers, gateway } = this.#history;
    const nowMs = performance.now();
    if (samples.length > 0) this.#say("#panel-now", now(this.#history, sharingNow.on));
    this.#say("#panel-visit", visit(this.#stats));
    this.#find(".who").replaceChildren(...drawFlow(this.#history));
    this.#find(".rates g").replaceChildren(...drawRates(samples, nowMs));
    this.#find(".times").replaceChildren(...drawTimes(samples, nowMs));
    const last = samples.at(-1);
    const seconds = (value: number | null | undefined): string =>
      value == null ? "–" : `${value.toFixed(1)} s`;
    this.#say(".latency", `behind the camera ${seconds(last?.latency)}`);
    this.#say(".buffer", `buffered ${seconds(last?.buffer)}`);
    const reason = sharingNow.reason === null ? "" : because(sharingNow.reason);
    this.#say("#panel-reason", reason);
    this.#find("#panel-reason").hidden = reason === "";
    this.#find<HTMLInputElement>(".switch").checked = sharingNow.on;
    this.#tabulate([gateway, ...viewers].slice(0, MOST_ROWS).map(row));
  }

  /** Writes only what changed: a screen reader keeps its place. */
  #tabulate(rows: string[][]): void {
    const body = this.#find<HTMLTableSectionElement>("tbody");
    while (body.rows.length > rows.length) body.deleteRow(-1);
    rows.forEach((cells, i) => {
      const line = body.rows[i] ?? body.insertRow();
      cells.forEach((words, j) => {
        const cell = line.cells[j] ?? line.insertCell();
        if (cell.textContent !== words) cell.textContent = words;
      });
    });
  }

  #say(selector: string, words: string): void {
    const place = this.#find(selector);
    if (place.textContent !== words) place.textContent = words;
  }

  #find<E extends Element = HTMLElement>(selector: string): E {
    const found = this.#dialog.querySelector<E>(selector);
    if (!found) throw new Error(`the panel's template has no ${selector}`);
    return found;
  }
}

/** Seconds that can be played from here on without a gap. */
function bufferedAhead({ buffered, currentTime }: HTMLVideoElement): number {
  for (let i = 0; i < buffered.length; i += 1) {
    if (buffered.start(i) <= currentTime && currentTime <= buffered.end(i))
      return buffered.end(i) - currentTime;
  }
  return 0;
}
