// When the peer joins the network of gateway and viewers. How that is reached is asked while the peer is still loaded, and
// the link to the gateway is made while the first parts are: both cost round trips and little else. Other viewers are met
// beside playback, never before it: those connections cost a processor that has a picture to show.

import { backoffMs } from "./backoff.ts";

/** The side of the peer that is needed here; see `StreamPeer`. */
export interface Joining {
  connect(answer: string): void;
  /** Other viewers are dialled from now on. */
  meet(): void;
  disconnect(): void;
  upload(bytesPerSecond: number): void;
}

/** What a sharing viewer gives at most, bytes per second; the engine itself stays far below on slow links. */
const UPLOAD = 2_500_000;
/** The first frame lets the peer meet others; where there is none (paused, a slow gateway) it meets them this much later. */
const BEGIN_AFTER_MS = 1_000;
/** No sensible gateway's answer is longer. */
const MAX_ANSWER = 65_536;

export class Network {
  #url: string;
  #peer: Joining | null = null;
  #open = false;
  /** What was asked before there was a peer is asked only once. */
  #isFresh = true;
  #sharing: boolean;
  /** How the network is reached, and by what this peer joined it. */
  #answer: string | null = null;
  #joined: string | null = null;
  #asking: AbortController | null = null;
  #attempt = 0;
  #beginning: ReturnType<typeof setTimeout>;
  #again: ReturnType<typeof setTimeout> | undefined;

  /** `gateway` is the origin of the gateway. */
  constructor(gateway: string, sharing: boolean, beginAfterMs = BEGIN_AFTER_MS) {
    this.#url = peerUrl(gateway);
    this.#sharing = sharing;
    this.#beginning = setTimeout(() => this.begin(), beginAfterMs);
    this.#ask();
  }

  /** Nothing that matters more is under way any longer. */
  begin(): void {
    if (this.#open) return;
    this.#open = true;
    clearTimeout(this.#beginning);
    this.#peer?.meet();
  }

  /** Another peer has taken the place of the one before, which is closed. */
  set peer(peer: Joining | null) {
    if (this.#peer === peer) return;
    this.#peer = peer;
    this.#joined = null;
    peer?.upload(this.#sharing ? UPLOAD : 0);
    if (this.#open) peer?.meet();
    if (!peer) return;
    if (this.#isFresh) this.#join();
    else this.#ask();
    this.#isFresh = false;
  }

  /** Off: nobody is told this viewer's address, nothing is given or taken but over the gateway's HTTP. */
  set sharing(on: boolean) {
    if (this.#sharing === on) return;
    this.#sharing = on;
    this.#peer?.upload(on ? UPLOAD : 0);
    if (on) {
      this.#ask();
      return;
    }
    this.#stop();
    if (this.#joined !== null) this.#peer?.disconnect();
    this.#joined = null;
  }

  /** The gateway with this origin is there, back or the first time: it may be another, at other addresses. */
  renew(gateway: string): void {
    const url = peerUrl(gateway);
    if (this.#isFresh && url === this.#url) return;
    this.#url = url;
    this.#attempt = 0;
    this.#ask();
  }

  close(): void {
    clearTimeout(this.#beginning);
    this.#stop();
    this.#peer = null;
  }

  #stop(): void {
    clearTimeout(this.#again);
    this.#asking?.abort();
    this.#asking = null;
    this.#answer = null;
  }

  #join(): void {
    if (!this.#peer || this.#answer === null || this.#answer === this.#joined) return;
    try {
      this.#peer.connect(this.#answer);
      this.#joined = this.#answer;
    } catch (error) {
      console.warn(`mesh-player: viewers are not reached: ${error}`);
    }
  }

  async #ask(): Promise<void> {
    if (!this.#sharing) return;
    this.#stop();
    const asking = new AbortController();
    this.#asking = asking;
    const answer = await ask(this.#url, asking.signal);
    if (asking.signal.aborted) return;
    if (answer === "later") {
      this.#isFresh = false;
      this.#again = setTimeout(() => this.#ask(), backoffMs(this.#attempt, Math.random()));
      this.#attempt += 1;
    } else if (answer !== "never") {
      this.#answer = answer.text;
      this.#join();
    }
  }
}

const peerUrl = (gateway: string): string => new URL("/api/v1/peer", gateway).href;

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
