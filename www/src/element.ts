// `<mesh-player>`: the top of the player's tree. It owns the attributes and the controls; all below is read-only to it.

import css from "./element.css";
import { remember, remembered } from "./memory.ts";
import type { Panel } from "./panel.ts";
import { loadPeer } from "./peer.ts";
import { Player, type PlayerOptions, type View } from "./player.ts";
import { SeekBar } from "./seek-bar.ts";
import { connection, decide, type Sharing } from "./sharing.ts";
import { Counters, type Stats } from "./stats.ts";

/** After a pause longer than this many seconds "play" means "what is happening now". */
const PAUSE_IS_LEAVING = 3;
const AUTO = "auto";
/** The first frame goes before the controls; where it is not there by then, they come all the same. */
const CONTROLS_AFTER_MS = 1_200;

const template = document.createElement("template");
template.innerHTML = `
<style>${css}</style>
<media-controller part="controller" defaultstreamtype="live" liveedgeoffset="4" noautoseektolive hotkeys="noarrowleft noarrowright noj nol nop">
  <video slot="media" playsinline crossorigin="anonymous"></video>
  <img slot="poster" alt="" hidden>
  <canvas slot="poster" class="held" hidden></canvas>
  <div slot="centered-chrome" class="waiting" noautohide role="status"><svg viewBox="0 0 100 100" aria-hidden="true"><path d="M22 50a28 28 0 0 1 56 0" fill="none" stroke="currentColor" stroke-width="5"/></svg><span>Loading</span></div>
  <button slot="top-chrome" class="unmute" type="button" hidden>Turn the sound on</button>
  <div slot="centered-chrome" class="sound" noautohide hidden><span>Audio only</span></div>
  <div slot="centered-chrome" class="message" hidden noautohide><p></p></div>
  <div class="seek" hidden>
    <div class="line"><input type="range" min="0" max="1" step="any" aria-label="Time"><span class="tip" aria-hidden="true" hidden></span></div>
    <output></output>
  </div>
  <media-control-bar>
    <media-play-button></media-play-button>
    <media-live-button></media-live-button>
    <media-mute-button></media-mute-button>
    <media-volume-range></media-volume-range>
    <span class="space"></span>
    <select class="quality" aria-label="Quality" title="Quality" hidden></select>
    <button class="flow" type="button" aria-label="What flows" title="What flows (P)" aria-haspopup="dialog" aria-expanded="false">
      <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M12 6 5 17M12 6l7 11M6 18h12" fill="none" stroke="currentColor" stroke-width="1.6"/><circle cx="12" cy="5" r="3"/><circle cx="5" cy="18" r="3"/><circle cx="19" cy="18" r="3"/></svg>
    </button>
    <media-captions-button></media-captions-button>
    <media-pip-button></media-pip-button>
    <media-fullscreen-button></media-fullscreen-button>
  </media-control-bar>
</media-controller>`;

/**
 * A live stream with its controls.
 *
 * @attr {string} stream - stream name (`k51…`) or alias; a change loads the other stream
 * @attr {string} gateway - origin of the gateway; by default the one this script came from
 * @attr {boolean} autoplay - begins by itself, without sound where the browser insists
 * @attr {boolean} muted - begins without sound
 * @attr {"on"|"off"} share - whether viewers feed each other until they choose for themselves; by default on, but off
 *   where the browser saves data or the connection is mobile
 * @attr {number} target-latency - seconds behind the live edge, 0.4 to 30; by default the stream's own
 * @fires mesh-change - title, state or viewers changed; `detail` is the `View`
 * @fires mesh-panel - the panel opened or closed at the window's right or lower side; `detail.open`
 */
export class MeshPlayer extends HTMLElement {
  static observedAttributes = ["stream", "gateway", "target-latency", "muted", "share"];

  #player: Player | null = null;
  #counters = new Counters(performance.now());
  #video: HTMLVideoElement;
  #root: ShadowRoot;
  #pausedMs: number | null = null;
  #panel: Panel | null = null;
  #bar: SeekBar;
  /** Whether the key P opens the panel. */
  panelKey = remembered("panel-key") ?? true;
  /** The viewer's own word on sharing, from now or an earlier visit. */
  #shares = remembered("sharing");

  constructor() {
    super();
    this.#root = this.attachShadow({ mode: "open" });
    this.#root.append(template.content.cloneNode(true));
    this.#video = this.#find("video");
    this.#bar = new SeekBar(this.#find(".seek"), (at) => this.#player?.seek(at));
    // media-chrome's light goes out while what is past is on screen.
    Object.defineProperty(this.#video, "liveEdgeStart", {
      get: () => (this.#player?.isPast ? Number.POSITIVE_INFINITY : undefined),
    });
    this.#wireControls();
  }

  /** The numbers of this visit, current at each read. */
  get stats(): Stats {
    return this.#player?.stats ?? this.#counters.read(performance.now(), null, null);
  }

