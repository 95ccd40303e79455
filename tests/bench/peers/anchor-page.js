// The other's page: hls.js with p2p-media-loader, as its README sets it up; bundled by anchor.mjs.

import Hls from "hls.js";
import { HlsJsP2PEngine } from "p2p-media-loader-hlsjs";

const { sync, highDemand } = window.options;
const counted = { fromPeers: 0, fromOrigin: 0, uploaded: 0, duplicates: 0 };
window.counted = counted;

const HlsWithP2P = HlsJsP2PEngine.injectMixin(Hls);
const hls = new HlsWithP2P({
  ...(sync ? { liveSyncDurationCount: sync } : {}),
  p2p: {
    core: {
      ...(highDemand ? { highDemandTimeWindow: highDemand } : {}),
      announceTrackers: [`ws://${location.host}/`],
      rtcConfig: { iceServers: [] },
    },
    onHlsJsCreated({ p2pEngine }) {
      p2pEngine.addEventListener("onChunkDownloaded", (bytes, source) => {
        counted[source === "p2p" ? "fromPeers" : "fromOrigin"] += bytes;
      });
      p2pEngine.addEventListener("onChunkUploaded", (bytes) => {
        counted.uploaded += bytes;
      });
    },
  },
});
hls.attachMedia(document.querySelector("video"));
hls.loadSource("/live/index.m3u8");
