// The view of live mode: what the camera sees with the poses of the same frame, and measures.

import { byId, make, setText, show } from "./elements.js";
import { LiveSession, openCamera } from "./live.js";
import { announce } from "./notices.js";
import { PoseStore } from "./poses.js";
import { paintScene } from "./scene.js";
import { makeSkeleton } from "./skeleton.js";
import { Stage } from "./stage.js";
import { counted, grouped, rate } from "./text.js";

const STATS_MS = 500;
const MOST_FRAMES = 600;
const KEPT_FRAMES = 90; // enough for trails and for places that stay hidden

export class LiveView {
  #options;
  #skeletonOf;
  #stage;
  #stream = null;
  #session = null;
  #store = new PoseStore();
  #recent = [];
  #skeleton = null;
  #latencies = [];
  #networkMs = 0;
  #timer = null;

  /**
   * @param {DrawingOptions} options
   * @param {(model: string) => object|null} skeletonOf a model, as the server describes it
   */
  constructor(options, skeletonOf) {
    this.#options = options;
    this.#skeletonOf = skeletonOf;
    const video = document.createElement("video");
    this.#stage = new Stage(video, byId("live-canvas"), (...frame) => this.#paint(...frame));
    options.addEventListener("change", () => this.#stage.redraw());
    byId("live-start").addEventListener("click", () => this.#toggle());
    for (const id of ["camera", "live-model"]) {
      byId(id).addEventListener("change", () => this.#session && this.#restart());
    }
  }

  get isRunning() {
    return this.#session !== null;
  }

  async start() {
    if (this.#stream) return;
    this.#fail("");
    try {
      this.#stream = await openCamera(byId("camera").value);
    } catch (error) {
      this.#fail(error.message);
      return;
    }
    await this.#listCameras();
    const model = byId("live-model").value;
    this.#skeleton = null;
    this.#setSkeleton(this.#skeletonOf(model));
    this.#session = new LiveSession(this.#stream, model, {
      result: (canvas, answer, latencyMs) => this.#result(canvas, answer, latencyMs),
      lost: (text) => this.#fail(text),
      back: () => this.#fail(""),
    });
    this.#timer = setInterval(() => this.#showStats(), STATS_MS);
    setText(byId("live-start-text"), "Stop camera");
    setText(byId("live-hint"), "Waiting for the first poses…");
    byId("live-start").classList.remove("is-primary");
    announce("Live mode started");
  }

  stop() {
    clearInterval(this.#timer);
    this.#session?.stop();
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#session = null;
    this.#stream = null;
    this.#recent = [];
    this.#store.clear();
    this.#latencies = [];
    this.#stage.showImage(null);
    show(byId("live-stats"), false);
    show(byId("live-empty"), true);
    setText(byId("live-hint"), "The camera is off.");
    setText(byId("live-start-text"), "Start camera");
    byId("live-start").classList.add("is-primary");
  }

  #toggle() {
    if (this.#session) this.stop();
    else this.start();
  }

  async #restart() {
    this.stop();
    await this.start();
  }

  #setSkeleton(data) {
    if (data && !this.#skeleton) this.#skeleton = makeSkeleton(data);
  }

  #result(canvas, answer, latencyMs) {
    if (!this.#session) return;
    this.#setSkeleton(answer.skeleton);
    const frame = (this.#recent.at(-1)?.frame ?? -1) + 1;
    const values = { frame, time_s: performance.now() / 1000, people: answer.people };
    this.#recent.push(values);
    this.#recent = this.#recent.slice(-KEPT_FRAMES);
    if (this.#store.length > MOST_FRAMES) {
      this.#store.clear();
      this.#recent.slice(0, -1).forEach((older) => this.#store.add(older));
    }
    this.#store.add(values);
    this.#latencies.push(latencyMs);
    this.#latencies = this.#latencies.slice(-20);
    this.#networkMs = answer.network_ms;
    show(byId("live-empty"), false);
    this.#stage.showImage(canvas);
  }

  #paint(context, image, imageSize, view) {
    paintScene(context, image, imageSize, view, {
      store: this.#store,
      place: this.#store.length - 1,
      skeleton: this.#skeleton,
      show: this.#options.values,
      selected: null,
      isDrawnIn: false,
      isExact: true,
    });
  }

  #showStats() {
    const isMeasured = this.#latencies.length > 0;
    show(byId("live-stats"), isMeasured);
    if (!isMeasured) return;
    const sorted = [...this.#latencies].sort((a, b) => a - b);
    const { answers, camera } = this.#session.rates;
    setText(byId("live-latency"), String(Math.round(sorted[sorted.length >> 1])));
    setText(byId("live-rate"), rate(answers));
    setText(byId("live-network"), String(Math.round(this.#networkMs)));
    setText(byId("live-camera-rate"), rate(camera));
    setText(byId("live-dropped"), grouped(this.#session.dropped));
    const people = this.#store.last?.people.length ?? 0;
    byId("live-canvas").setAttribute("aria-label", `Camera, ${counted(people, "person", "people")}`);
  }

  async #listCameras() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    const chosen = byId("camera").value;
    const cameras = devices.filter(({ kind }) => kind === "videoinput");
    byId("camera").replaceChildren(
      ...cameras.map(({ deviceId, label }, i) =>
        make(
          "option",
          { value: deviceId, selected: deviceId === chosen },
          label || `Camera ${i + 1}`,
        ),
      ),
    );
  }

  #fail(text) {
    setText(byId("live-error-text"), text);
    show(byId("live-error"), text !== "");
  }
}
