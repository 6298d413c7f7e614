// Camera frames to the server and poses back: one frame is under way at a time, others are dropped.

const LONGEST_PX = 640;
const JPEG_QUALITY = 0.85;
const RETRY_MS = [500, 1000, 2000, 4000, 8000];
const RATE_WINDOW_MS = 2000;

/** The camera's stream. Throws an Error with one sentence for the user. */
export async function openCamera(deviceId) {
  if (!navigator.mediaDevices) {
    throw new Error(
      "The browser allows the camera only over https or on this machine; open the page there.",
    );
  }
  const size = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } };
  const device = deviceId ? { deviceId: { exact: deviceId } } : {};
  try {
    return await navigator.mediaDevices.getUserMedia({ video: { ...size, ...device } });
  } catch (error) {
    const reasons = {
      NotAllowedError: "The browser may not use the camera; allow it for this page and start again.",
      NotFoundError: "There is no camera; connect one and start again.",
      NotReadableError: "Another program uses the camera; close that and start again.",
    };
    throw new Error(reasons[error.name] ?? `The camera cannot be used (${error.name}).`);
  }
}

export class LiveSession {
  #video = document.createElement("video");
  #canvases = [document.createElement("canvas"), document.createElement("canvas")];
  #model;
  #handlers;
  #socket = null;
  #inFlight = null;
  #isStopped = false;
  #failures = 0;
  #cameraTimes = [];
  #answerTimes = [];
  #isFrameNew = false;
  #frames = 0;

  dropped = 0;

  /**
   * @param {MediaStream} stream
   * @param {string} model
   * @param {object} handlers result(canvas, answer, latencyMs) with the frame that was sent,
   *   lost(text) when the connection breaks and back() when it works again
   */
  constructor(stream, model, handlers) {
    this.#model = model;
    this.#handlers = handlers;
    Object.assign(this.#video, { srcObject: stream, muted: true, playsInline: true });
    this.#video.play().catch(() => {});
    this.#watchCamera();
    this.#connect();
  }

  /** Frames per second of answers and of the camera, over the last seconds. */
  get rates() {
    return { answers: rateOf(this.#answerTimes), camera: rateOf(this.#cameraTimes) };
  }

  stop() {
    this.#isStopped = true;
    this.#socket?.close();
    this.#video.srcObject = null;
  }

  #watchCamera() {
    const seen = () => {
      if (this.#isStopped) return;
      remember(this.#cameraTimes);
      // The frame before was not sent in time: it is dropped, not queued.
      if (this.#isFrameNew) this.dropped += 1;
      this.#isFrameNew = true;
      this.#send();
      this.#nextCameraFrame(seen);
    };
    this.#nextCameraFrame(seen);
  }

  #nextCameraFrame(callback) {
    if ("requestVideoFrameCallback" in this.#video) this.#video.requestVideoFrameCallback(callback);
    else setTimeout(callback, 33);
  }

  #connect() {
    const url = new URL("v1/live", document.baseURI);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.hash = "";
    url.search = new URLSearchParams({ model: this.#model }).toString();
    const socket = new WebSocket(url);
    this.#socket = socket;
    this.#inFlight = null;
    socket.addEventListener("open", () => this.#send());
    socket.addEventListener("message", ({ data }) => this.#receive(JSON.parse(data)));
    socket.addEventListener("close", ({ reason }) => {
      if (this.#isStopped) return;
      this.#handlers.lost(reason || "The connection to the server is lost; trying again.");
      const wait = RETRY_MS[Math.min(this.#failures++, RETRY_MS.length - 1)];
      setTimeout(() => this.#isStopped || this.#connect(), wait);
    });
  }

  async #send() {
    const isReady = this.#socket.readyState === WebSocket.OPEN && !this.#inFlight;
    const { videoWidth, videoHeight } = this.#video;
    if (!isReady || !this.#isFrameNew || !videoWidth) return;
    const canvas = this.#canvases[this.#frames++ % 2];
    const scale = Math.min(1, LONGEST_PX / Math.max(videoWidth, videoHeight));
    canvas.width = Math.round(scale * videoWidth);
    canvas.height = Math.round(scale * videoHeight);
    const socket = this.#socket;
    this.#inFlight = { canvas, sentMs: performance.now() };
    this.#isFrameNew = false;
    canvas.getContext("2d").drawImage(this.#video, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", JPEG_QUALITY));
    if (blob && socket.readyState === WebSocket.OPEN) socket.send(blob);
    else this.#inFlight = null;
  }

  #receive(answer) {
    const { canvas, sentMs } = this.#inFlight ?? {};
    this.#inFlight = null;
    if (answer.error) {
      this.#handlers.lost(answer.error);
    } else if (canvas) {
      if (this.#failures) this.#handlers.back();
      this.#failures = 0;
      remember(this.#answerTimes);
      this.#handlers.result(canvas, answer, performance.now() - sentMs);
    }
    this.#send();
  }
}

function remember(times) {
  const now = performance.now();
  times.push(now);
  while (times[0] < now - RATE_WINDOW_MS) times.shift();
}

function rateOf(times) {
  const now = performance.now();
  const recent = times.filter((time) => time >= now - RATE_WINDOW_MS);
  return recent.length < 2 ? 0 : (1000 * (recent.length - 1)) / (recent.at(-1) - recent[0]);
}
