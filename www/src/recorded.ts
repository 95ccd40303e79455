// What was live, checked: from the stream's name by its signed list to the directories of days and hours, and to each byte of
// a segment. A gateway is believed in texts alone; who sent anything else is asked last from then on.

import { keep, kept } from "./memory.ts";
import { get, PartError } from "./parts.ts";
import type { Past } from "./past.ts";

/** Where in a stream's list something was said: the higher epoch is newer, in it the higher sequence. */
export interface Listed {
  epoch: number;
  sequence: number;
}

/** What a directory links to, with the bytes of all blocks below. */
export interface Link {
  cid: string;
  bytes: number;
}

/** By their names. */
export type Names = Map<string, Link>;

/** What the WebAssembly peer checks; see `peer.ts`. */
export interface Checks {
  /** What a signed entry of the stream's list says; null where it is not the stream's. */
  root(stream: string, entry: string): (Listed & { root: string | null }) | null;
  /** What the proof in a playlist says, where it is this playlist's. */
  playlist(stream: string, name: string, text: string): Listed | null;
  names(cid: string, bytes: Uint8Array): Names | null;
  isFile(cid: string, bytes: Uint8Array): boolean;
}

/** Something that a gateway sent is not what the publisher signed. */
export class Untrue extends Error {
  readonly gateway: string;
  readonly what: string;
  constructor(gateway: string, what: string) {
    super(untrueText(gateway, what));
    this.name = "Untrue";
    this.gateway = gateway;
    this.what = what;
  }
}

/** The sentence to show. */
export function untrueText(gateway: string, what: string): string {
  return `The gateway ${gateway} sent ${what}, which is not what the publisher signed. It is not shown. Open this stream at another gateway, and tell whoever runs this one.`;
}

/** Bytes of a directory's block, as of any block. */
const MAX_BLOCK = 1 << 20;
/** Bytes of a playlist of the run on air: two hours of it have half a megabyte. */
const MAX_PLAYLIST = 8 << 20;
/** Bytes of a segment whose size is not known: 256 parts of a megabyte are allowed, and nobody makes them. */
const MAX_SEGMENT = 32 << 20;
/** Bytes of what a gateway lists. */
const MAX_LIST = 32 << 20;
/** A gateway that sends nothing for so long is away. */
const PATIENCE_MS = 10_000;
/** Directories, and init segments, that are kept. */
const MAX_DIRECTORIES = 32;
const MAX_INITS = 16;
/** A list that is behind one which was spoken of so lately is not old: it is on its way. */
const ON_ITS_WAY_MS = 60_000;

/** Who asked gives it up by `signal`, and hears by `came` of bytes as they come. */
export interface Asking {
  signal?: AbortSignal;
  came?: (bytes: number) => void;
}

export class Recorded {
  readonly stream: string;
  #checks: Checks;
  #gateways: () => readonly string[];
  /** Days that were listed, by their CIDs; one that has grown since still plays. */
  #days = new Set<string>();
  #newest: Listed;
  /** What the proof of a playlist said of the list, and when that was heard first. */
  #spoken: { list: Listed; sinceMs: number } | null = null;
  #directories = new Map<string, Promise<Names>>();
  #inits = new Map<string, Uint8Array<ArrayBuffer>>();
  #avoided = new Set<string>();

  /** `stream` is its name (k51…), `gateways` the origins of those that are asked, in this order. */
  constructor(stream: string, gateways: () => readonly string[], checks: Checks) {
    this.stream = stream;
    this.#gateways = gateways;
    this.#checks = checks;
    const [epoch = 0, sequence = 0] = (kept(`list-${stream}`) ?? "").split(" ").map(Number);
    this.#newest = { epoch: epoch || 0, sequence: sequence || 0 };
  }

