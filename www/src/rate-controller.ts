// hls.js' seam for the choice of a rendition: `rate.ts` decides by what the peer knows of all ways here.

import Hls, { type Events, type FragLoadedData, type FragLoadingData, type HlsConfig } from "hls.js/light";
import { begin, type Choice, choose } from "./rate.ts";

/** Without a look for this long (the viewer had chosen for itself) the past says nothing. */
const FORGET_MS = 5_000;

type Controller = HlsConfig["abrController"];

/** `estimate`: bits per second that peers and gateway could give; until it is known hls.js' own measurement is taken. */
export function rateController(estimate: () => number | null): Controller {
  const Base: Controller = Hls.DefaultConfig.abrController;
  return class extends Base {
    #choice: Choice | null = null;
    #arriving = -1;

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
        buffered: hls.mainForwardBufferInfo?.len ?? 0,
        arriving: this.#arriving,
        bitRates: hls.levels.map(({ bitrate }) => bitrate),
        nowMs,
      });
      return this.deriveNextAutoLevel(this.#choice.level);
    }

    /** hls.js' word after an error, and its echo of each choice. */
    override set nextAutoLevel(wanted: number) {
      super.nextAutoLevel = wanted;
      const level = this.deriveNextAutoLevel(wanted);
      if (this.#choice && this.#choice.level !== level) this.#choice = begin(level, performance.now());
    }

    protected override onFragLoaded(event: Events.FRAG_LOADED, data: FragLoadedData): void {
      super.onFragLoaded(event, data);
      if (data.frag.sn !== "initSegment") this.#arriving = data.frag.level;
    }

    /** Giving up a part that is under way serves one source alone; the peer has others, and its own deadlines. */
    protected override onFragLoading(event: Events.FRAG_LOADING, data: FragLoadingData): void {
      super.onFragLoading(event, data);
      if (estimate() !== null) this.clearTimer();
    }
  };
}
