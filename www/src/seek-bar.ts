// The bar over all there is to see, from the first recorded hour to live: one slider, by pointer and by keys.

import { clockText, type Timeline } from "./timeline.ts";

/** What a key does, seconds; a page is ten minutes. */
const KEYS: Record<string, number> = {
  ArrowLeft: -10,
  ArrowDown: -10,
  ArrowRight: 10,
  ArrowUp: 10,
  j: -10,
  l: 10,
  PageDown: -600,
  PageUp: 600,
};
/** Keys that follow on each other so soon are one wish. */
const KEYS_MS = 200;
/** Width of the thumb, whose middle is the place that is meant, px. */
const THUMB = 16;

/** What it shows; times in ms since 1970. */
export interface Shown {
  timeline: Timeline;
  /** Of the picture. */
  at: number;
  /** Whether that is live. */
  live: boolean;
}

export class SeekBar {
  #root: HTMLElement;
  #range: HTMLInputElement;
  #text: HTMLElement;
  #tip: HTMLElement;
  #seek: (at: number | null) => void;
  #shown: Shown | null = null;
  /** Where the viewer holds it at the moment, or has put it by keys: null is live. */
  #wish: { at: number | null } | null = null;
  #soon: ReturnType<typeof setTimeout> | undefined;
  #holes = "";

  /** `root` has an `input`, an `output` and a `.tip`; `seek` is told the time that is wanted, null for live. */
  constructor(root: HTMLElement, seek: (at: number | null) => void) {
    const find = <E extends HTMLElement>(selector: string): E => {
      const found = root.querySelector<E>(selector);
      if (!found) throw new Error(`the seek bar's template has no ${selector}`);
      return found;
    };
    this.#root = root;
    this.#range = find("input");
    this.#text = find("output");
    this.#tip = find(".tip");
    this.#seek = seek;
    this.#range.addEventListener("input", () => {
      this.#wish = { at: this.#timeOf(Number(this.#range.value)) };
      this.#draw();
    });
    this.#range.addEventListener("change", () => this.#settle());
    this.#range.addEventListener("keydown", (event) => this.key(event));
    this.#range.addEventListener("pointermove", (event) => this.#point(event));
    this.#range.addEventListener("pointerleave", () => {
      this.#tip.hidden = true;
    });
  }

  /** Called whenever the picture or the line has moved on. */
  show(shown: Shown | null): void {
    this.#shown = shown?.timeline.isEmpty ? null : shown;
    this.#root.hidden = this.#shown === null;
    this.#draw();
  }

  /** An arrow, a page, Home or End; false where it is none of these. */
  key(event: KeyboardEvent): boolean {
    if (!this.#shown || event.ctrlKey || event.metaKey || event.altKey) return false;
    const { timeline } = this.#shown;
    const step = KEYS[event.key];
    if (event.key === "Home") this.#wish = { at: timeline.timeAt(0) };
    else if (event.key === "End") this.#wish = { at: null };
    else if (step === undefined) return false;
    else this.#wish = { at: this.#timeOf(this.#offset() + step * 1000) };
    event.preventDefault();
    event.stopPropagation();
    this.#draw();
    clearTimeout(this.#soon);
    this.#soon = setTimeout(() => this.#settle(), KEYS_MS);
    return true;
  }

  #settle(): void {
    clearTimeout(this.#soon);
    const wish = this.#wish;
    this.#wish = null;
    if (wish) this.#seek(wish.at);
  }

  /** The time so far from the beginning, ms; null where that is live. */
  #timeOf(offset: number): number | null {
    const { timeline } = this.#shown as Shown;
    return offset >= timeline.length ? null : timeline.timeAt(offset);
  }

  /** Where the thumb is, ms from the beginning. */
  #offset(): number {
    const { timeline, at, live } = this.#shown as Shown;
    const wanted = this.#wish ? this.#wish.at : live ? null : at;
    return wanted === null ? timeline.length : timeline.offset(wanted);
  }

  #draw(): void {
    if (!this.#shown) return;
    const { timeline, at, live } = this.#shown;
    const [range, offset] = [this.#range, this.#offset()];
    const isLive = this.#wish ? this.#wish.at === null : live;
    const text = isLive ? "Live" : clockText(this.#wish?.at ?? at, Date.now());
    range.max = String(timeline.length);
    range.value = String(offset);
    range.setAttribute("aria-valuetext", text);
    range.style.setProperty("--done", String(offset / timeline.length));
    if (this.#text.textContent !== text) this.#text.textContent = text;
    const holes = timeline.holes().slice(0, 100);
    const drawn = holes.map((share) => `${(share * 100).toFixed(2)}%`);
    if (drawn.join() === this.#holes) return;
    this.#holes = drawn.join();
    const lines = drawn.map((share) => `linear-gradient(#000, #000) ${share} 0 / 2px 100% no-repeat`);
    range.style.setProperty("--holes", [...lines, "linear-gradient(transparent, transparent)"].join());
  }

  /** The time under the pointer. */
  #point({ offsetX }: PointerEvent): void {
    if (!this.#shown) return;
    const { timeline } = this.#shown;
    const share = Math.max(0, Math.min(1, (offsetX - THUMB / 2) / (this.#range.clientWidth - THUMB)));
    this.#tip.textContent = clockText(timeline.timeAt(share * timeline.length), Date.now());
    this.#tip.style.left = `${share * 100}%`;
    this.#tip.style.setProperty("--share", String(share));
    this.#tip.hidden = false;
  }
}
