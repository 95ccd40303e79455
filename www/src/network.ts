// When the peer joins the network of gateway and viewers: beside playback, never before it.

import { backoffMs } from "./backoff.ts";

/** The side of the peer that is needed here; see `StreamPeer`. */
export interface Joining {
  connect(answer: string): void;
  disconnect(): void;
  upload(bytesPerSecond: number): void;
}

/** What a sharing viewer gives at most, bytes per second; the engine itself stays far below on slow links. */
const UPLOAD = 2_500_000;
/** The first frame opens the network; where there is none (paused, a slow gateway) it opens this much later. */
const BEGIN_AFTER_MS = 1_000;
/** No sensible gateway's answer is longer. */
const MAX_ANSWER = 65_536;

export class Network {
  #url: string;
  #peer: Joining | null = null;
  #open = false;
  #sharing: boolean;
  #joined: string | null = null;
  #asking: AbortController | null = null;
  #attempt = 0;
  #timer: ReturnType<typeof setTimeout>;

  /** `gateway` is the origin of the gateway. */
  constructor(gateway: string, sharing: boolean) {
    this.#url = new URL("/api/v1/peer", gateway).href;
    this.#sharing = sharing;
    this.#timer = setTimeout(() => this.begin(), BEGIN_AFTER_MS);
  }

  /** Nothing that matters more is under way any longer. */
  begin(): void {
    if (this.#open) return;
    this.#open = true;
    clearTimeout(this.#timer);
    this.#join();
  }

  /** Another peer has taken the place of the one before, which is closed. */
  set peer(peer: Joining | null) {
    if (this.#peer === peer) return;
    this.#peer = peer;
    this.#joined = null;
    peer?.upload(this.#sharing ? UPLOAD : 0);
    this.#join();
  }

  /** Off: nobody is told this viewer's address, nothing is given or taken but over the gateway's HTTP. */
  set sharing(on: boolean) {
    if (this.#sharing === on) return;
    this.#sharing = on;
    this.#peer?.upload(on ? UPLOAD : 0);
    if (on) {
      this.#join();
      return;
    }
    this.#stop();
    if (this.#joined !== null) this.#peer?.disconnect();
    this.#joined = null;
  }

  /** The gateway is back: it may be another, at other addresses. */
  renew(): void {
    this.#attempt = 0;
    this.#join();
  }

  close(): void {
    this.#open = false;
    this.#stop();
    this.#peer = null;
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#asking?.abort();
    this.#asking = null;
  }

  async #join(): Promise<void> {
    if (!this.#open || !this.#sharing || !this.#peer) return;
    this.#stop();
    const asking = new AbortController();
    this.#asking = asking;
    const answer = await ask(this.#url, asking.signal);
    if (asking.signal.aborted) return;
    if (answer === "later") {
      this.#timer = setTimeout(() => this.#join(), backoffMs(this.#attempt, Math.random()));
      this.#attempt += 1;
    } else if (answer !== "never" && answer.text !== this.#joined) {
      try {
        this.#peer.connect(answer.text);
        this.#joined = answer.text;
      } catch (error) {
        console.warn(`mesh-player: viewers are not reached: ${error}`);
      }
    }
  }
}

/** "never": a gateway without such a network, which is no fault; "later": it is away, or starting again. */
async function ask(url: string, signal: AbortSignal): Promise<{ text: string } | "never" | "later"> {
  try {
    const response = await fetch(url, { signal, credentials: "omit", cache: "no-store" });
    if (response.status >= 500) return "later";
    if (!response.ok) return "never";
    const text = await response.text();
    return text.length > MAX_ANSWER ? "never" : { text };
  } catch {
    return "later";
  }
}
