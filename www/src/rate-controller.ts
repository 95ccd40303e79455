// hls.js' seam for the choice of a rendition: `rate.ts` decides by what the peer knows of all ways here.

import Hls, {
  type Events,
  type FragLoadedData,
  type FragLoadingData,
  type Fragment,
  type HlsConfig,
  type Part,
} from "hls.js/light";
import { begin, type Choice, choose, staying } from "./rate.ts";

/** How often a load under way is looked at: hls.js' own rule for giving one up does so as often. */
const LOOK_MS = 100;
/** Without a look for this long (the viewer had chosen for itself) the past says nothing. */
const FORGET_MS = 5_000;
/** So long after the engine said that the link became narrow, that is certain. */
const CERTAIN_MS = 1_000;

type Controller = HlsConfig["abrController"];

/** What the engine knows of the ways here. */
export interface Ways {
  /** Bits per second that peers and gateway could give; until it is known hls.js' own measurement is taken. */
  estimate(): number | null;
  /** `act` is to be called when the link became too narrow. */
  onNarrowed(act: () => void): void;
}

/** A segment up to a part that came, or is loaded; null: all of it. */
interface Begun {
  frag: Fragment;
  part: Part | null;
  isHere: boolean;
}

export function rateController({ estimate, onNarrowed }: Ways): Controller {
  const Base: Controller = Hls.DefaultConfig.abrController;
  return class extends Base {
    #choice: Choice | null = null;
    #arriving = -1;
    #looks: ReturnType<typeof setInterval> | undefined;
    #loading: FragLoadingData | null = null;
    #narrowedMs = Number.NEGATIVE_INFINITY;
    /** What hls.js was told last, and echoes. */
    #said = -1;
    /** The part that came last. */
    #begun: Begun | null = null;

    constructor(hls: Hls) {
      super(hls);
      onNarrowed(() => {
        this.#narrowedMs = performance.now();
        this.#look();
      });
    }

    override get nextAutoLevel(): number {
      // hls.js lets go of itself when it is destroyed, and may ask once more.
      if (!this.hls) return -1;
      const nowMs = performance.now();
      const { hls } = this;
      const isLost = this.#choice === null || nowMs - this.#choice.seenMs > FORGET_MS;
      if (isLost) this.#choice = hls.loadLevel >= 0 ? begin(hls.loadLevel, nowMs) : null;
      if (!this.#choice) return super.nextAutoLevel;
      this.#choice = choose(this.#choice, {
        estimate: estimate() ?? (this.bwEstimator.canEstimate() ? this.bwEstimator.getEstimate() : null),
        certain: nowMs - this.#narrowedMs < CERTAIN_MS,
        buffered: hls.mainForwardBufferInfo?.len ?? 0,
        arriving: this.#arriving,
        bitRates: hls.levels.map(({ bitrate }) => bitrate),
        nowMs,
      });
      const { level } = this.#choice;
      const stays = this.#begun !== null && this.#stays(this.#begun, level);
      this.#said = this.deriveNextAutoLevel(stays && this.#begun ? this.#begun.frag.level : level);
      return this.#said;
    }

    /** hls.js' word after an error, and its echo of each choice. */
    override set nextAutoLevel(wanted: number) {
      super.nextAutoLevel = wanted;
      const level = this.deriveNextAutoLevel(wanted);
      if (this.#choice && this.#choice.level !== level && this.#said !== level)
        this.#choice = begin(level, performance.now());
    }

    protected override onFragLoaded(event: Events.FRAG_LOADED, data: FragLoadedData): void {
      super.onFragLoaded(event, data);
      if (data.frag.sn !== "initSegment") this.#arriving = data.frag.level;
      this.#begun = data.part ? { frag: data.frag, part: data.part, isHere: true } : null;
      // hls.js says once that it begins with a segment, and then goes from part to part of it.
      const { frag, part } = data;
      if (part && frag.sn !== "initSegment") this.#watch({ frag, part, targetBufferTime: null });
    }

    /**
     * hls.js keeps to a rendition to the end of a segment that it has begun: on a way that became too narrow that takes
     * several times as long as the segment lasts. So it is let go when a smaller one was chosen meanwhile.
     */
    protected override onFragLoading(event: Events.FRAG_LOADING, data: FragLoadingData): void {
      super.onFragLoading(event, data);
      this.#watch(data);
    }

    #watch(data: FragLoadingData): void {
      if (estimate() === null) return;
      // hls.js' own rule knows of one source alone.
      super.clearTimer();
      this.#looks ??= setInterval(() => this.#look(), LOOK_MS);
      this.#loading = data;
    }

    override clearTimer(): void {
      super.clearTimer();
      clearInterval(this.#looks);
      this.#looks = undefined;
    }

    /** Whether a segment that was begun, up to this part, is finished before its rendition is left for another. */
    #stays({ frag, part, isHere }: Begun, level: number): boolean {
      const { hls } = this;
      const details = hls.levels[frag.level]?.details;
      const bitRate = (level: number): number => hls.levels[level]?.bitrate ?? 0;
      if (!details || frag.level === level) return false;
      const rest = details.partList?.filter(
        ({ fragment, index }) => fragment.sn === frag.sn && index > (part?.index ?? -1),
      );
      const isOver = isHere && details.endSN >= Number(frag.sn) && rest?.length === 0;
      if (isOver) return false;
      // What was announced before the link became narrow is on its way already, and the part behind it, whatever is chosen now.
      const isNew = performance.now() - this.#narrowedMs < CERTAIN_MS;
      const onItsWay = isNew ? details.edge + details.partTarget : 0;
      const from = Math.max((isHere ? part?.end : part?.start) ?? frag.start, onItsWay);
      const ends = frag.start + (details.averagetargetduration ?? details.targetduration);
      return staying({ begins: frag.start, ends, from }, bitRate(frag.level), bitRate(level));
    }

    #look(): void {
      const { hls } = this;
      const loading = this.#loading;
      if (!hls?.autoLevelEnabled || !loading) return;
      const { frag, part } = loading;
      // Nothing of it is under way: it is here, and the next load is chosen anew.
      if (!frag.loader) return;
      const bitRate = (level: number): number => hls.levels[level]?.bitrate ?? 0;
      const level = this.nextAutoLevel;
      if (frag.sn === "initSegment" || level < 0 || bitRate(level) >= bitRate(frag.level)) return;
      if (this.#stays({ frag, part: part ?? null, isHere: false }, level)) return;
      this.clearTimer();
      this.#loading = null;
      hls.nextLoadLevel = level;
      const { stats } = part ?? frag;
      frag.abortRequests();
      hls.trigger(Hls.Events.FRAG_LOAD_EMERGENCY_ABORTED, { frag, part: part ?? null, stats });
    }
  };
}
