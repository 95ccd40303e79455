// How often hls.js looks by itself whether there is anything to do: it does so ten times a second, twice. All that it acts
// upon here is told to it as well, so that a look is for what nobody told: a load that is to be tried again, a picture that stands.

import Hls, { type HlsConfig } from "hls.js/light";

const LOOK_MS = 250;

/** hls.js' own controllers of that kind, at our pace. */
export function paced(): Partial<HlsConfig> {
  const { streamController: Stream, gapController: Gap } = Hls.DefaultConfig;
  const streamController = class extends Stream {
    override setInterval(): boolean {
      return super.setInterval(LOOK_MS);
    }
  };
  if (!Gap) return { streamController };
  const gapController = class extends Gap {
    override setInterval(): boolean {
      return super.setInterval(LOOK_MS);
    }
  };
  return { streamController, gapController };
}
