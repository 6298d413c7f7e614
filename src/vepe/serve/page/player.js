// The view of one job or image: its video with poses over it, transport, timeline and table.

import { jobPath } from "./api.js";
import { offerImage, offerJob, offerNothing } from "./downloads.js";
import { byId, setText, show } from "./elements.js";
import { followJob } from "./events.js";
import { Follow } from "./follow.js";
import { isActive } from "./jobs.js";
import { isUnderWay, shareOf, stateText } from "./job_list.js";
import { KeypointTable } from "./keypoint_table.js";
import { announce, notifyError } from "./notices.js";
import { PoseStore } from "./poses.js";
import { paintScene } from "./scene.js";
import { makeSkeleton } from "./skeleton.js";
import { Stage } from "./stage.js";
import { videoText } from "./text.js";
import { Timeline } from "./timeline.js";
import { Transport } from "./transport.js";

export class Player {
  #jobs;
  #options;
  #entry = null;
  #stream = null;
  #store = new PoseStore();
  #skeleton = null;
  #selected = null;
  #isDrawnIn = false;
  #announced = 0;
  #follow;
  #timeline;
  #table;
  #transport;

  /**
   * @param {Jobs} jobs which are told what events say
   * @param {DrawingOptions} options
   */
  constructor(jobs, options) {
    this.#jobs = jobs;
    this.#options = options;
    this.stage = new Stage(byId("video"), byId("canvas"), (...frame) => this.#paint(...frame));
    this.stage.onshown = (timeS) => this.#shown(timeS);
    this.#follow = new Follow(this.stage, this.#store);
    this.#timeline = new Timeline(
      this.#store,
      (id, place) => this.#pick(id, place),
      () => this.#store.placeAt(this.stage.timeS),
    );
    this.#table = new KeypointTable((id) => this.#select(id === this.#selected ? null : id));
    this.#transport = new Transport(this);
    options.addEventListener("change", () => {
      this.stage.redraw();
      if (this.#entry) this.#showDownloads();
    });
    byId("follow").addEventListener("click", () => this.#startFollowing());
    byId("cancel").addEventListener("click", () => this.#cancel());
    byId("retry").addEventListener("click", () => jobs.retry(this.#entry));
    const { video } = this.stage;
    video.addEventListener("error", () => this.#sourceFailed());
    video.addEventListener("ended", () => this.#transport.refresh());
  }

  get isOpen() {
    return this.#entry !== null && !byId("player").hidden;
  }

  get id() {
    return this.#entry?.id ?? null;
  }

  get durationS() {
    const known = this.stage.durationS ?? this.#entry?.video?.duration_s ?? 0;
    // Some files state less than they hold.
    const { last, spacingS } = this.#store;
    return last === null ? known : Math.max(known, last.timeS + spacingS);
  }

  /** Number of the frame at a time; null if that is unknown. */
  frameAt(timeS) {
    const place = this.#store.placeAt(timeS);
    if (place >= 0) return this.#store.at(place).frame;
    const fps = this.#entry?.video?.fps;
    return fps ? Math.floor(timeS * fps + 0.01) : null;
  }

  open(entry) {
    if (entry.id !== this.id) {
      this.close();
      this.#entry = entry;
      this.#announced = 0;
      this.stage.size = entry.video ?? null;
      if (!entry.file) this.#openJob(entry);
    }
    this.update(entry);
  }

  close() {
    this.#stream?.abort();
    this.#stream = null;
    this.#follow.stop();
    this.#transport.isFollowing = false;
    this.#resetCancel();
    this.#entry = null;
    this.#store.clear();
    this.#skeleton = null;
    this.#selected = null;
    this.#isDrawnIn = false;
    this.#options.isFixed = false;
    this.#timeline.clear();
    this.#timeline.select(null);
    this.stage.size = null;
    this.stage.load(null);
    show(byId("follow"), false);
    show(byId("following"), false);
  }

  /** Shows a new state of the entry that is open. */
  update(entry) {
    const before = this.#entry;
    this.#entry = entry;
    if (entry.skeleton && !this.#skeleton) this.#setSkeleton(entry.skeleton);
    if (entry.video && !before.video) this.stage.size = entry.video;
    if (entry.status === "image" && !this.#skeleton) this.#openImage(entry);
    setText(byId("job-title"), entry.name);
    setText(byId("job-meta"), entry.status === "image" ? imageText(entry) : videoText(entry));
    show(byId("player"), !entry.file || entry.status === "image");
    show(byId("timeline"), !entry.file);
    show(byId("keypoint-card"), this.#skeleton !== null);
    this.#transport.setEnabled(!entry.file && !entry.video?.image);
    this.#showState(entry);
    if (before.status !== entry.status) this.#statusChanged(before.status);
    this.#timeline.durationS = this.durationS;
    const isBusy = isUnderWay(entry);
    setText(byId("no-tracks"), isBusy ? "Nobody has been seen yet." : "Nobody was seen.");
  }

  toggle() {
    if (this.#follow.isOn) {
      this.userActs(); // which pauses
      return;
    }
    const { video } = this.stage;
    if (video.paused) video.play().catch(() => {});
    else video.pause();
  }

  jumpTo(timeS) {
    this.userActs();
    this.stage.seek(Math.min(Math.max(timeS, 0), this.durationS));
  }

  step(frames) {
    this.userActs();
    this.stage.video.pause();
    const place = this.#store.shownAt(this.stage.targetS);
    const next = Math.max(place + frames, 0);
    if (place >= 0 && next < this.#store.length) this.stage.seek(this.#store.safeTime(next));
    else this.stage.seek(this.stage.targetS + frames / (this.#entry.video?.fps ?? 25));
  }

  /** The user has taken over: a running job is no longer followed. */
  userActs() {
    if (!this.#follow.isOn) return;
    this.#follow.stop();
    this.#transport.isFollowing = false;
    show(byId("following"), false);
    this.#transport.restoreSpeed();
    this.#transport.refresh();
    show(byId("follow"), isActive(this.#entry));
  }

  #openJob(job) {
    this.#transport.restoreSpeed();
    this.#loadSource(job);
    this.#stream = new AbortController();
    const handlers = {
      nextFrame: () => this.#store.next,
      event: (name, data) => this.#receive(job.id, name, data),
      lost: () => show(byId("stream-lost"), true),
      back: () => show(byId("stream-lost"), false),
    };
    followJob(job.id, handlers, this.#stream.signal).catch((error) => notifyError(error.message));
    if (isActive(job) && !job.video?.image) this.#startFollowing();
  }

  async #openImage(entry) {
    this.#setSkeleton(entry.result.skeleton);
    // Without ids, people are told apart by their place: they have its colour, and count from 1.
    const people = entry.result.people.map((person, place) => {
      return { ...person, track_id: place, name: String(place + 1) };
    });
    this.#store.add({ frame: 0, time_s: 0, people });
    const image = await createImageBitmap(entry.file);
    if (this.id !== entry.id) return;
    this.stage.size = { width: entry.result.width, height: entry.result.height };
    this.stage.showImage(image);
    this.#showDownloads();
  }

  #loadSource(job) {
    if (job.video?.image) {
      this.#loadImage(job);
      return;
    }
    this.#isDrawnIn = job.video?.playable === false;
    this.#options.isFixed = this.#isDrawnIn;
    const path = this.#isDrawnIn ? (job.status === "done" ? "/video" : null) : "/source";
    setText(byId("stage-note"), "");
    if (this.#isDrawnIn) {
      setText(
        byId("stage-note"),
        job.status === "done"
          ? "The browser cannot play the original, so this is the annotated video."
          : "The browser cannot play the original: the poses alone, until the video is done.",
      );
    }
    this.stage.load(path && jobPath(job.id, path));
  }

  async #loadImage(job) {
    const image = new Image();
    image.src = jobPath(job.id, "/source");
    try {
      await image.decode();
    } catch {
      return; // the poses are shown alone
    }
    if (this.id === job.id) this.stage.showImage(image);
  }

  #sourceFailed() {
    const job = this.#entry;
    if (!job || job.file || this.#isDrawnIn || !this.stage.video.hasAttribute("src")) return;
    // Not playable after all. The annotated video is; until it is done, the poses are shown alone.
    this.#loadSource({ ...job, video: { ...job.video, playable: false } });
  }

  #receive(id, name, data) {
    if (this.id !== id) return;
    if (name === "frame") {
      const isFirst = this.#store.length === 0;
      this.#store.add(data);
      this.#timeline.changed();
      // The frame on the screen may have waited for these poses.
      const isShown = Math.abs(data.time_s - this.stage.timeS) <= (this.#store.spacingS || 0.05);
      if (isFirst || isShown) this.stage.redraw();
    } else if (name === "progress" || name === "end") {
      show(byId("stream-lost"), false);
      this.#jobs.update(data);
      if (name === "end") this.stage.redraw();
    }
  }

  #statusChanged(before) {
    const { status, name, error } = this.#entry;
    if (isUnderWay({ status: before }) && !isUnderWay(this.#entry)) {
      const wasFollowing = this.#follow.isOn;
      this.userActs();
      if (this.#isDrawnIn && status === "done") this.#loadSource(this.#entry);
      else if (wasFollowing && status === "done") this.stage.seek(0);
      announce(error ? `${name}: ${error}` : `${name}: ${stateText(this.#entry)}`);
    }
  }

  #showState(entry) {
    const isBusy = isUnderWay(entry);
    show(byId("job-progress"), isBusy);
    if (!isBusy) this.#resetCancel();
    if (isBusy) {
      const share = shareOf(entry);
      const bar = byId("progress-bar");
      if (share === null) bar.removeAttribute("value");
      else bar.value = share;
      setText(byId("progress-text"), stateText(entry));
      setText(byId("progress-percent"), share === null ? "" : `${Math.floor(100 * share)} %`);
      const quarter = Math.floor(4 * (share ?? 0));
      if (entry.status === "running" && quarter > this.#announced) {
        this.#announced = quarter;
        announce(`${entry.name}: ${25 * quarter} percent`);
      }
    } else {
      show(byId("follow"), false);
    }
    const isCancelled = entry.status === "cancelled";
    const error = entry.error ?? (isCancelled ? "This job was cancelled before its end." : null);
    show(byId("job-error"), error !== null && !isBusy);
    byId("job-error").classList.toggle("is-quiet", isCancelled);
    setText(byId("job-error-text"), error ?? "");
    show(byId("retry"), entry.status === "refused" && entry.canRetry);
    setText(byId("job-warnings"), (entry.warnings ?? []).join(" "));
    this.#showDownloads();
  }

  async #showDownloads() {
    const entry = this.#entry;
    if (entry.status === "image") {
      if (!this.stage.hasImage) return;
      const blob = await this.stage.renderImage();
      if (this.id === entry.id) offerImage(entry, blob);
    } else if (entry.status === "done") {
      offerJob(entry, this.#options.values.blur);
    } else {
      offerNothing();
    }
  }

  #setSkeleton(data) {
    this.#skeleton = makeSkeleton(data);
    this.#table.skeleton = this.#skeleton;
    this.stage.redraw();
  }

  #startFollowing() {
    this.#transport.isFollowing = true;
    show(byId("following"), true);
    this.#transport.refresh();
    this.#follow.start();
    show(byId("follow"), false);
  }

  async #cancel() {
    const button = byId("cancel");
    button.disabled = true; // until the state changes: the frame under way is finished first
    setText(button, "Cancelling…");
    try {
      await this.#jobs.cancel(this.#entry);
    } catch (error) {
      this.#resetCancel();
      notifyError(error.message);
    }
  }

  #resetCancel() {
    byId("cancel").disabled = false;
    setText(byId("cancel"), "Cancel");
  }

  #pick(trackId, place) {
    this.#select(trackId);
    this.userActs();
    this.stage.seek(this.#store.safeTime(place));
  }

  #select(trackId) {
    this.#selected = trackId;
    this.#timeline.select(trackId);
    this.stage.redraw();
  }

  #paint(context, image, imageSize, view, timeS, isExact) {
    const place = this.#store.placeAt(timeS);
    paintScene(context, image, imageSize, view, {
      store: this.#store,
      place,
      skeleton: this.#skeleton,
      show: this.#options.values,
      selected: this.#selected,
      isDrawnIn: this.#isDrawnIn && image !== null,
      isExact,
    });
  }

  #shown(timeS) {
    if (!this.#entry) return;
    const isGrowing = isActive(this.#entry) && this.#store.last !== null;
    this.#timeline.durationS = this.durationS;
    this.#transport.showTime(timeS, isGrowing ? this.#store.last.timeS : null);
    this.#timeline.showTime(timeS);
    const place = this.#store.placeAt(timeS);
    const people = place >= 0 ? this.#store.at(place).people : [];
    const frame = this.frameAt(timeS);
    const label = this.#entry.file || frame === null ? "" : `Frame ${frame}`;
    this.#table.update(people, this.#selected, label);
  }
}

function imageText({ result }) {
  return `${result.width} × ${result.height} · ${Math.round(result.time_ms)} ms`;
}
