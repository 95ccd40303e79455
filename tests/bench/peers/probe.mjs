// What is measured in each page, in the same way in both: begun before its own scripts run.

/** Runs in the page. `window.probe.read()` gives the sums since `window.probe.begin()`. */
export function probe() {
  const TICK_MS = 50;
  const STUCK_MS = 200;
  const SAMPLE_MS = 1000;
  let video = null;
  let [stalls, stalledMs, stuckMs, shownMs] = [0, 0, 0, 0];
  let [last, lastMs] = [null, performance.now()];
  let latencies = [];
  let [dataBytes, messages] = [0, 0];
  const state = { firstFrameMs: null };

  const send = RTCDataChannel.prototype.send;
  RTCDataChannel.prototype.send = function (data) {
    dataBytes += typeof data === "string" ? data.length : (data.byteLength ?? data.size);
    messages += 1;
    return send.call(this, data);
  };

  const sample = () => {
    video.requestVideoFrameCallback(() => {
      const shown = window.meshliveTest.readStrip(video);
      if (shown !== null) latencies.push(Date.now() - shown);
      setTimeout(sample, SAMPLE_MS * (0.5 + Math.random()));
    });
  };

  const find = setInterval(() => {
    video = document.querySelector("mesh-player")?.video ?? document.querySelector("video");
    if (!video) return;
    clearInterval(find);
    video.requestVideoFrameCallback(() => {
      state.firstFrameMs = performance.now();
      sample();
    });
  }, 1);

  // A stall: the film's clock stood for 200 ms. A page that was late itself finds the clock farther on.
  setInterval(() => {
    const now = performance.now();
    const passed = now - lastMs;
    lastMs = now;
    if (state.firstFrameMs === null) return;
    shownMs += passed;
    if (video.currentTime === last) stuckMs += passed;
    else {
      if (stuckMs >= STUCK_MS) {
        stalls += 1;
        stalledMs += stuckMs;
      }
      stuckMs = 0;
      last = video.currentTime;
    }
  }, TICK_MS);

  window.probe = {
    state,
    begin() {
      [stalls, stalledMs, stuckMs, shownMs, dataBytes, messages] = [0, 0, 0, 0, 0, 0];
      latencies = [];
    },
    read: () => ({ ...state, stalls: stalls + (stuckMs >= STUCK_MS), stalledMs: stalledMs + (stuckMs >= STUCK_MS ? stuckMs : 0), shownMs, dataBytes, messages, latencies }),
  };
}
