// Plays a video just behind the newest poses of a running job, at the pace at which they come.

const TICK_MS = 100;
const LAG_S = 0.4; // wanted distance to the newest poses
const FAR_S = 3; // from here on it is sought, not played
const RATES = [0.0625, 8]; // what browsers play

export class Follow {
  #stage;
  #store;
  #timer = null;
  #paceS = 0;
  #last = null;

  constructor(stage, store) {
    this.#stage = stage;
    this.#store = store;
  }

  get isOn() {
    return this.#timer !== null;
  }

  start() {
    if (this.isOn) return;
    this.#last = null;
    this.#paceS = 0;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#tick();
  }

  stop() {
    if (!this.isOn) return;
    clearInterval(this.#timer);
    this.#timer = null;
    this.#stage.video.pause();
  }

  #tick() {
    const newest = this.#store.last?.timeS;
    if (newest === undefined) return;
    this.#measure(newest);
    const { video } = this.#stage;
    if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) {
      this.#stage.showTime(newest); // no video (yet): the poses alone
      return;
    }
    if (video.seeking) return;
    const lag = newest - this.#stage.currentS;
    if (lag > FAR_S || lag < -LAG_S) {
      this.#stage.seek(Math.max(newest - LAG_S, 0));
    } else if (lag <= this.#store.spacingS) {
      if (!video.paused) video.pause();
    } else {
      const pace = this.#paceS + 0.8 * (lag - LAG_S);
      video.playbackRate = Math.min(Math.max(pace, RATES[0]), RATES[1]);
      if (video.paused && lag > LAG_S / 2) video.play().catch(() => {});
    }
  }

  /** Seconds of video for which poses come in a second, averaged over about two seconds. */
  #measure(newest) {
    const now = performance.now();
    if (this.#last !== null) {
      const seconds = (now - this.#last.now) / 1000;
      const weight = this.#paceS ? Math.min(seconds / 2, 1) : 1;
      const pace = (newest - this.#last.newest) / Math.max(seconds, 1e-3);
      this.#paceS += weight * (pace - this.#paceS);
    }
    this.#last = { now, newest };
  }
}