  /** What is past, of the first gateway whose list is the stream's; from then on all of its days may be played. */
  past(): Promise<Past> {
    return this.#ask(`/api/v1/streams/${this.stream}/archive`, MAX_LIST, async (bytes) => {
      const past = JSON.parse(decode(bytes)) as Past;
      const wrong = await this.#wrongList(past);
      return wrong === null ? { is: past } : { not: wrong };
    });
  }

  /** A playlist by the URL that hls.js asks for: of a day, or of the run on air. */
  async playlist(url: string, asking: Asking = {}): Promise<string> {
    const { pathname, searchParams } = new URL(url);
    const earlier = /^\/live\/[^/]+\/earlier\/(.+)$/.exec(pathname)?.[1];
    if (earlier === undefined) return decode(await this.file(url, asking));
    const name = `${decodeURIComponent(earlier)}${searchParams.has("_HLS_skip") ? "?_HLS_skip=YES" : ""}`;
    const path = `/live/${this.stream}/earlier/${name}`;
    return this.#ask(path, MAX_PLAYLIST, (bytes) => this.#proved(name, decode(bytes)), asking);
  }

  /** The bytes of a file by its URL: `/ipfs/{day}/…`, or by its own CID as a playlist of the run on air has it. */
  async file(url: string, asking: Asking = {}): Promise<Uint8Array<ArrayBuffer>> {
    const [cid = "", ...path] = new URL(url).pathname
      .replace(/^\/ipfs\//, "")
      .split("/")
      .map(decodeURIComponent);
    const name = path.at(-1) ?? new URL(url).searchParams.get("filename") ?? "";
    if (path.length > 0 && !this.#days.has(cid)) throw new PartError(404, `${url} is in no list`);
    let found: Link = { cid, bytes: MAX_SEGMENT };
    for (const step of path) {
      const next = (await this.#names(found.cid)).get(step);
      if (!next) throw new PartError(404, `${url}: there is no ${step}`);
      found = next;
    }
    const init = this.#inits.get(found.cid);
    if (init) return init.slice();
    const bytes = await this.#ask(
      `/ipfs/${found.cid}?filename=${encodeURIComponent(name)}`,
      Math.min(found.bytes, MAX_SEGMENT),
      (bytes) => (this.#checks.isFile(found.cid, bytes) ? { is: bytes } : { not: `a wrong ${name}` }),
      asking,
    );
    if (name.startsWith("init")) put(this.#inits, found.cid, bytes.slice(), MAX_INITS);
    return bytes;
  }

  /** What is wrong with a gateway's list; null where it is the stream's, and none that is older than one that was seen. */
  async #wrongList(past: Past): Promise<string | null> {
    const signed = past.signed ? this.#checks.root(this.stream, past.signed) : null;
    const isEmpty = past.days.length === 0;
    if (!signed?.root && !isEmpty) return "a list of recordings without the stream's signature";
    if (signed) {
      const spoken = this.#spoken;
      const isKnown = spoken !== null && performance.now() - spoken.sinceMs > ON_ITS_WAY_MS;
      if (isOlder(signed, this.#newest) || (isKnown && isOlder(signed, spoken.list)))
        return "an old list of recordings";
    } else if (this.#newest.epoch > 0) return "a list of recordings that lacks all there was";
    const days = signed?.root ? await this.#names(signed.root) : null;
    const strange = past.days.find(({ day, cid }) => days?.get(day)?.cid !== cid);
    if (strange) return `another day ${strange.day}`;
    if (signed) this.#newest = { epoch: signed.epoch, sequence: signed.sequence };
    if (signed) keep(`list-${this.stream}`, `${signed.epoch} ${signed.sequence}`);
    for (const { cid } of past.days) this.#days.add(cid);
    return null;
  }

  #proved(name: string, text: string): Checked<string> {
    // A mirror that is young makes another playlist than its origin, and says so by this.
    if (!text.includes("\n#MESHLIVE-SIGNED:")) throw new PartError(404, `${name} has no proof here`);
    const list = this.#checks.playlist(this.stream, name, text);
    if (!list) return { not: `a wrong playlist of what is on air (${name})` };
    if (!this.#spoken || isOlder(this.#spoken.list, list))
      this.#spoken = { list, sinceMs: performance.now() };
    return { is: text };
  }

  #names(cid: string): Promise<Names> {
    const known = this.#directories.get(cid);
    if (known) return known;
    const asked = this.#ask<Names>(`/ipfs/${cid}?format=raw`, MAX_BLOCK, (bytes) => {
      const names = this.#checks.names(cid, bytes);
      return names ? { is: names } : { not: "a wrong directory" };
    });
    put(this.#directories, cid, asked, MAX_DIRECTORIES);
    asked.catch(() => this.#directories.delete(cid));
    return asked;
  }

  /** What is at this path at the first gateway that has it and tells the truth. */
  async #ask<T>(
    path: string,
    limit: number,
    check: (bytes: Uint8Array<ArrayBuffer>) => Checked<T> | Promise<Checked<T>>,
    { signal = NEVER, came }: Asking = {},
  ): Promise<T> {
    let untrue: Untrue | null = null;
    let absent: unknown = null;
    const avoided = (origin: string): number => Number(this.#avoided.has(origin));
    for (const origin of [...this.#gateways()].sort((a, b) => avoided(a) - avoided(b))) {
      // What is wrong may be what the browser has kept.
      for (const cache of ["default", "reload"] as const) {
        try {
          const url = new URL(path, origin).href;
          const bytes = await get({ url, size: limit }, cache, signal, PATIENCE_MS, came);
          if (!bytes) throw new PartError(503, `${origin} does not answer`);
          const checked = await check(bytes);
          if ("is" in checked) return checked.is;
          if (cache === "default") continue;
          untrue ??= new Untrue(origin, checked.not);
          console.warn(`mesh-player: ${origin}${path} is ${checked.not}`);
          this.#avoided.add(origin);
        } catch (error) {
          if (signal.aborted || error instanceof Untrue) throw error;
          absent ??= error;
          break;
        }
      }
    }
    throw untrue ?? absent ?? new PartError(404, `there is no gateway for ${path}`);
  }
}

type Checked<T> = { is: T } | { not: string };

/** Of who never gives up. */
const NEVER = new AbortController().signal;

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

function isOlder(one: Listed, two: Listed): boolean {
  return one.epoch < two.epoch || (one.epoch === two.epoch && one.sequence < two.sequence);
}

/** Puts it in, and what was put in first out where there are too many. */
function put<T>(all: Map<string, T>, key: string, value: T, most: number): void {
  const [oldest] = all.keys();
  if (all.size >= most && oldest !== undefined) all.delete(oldest);
  all.set(key, value);
}