  /** What is shown beside the picture, or null before the stream is asked for. */
  get view(): View | null {
    return this.#player?.view ?? null;
  }

  get video(): HTMLVideoElement {
    return this.#video;
  }

  /** Whether this viewer feeds others. Setting it is the viewer's choice, and remembered. */
  get sharing(): boolean {
    return this.sharingNow.on;
  }

  set sharing(on: boolean) {
    this.#shares = on;
    remember("sharing", on);
    this.#share();
  }

  /** The same with the reason why it is off by itself. */
  get sharingNow(): Sharing {
    return decide(this.#shares, this.getAttribute("share"), connection());
  }

  /** Opens or closes the panel that shows what flows; its script comes with the first time. */
  async togglePanel(): Promise<void> {
    if (!this.#panel) {
      const { Panel } = await import("./panel.ts");
      this.#panel ??= new Panel(this, this.#root, () => this.#panelIs(false));
    }
    if (this.#panel.isOpen) return this.#panel.close();
    this.#panel.open();
    this.#panelIs(true);
  }

  connectedCallback(): void {
    this.#counters = new Counters(performance.now());
    if (!this.hasAttribute("autoplay")) showControls();
    for (const sign of ["pointerdown", "focusin"]) this.addEventListener(sign, showControls, { once: true });
    this.#video.addEventListener("loadeddata", showControls, { once: true });
    setTimeout(showControls, CONTROLS_AFTER_MS);
    connection()?.addEventListener("change", this.#share);
    this.#open();
  }

  disconnectedCallback(): void {
    connection()?.removeEventListener("change", this.#share);
    this.#panel?.close();
    this.#close();
  }

  attributeChangedCallback(name: string, before: string | null, after: string | null): void {
    if (before === after || !this.isConnected) return;
    if (name === "muted") {
      this.#video.muted = after !== null;
      return;
    }
    if (name === "share") return this.#share();
    this.#close();
    this.#open();
  }

  #open(): void {
    const stream = this.getAttribute("stream")?.trim();
    if (!stream || this.#player) return;
    this.#video.muted = this.hasAttribute("muted");
    if (this.hasAttribute("autoplay")) return this.#begin(stream);
    // Without autoplay nothing but the still picture is loaded until someone presses play.
    const poster = this.#find("img");
    poster.src = new URL(`/live/${encodeURIComponent(stream)}/still.jpg`, this.#gateway()).href;
    poster.onload = () => {
      poster.hidden = false;
    };
    this.#video.addEventListener("play", () => this.#begin(stream), { once: true });
  }

  #begin(stream: string): void {
    if (this.#player || !this.isConnected) return;
    const options: PlayerOptions = {
      gateway: this.#gateway(),
      stream,
      video: this.#video,
      canvas: this.#find("canvas"),
      target: this.#targetLatency(),
      autoplay: true,
      sharing: this.sharing,
      changed: () => this.#render(),
      moved: () => {
        if (!this.#find("media-controller").hasAttribute("userinactive")) this.#showBar();
      },
      play: () => this.#play(),
    };
    this.#player = new Player(options, this.#counters);
  }

  #share = (): void => {
    if (this.#player) this.#player.sharing = this.sharing;
  };

  #close(): void {
    this.#player?.close();
    this.#player = null;
  }

  #gateway(): string {
    const own = new URL(import.meta.url).origin;
    const wanted = this.getAttribute("gateway");
    if (!wanted) return own;
    try {
      const url = new URL(wanted, location.href);
      if (url.protocol === "http:" || url.protocol === "https:") return url.origin;
    } catch {}
    console.warn(`mesh-player: gateway="${wanted}" is no http address; using ${own}`);
    return own;
  }

  #targetLatency(): number | null {
    const wanted = this.getAttribute("target-latency");
    if (wanted === null) return null;
    const seconds = Number(wanted);
    if (seconds >= 0.4 && seconds <= 30) return seconds;
    console.warn(`mesh-player: target-latency="${wanted}" is not within 0.4 to 30; using the stream's own`);
    return null;
  }

  async #play(): Promise<void> {
    try {
      await this.#video.play();
    } catch (error) {
      if (!(error instanceof DOMException) || error.name !== "NotAllowedError" || this.#video.muted) return;
      // Browsers let a page begin without sound; the viewer turns it on.
      this.#video.muted = true;
      this.#find<HTMLElement>(".unmute").hidden = false;
      this.#video.play().catch(() => {});
    }
  }

  #wireControls(): void {
    // Where nobody sees it, it does not move.
    this.#find("media-controller").addEventListener("userinactivechange", this.#showBar);
    const unmute = this.#find<HTMLButtonElement>(".unmute");
    unmute.addEventListener("click", () => {
      this.#video.muted = false;
    });
    this.#video.addEventListener("volumechange", () => {
      if (!this.#video.muted) unmute.hidden = true;
    });
    this.#find<HTMLSelectElement>(".quality").addEventListener("change", (event) => {
      const { value } = event.currentTarget as HTMLSelectElement;
      this.#player?.choose(value === AUTO ? null : value);
    });
    this.#find<HTMLButtonElement>(".flow").addEventListener("click", this.#toggle);
    this.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.#panel?.close();
      else if (isStep(event)) this.#bar.key(event);
      else if (this.panelKey && isPanelKey(event)) this.#toggle();
    });
    // Who only watches asks for nothing: what is past is asked for when the controls are.
    for (const sign of ["pointermove", "focusin"]) {
      this.addEventListener(sign, () => this.#player?.recall(), { passive: true });
    }
    // media-chrome would seek to the very edge, where nothing is buffered yet.
    this.#root.addEventListener(
      "mediaseektoliverequest",
      (event) => {
        event.stopPropagation();
        this.#player?.jumpToLive();
        this.#play();
      },
      { capture: true },
    );
    this.#video.addEventListener("pause", () => {
      this.#pausedMs = performance.now();
    });
    this.#video.addEventListener("play", () => {
      const pausedMs = this.#pausedMs === null ? 0 : performance.now() - this.#pausedMs;
      this.#pausedMs = null;
      if (pausedMs > PAUSE_IS_LEAVING * 1000 && !this.#player?.isPast) this.#player?.jumpToLive();
    });
  }

  #toggle = (): void => {
    this.togglePanel().catch((error) => console.warn(`mesh-player: no panel: ${error}`));
  };

  #panelIs(open: boolean): void {
    this.#find(".flow").setAttribute("aria-expanded", String(open));
    this.dispatchEvent(new CustomEvent("mesh-panel", { detail: { open } }));
  }

  #render(): void {
    const view = this.#player?.view;
    if (!view) return;
    const message = this.#find<HTMLElement>(".message");
    message.hidden = view.message === null;
    if (view.message?.kind === "error") showControls();
    message.classList.toggle("error", view.message?.kind === "error");
    message.setAttribute("role", view.message?.kind === "error" ? "alert" : "status");
    const text = this.#find("p");
    if (text.textContent !== (view.message?.text ?? "")) text.textContent = view.message?.text ?? "";
    this.#renderQualities(view);
    this.#showBar();
    this.dispatchEvent(new CustomEvent<View>("mesh-change", { detail: view }));
  }

  #showBar = (): void => this.#bar.show(this.#player?.seekable ?? null);

  #renderQualities(view: View): void {
    const select = this.#find<HTMLSelectElement>(".quality");
    const { video, audioOnly } = view.qualities;
    this.#find(".sound").hidden = audioOnly === null || view.choice !== audioOnly.rendition;
    const choices = [...video, ...(audioOnly ? [audioOnly] : [])];
    select.hidden = choices.length === 0;
    choices.unshift({ rendition: AUTO, label: video.length > 0 ? "Auto" : "Video" });
    const key = JSON.stringify(choices);
    if (select.dataset.key !== key) {
      select.dataset.key = key;
      select.replaceChildren(...choices.map(({ rendition, label }) => new Option(label, rendition)));
    }
    select.value = view.choice ?? AUTO;
  }

  #find<E extends Element = HTMLElement>(selector: string): E;
  #find(selector: "video"): HTMLVideoElement;
  #find(selector: "img"): HTMLImageElement;
  #find(selector: "canvas"): HTMLCanvasElement;
  #find(selector: string): Element {
    const found = this.#root.querySelector(selector);
    if (!found) throw new Error(`the player's template has no ${selector}`);
    return found;
  }
}

/** An arrow to the left or right, or J or L, where it does not move in something else. */
function isStep(event: KeyboardEvent): boolean {
  if (!["ArrowLeft", "ArrowRight", "j", "l"].includes(event.key)) return false;
  const [target] = event.composedPath();
  return !(
    target instanceof Element && target.closest("input, select, textarea, media-volume-range, .panel")
  );
}

/** The key P alone, where it is not part of something that is typed or sought. */
export function isPanelKey(event: KeyboardEvent): boolean {
  if (event.key.toLowerCase() !== "p" || event.ctrlKey || event.metaKey || event.altKey || event.repeat)
    return false;
  const [target] = event.composedPath();
  return !(
    target instanceof Element &&
    target.closest("select, textarea, [contenteditable], input:not([type=checkbox])")
  );
}

/** Their script is there already (modulepreload); running it is what takes time. */
function showControls(): void {
  import("./controls.ts").catch((error) => console.warn(`mesh-player: no controls: ${error}`));
}

/** Starts what takes longest before there is any element to ask for it. */
loadPeer().catch(() => {});
import("./playback.ts").catch(() => {});

if (!customElements.get("mesh-player")) customElements.define("mesh-player", MeshPlayer);
