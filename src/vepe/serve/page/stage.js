// Shows a video on a canvas, so that what is drawn over a frame is drawn with exactly that frame.
//
// The video element itself is never visible: a browser may show its next frame before a script has
// the poses (or the blur) of it ready. Where the browser has `VideoFrame`, the image and its time
// are taken at once and cannot disagree. Elsewhere (also over plain HTTP from another machine, where
// browsers withhold it) the frame that is drawn may be a moment ahead of the time while it plays.

export class Stage {
  #canvas;
  #context;
  #paint;
  #image = null;
  #mediaTime = 0; // of the video's own clock
  // What that clock says at the first frame, where poses begin; not 0 in every file, and null until
  // it is known.
  #originS = null;
  #size = null;
  #nextSeek = null;
  #hasFrame = false;
  #frame = null; // the VideoFrame that is shown

  /**
   * @param {HTMLVideoElement} video
   * @param {HTMLCanvasElement} canvas which fills its parent
   * @param {(context, image, size, view, timeS: number, isExact: boolean) => void} paint draws one
   *   frame, in pixels of the video; `isExact` if the time is certainly that of the image
   */
  constructor(video, canvas, paint) {
    this.video = video;
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d", { alpha: false });
    this.#paint = paint;
    this.onshown = () => {};
    if ("requestVideoFrameCallback" in video) this.#waitForFrame();
    else this.#watchClock();
    video.addEventListener("seeked", () => this.#seeked());
    video.addEventListener("loadeddata", () => this.redraw());
    new ResizeObserver((entries) => this.#resize(entries[0])).observe(canvas);
  }

  /** Time in seconds of the frame that is on the canvas, from the first frame. */
  get timeS() {
    return this.#mediaTime - (this.#originS ?? 0);
  }

  /** Where the video is, likewise. */
  get currentS() {
    return Math.max(this.video.currentTime - (this.#originS ?? 0), 0);
  }

  /** Length of the video; null if it is not known. */
  get durationS() {
    const { currentSrc, duration } = this.video;
    return currentSrc && Number.isFinite(duration) ? duration - (this.#originS ?? 0) : null;
  }

  get hasImage() {
    return this.#image !== null;
  }

  /** Size of the video in pixels of the poses; null takes the size of what is shown. */
  set size(size) {
    this.#size = size && { width: size.width, height: size.height };
    this.redraw();
  }

  load(url) {
    this.#image = null;
    this.#hasFrame = false;
    this.#keep(null);
    this.#nextSeek = null;
    this.#mediaTime = 0;
    this.#originS = null;
    this.video.pause();
    if (url) this.video.src = url;
    else this.video.removeAttribute("src");
    this.video.load();
    this.redraw();
  }

  /** Shows an image instead of a video; null shows an empty frame. */
  showImage(image) {
    this.#image = image;
    this.redraw();
  }

  /** Seeks; while one seek is under way only the newest wish is kept. */
  seek(timeS) {
    if (!this.video.hasAttribute("src")) return;
    if (this.video.seeking || this.#originS === null) this.#nextSeek = timeS;
    else this.video.currentTime = timeS + this.#originS;
  }

  /** Where the video is, or will be after the seeks that are under way. */
  get targetS() {
    return this.#nextSeek ?? this.currentS;
  }

  redraw() {
    this.#show();
  }

  /** Draws without a video, as at this time. */
  showTime(timeS) {
    this.#mediaTime = timeS;
    this.#show();
  }

  /** The image with what is drawn on it, as PNG in the size of the image. */
  renderImage() {
    const { width, height } = this.#image;
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d");
    const size = this.#size ?? { width, height };
    context.scale(width / size.width, height / size.height);
    this.#paint(context, this.#image, { width, height }, { ...size, scale: 1 }, 0, true);
    return canvas.convertToBlob({ type: "image/png" });
  }

  #waitForFrame() {
    this.video.requestVideoFrameCallback((_, { mediaTime }) => {
      this.#show(mediaTime);
      this.#waitForFrame();
    });
  }

  #watchClock() {
    const tick = () => {
      if (!this.video.paused || this.#originS === null) this.#show(this.video.currentTime);
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  #seeked() {
    if ("requestVideoFrameCallback" in this.video) this.#show();
    else this.#show(this.video.currentTime);
    this.#seekNext();
  }

  #seekNext() {
    if (this.#nextSeek === null) return;
    const timeS = this.#nextSeek;
    this.#nextSeek = null;
    this.seek(timeS);
  }

  /** Draws what there is; `mediaTime` is that of the video's frame, null if it is the last one. */
  #show(mediaTime = null) {
    if (this.#image) {
      this.#draw(this.#image, { width: this.#image.width, height: this.#image.height });
      return;
    }
    const { video } = this;
    const size = { width: video.videoWidth, height: video.videoHeight };
    if (video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && size.width) {
      this.#hasFrame = true;
      this.#keep(grab(video));
      this.#setTime(this.#frame ? this.#frame.timestamp / 1e6 : mediaTime);
      this.#draw(this.#frame ?? video, size);
    } else if (this.#frame) {
      this.#draw(this.#frame, size); // while it seeks, the element has none to give
    } else if (this.#hasFrame) {
      this.#setTime(mediaTime); // drawn as soon as the element has the frame
    } else {
      this.#draw(null, this.#size ?? { width: 16, height: 9 });
    }
  }

  #setTime(mediaTime) {
    if (mediaTime === null) return;
    this.#mediaTime = mediaTime;
    if (this.#originS !== null) return;
    this.#originS = mediaTime; // nothing is sought before the first frame is there
    this.#seekNext();
  }

  #keep(frame) {
    this.#frame?.close();
    this.#frame = frame;
  }

  #draw(image, imageSize) {
    const { timeS } = this;
    const view = { ...(this.#size ?? imageSize) };
    this.#canvas.parentElement.style.setProperty("--aspect", `${view.width} / ${view.height}`);
    const { width, height } = this.#canvas;
    if (!width || !height) return;
    // The video is fitted into the canvas, with bars at two sides where the shapes differ.
    const fit = Math.min(width / view.width, height / view.height);
    const left = Math.round((width - fit * view.width) / 2);
    const top = Math.round((height - fit * view.height) / 2);
    view.scale = fit / (width / this.#canvas.clientWidth || 1);
    const context = this.#context;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#0b0c0f";
    context.fillRect(0, 0, width, height);
    context.setTransform(fit, 0, 0, fit, left, top);
    context.save();
    context.beginPath();
    context.rect(0, 0, view.width, view.height);
    context.clip();
    context.imageSmoothingQuality = "medium";
    const isExact = image !== this.video || this.video.paused;
    this.#paint(context, image, imageSize, view, timeS, isExact);
    context.restore();
    this.onshown(timeS);
  }

  #resize(entry) {
    const exact = entry.devicePixelContentBoxSize?.[0];
    const ratio = window.devicePixelRatio || 1;
    this.#canvas.width = exact ? exact.inlineSize : Math.round(entry.contentRect.width * ratio);
    this.#canvas.height = exact ? exact.blockSize : Math.round(entry.contentRect.height * ratio);
    this.redraw();
  }
}

/** The video's frame with its own time; null where the browser cannot, or would turn it. */
function grab(video) {
  if (!("VideoFrame" in window)) return null;
  try {
    const frame = new VideoFrame(video);
    const isUpright =
      frame.displayWidth === video.videoWidth && frame.displayHeight === video.videoHeight;
    if (isUpright && Number.isFinite(frame.timestamp)) return frame;
    frame.close();
  } catch {
    // No frame is decoded at this moment: the element itself is drawn.
  }
  return null;
}
