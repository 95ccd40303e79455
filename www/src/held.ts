// Keeps the picture in sight while the video element gets another source, which would leave it black.

export class Held {
  #video: HTMLVideoElement;
  #canvas: HTMLCanvasElement;

  /** `canvas` lies over the picture, hidden. */
  constructor(video: HTMLVideoElement, canvas: HTMLCanvasElement) {
    this.#video = video;
    this.#canvas = canvas;
  }

  /** What is on screen stays there, also without a source. */
  hold(): void {
    const { videoWidth: width, videoHeight: height } = this.#video;
    // Held already: what is in sight is older than what the element has.
    if (!this.#canvas.hidden || width === 0) return;
    Object.assign(this.#canvas, { width, height });
    this.#canvas.getContext("2d")?.drawImage(this.#video, 0, 0, width, height);
    this.#canvas.hidden = false;
  }

  /** To be called when the new source is attached: its first picture takes the place of the one that is held. */
  attached(): void {
    const release = () => this.release();
    if ("requestVideoFrameCallback" in this.#video) this.#video.requestVideoFrameCallback(release);
    // Sound alone has no frames.
    this.#video.addEventListener(
      "loadeddata",
      () => {
        if (this.#video.videoWidth === 0 || !("requestVideoFrameCallback" in this.#video)) release();
      },
      { once: true },
    );
  }

  release(): void {
    this.#canvas.hidden = true;
  }
}
