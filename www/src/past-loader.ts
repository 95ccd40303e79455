// hls.js' loader seam for what is past: what it is given was checked; see `Recorded`.

import type { FragmentLoaderContext, HlsConfig, PlaylistLoaderContext } from "hls.js";
import { BaseLoader, type LoaderClass } from "./loader.ts";
import { type Asking, type Recorded, Untrue } from "./recorded.ts";

/** `untrue` is told what no gateway had right; hls.js is told as well, and gives up in its own way. */
export function pastLoaders(recorded: Recorded, untrue: (error: Untrue) => void): Partial<HlsConfig> {
  const told = (error: unknown): never => {
    if (error instanceof Untrue) untrue(error);
    throw error;
  };
  const pLoader: LoaderClass<PlaylistLoaderContext> = class extends BaseLoader<PlaylistLoaderContext> {
    protected answer({ url }: PlaylistLoaderContext, signal: AbortSignal): Promise<string> {
      return recorded.playlist(url, asking(this, signal)).catch(told);
    }
  };
  const fLoader: LoaderClass<FragmentLoaderContext> = class extends BaseLoader<FragmentLoaderContext> {
    protected answer({ url }: FragmentLoaderContext, signal: AbortSignal): Promise<ArrayBuffer> {
      return recorded.file(url, asking(this, signal)).then(({ buffer }) => buffer, told);
    }
  };
  return { pLoader, fLoader } as Partial<HlsConfig>;
}

/** hls.js takes its measure of the way by what comes when. */
function asking(
  { stats }: { stats: { loaded: number; loading: { first: number } } },
  signal: AbortSignal,
): Asking {
  return {
    signal,
    came: (bytes) => {
      stats.loading.first ||= performance.now();
      stats.loaded += bytes;
    },
  };
}
