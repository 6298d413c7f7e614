// Play, pause, steps, speed, the scrubber and their keys.

import { byId, setText, show } from "./elements.js";
import { setIcon } from "./icons.js";
import { clock, grouped } from "./text.js";

const SPEEDS = [0.1, 0.25, 0.5, 1, 1.5, 2];
const JUMP_S = 1;

export class Transport {
  #player;
  #video;
  #scrubber = byId("scrubber");
  #speed = byId("speed");

  /**
   * @param {object} player step(frames), jumpTo(timeS), toggle(), userActs(), durationS, frameAt()
   */
  constructor(player) {
    this.#player = player;
    this.#video = player.stage.video;
    byId("play").addEventListener("click", () => player.toggle());
    byId("previous").addEventListener("click", () => player.step(-1));
    byId("next").addEventListener("click", () => player.step(1));
    byId("mute").addEventListener("click", () => this.#mute());
    byId("fullscreen").addEventListener("click", () => this.#fullscreen());
    this.#speed.addEventListener("change", () => this.#setSpeed(Number(this.#speed.value)));
    this.#scrubber.addEventListener("input", () => {
      player.userActs();
      this.#video.pause();
      player.stage.seek(Number(this.#scrubber.value));
    });
    for (const name of ["play", "pause", "ended", "loadedmetadata", "emptied"]) {
      this.#video.addEventListener(name, () => this.refresh());
    }
    document.addEventListener("keydown", (event) => this.#onKey(event));
  }

  /** Whether a running job is followed: without sound, and playing even where it waits. */
  isFollowing = false;

  #isMuted = false;

  refresh() {
    const isPaused = this.#video.paused && !this.isFollowing;
    setIcon(byId("play"), isPaused ? "play" : "pause");
    byId("play").setAttribute("aria-label", isPaused ? "Play" : "Pause");
    this.#video.muted = this.#isMuted || this.isFollowing;
    setIcon(byId("mute"), this.#isMuted ? "muted" : "sound");
    byId("mute").setAttribute("aria-pressed", String(this.#isMuted));
    this.#scrubber.max = String(this.#player.durationS || 1);
  }

  /** Sets the speed that the user has chosen, after a time at another one. */
  restoreSpeed() {
    this.#video.playbackRate = Number(this.#speed.value);
  }

  /** Shows a time, and how far poses go while a job runs, else null; both in seconds. */
  showTime(timeS, posesS) {
    const duration = this.#player.durationS || 1;
    const frame = this.#player.frameAt(timeS);
    this.#scrubber.max = String(duration);
    this.#scrubber.value = String(timeS);
    const percent = (seconds) => `${(100 * Math.min(Math.max(seconds / duration, 0), 1)).toFixed(3)}%`;
    this.#scrubber.style.setProperty("--at", percent(timeS));
    this.#scrubber.style.setProperty("--poses", percent(posesS ?? 0));
    const text = `${clock(timeS)} of ${clock(duration)}`;
    setText(byId("time"), clock(timeS));
    setText(byId("duration"), `/ ${clock(duration)}`);
    setText(byId("frame-number"), frame === null ? "" : `frame ${grouped(frame)}`);
    this.#scrubber.setAttribute(
      "aria-valuetext",
      frame === null ? text : `${text}, frame ${frame}`,
    );
  }

  setEnabled(isEnabled) {
    show(byId("transport"), isEnabled);
  }

  #mute() {
    this.#isMuted = !this.#isMuted;
    this.refresh();
  }

  #fullscreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else byId("player").requestFullscreen?.().catch(() => {});
  }

  #setSpeed(speed) {
    this.#speed.value = String(speed);
    this.#player.userActs();
    this.#video.playbackRate = speed;
  }

  #onKey(event) {
    if (!this.#player.isOpen || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]") || event.defaultPrevented) return;
    const { target } = event;
    const isScrubber = target === this.#scrubber;
    if (target.matches("input:not([type=checkbox]):not([type=range]), select, textarea")) return;
    if (target.matches("input[type=range]") && !isScrubber) return;
    // Space presses the button that has the focus.
    if (event.key === " " && target.matches("button, a, input, summary") && !isScrubber) return;
    const action = {
      " ": () => this.#player.toggle(),
      k: () => this.#player.toggle(),
      ArrowLeft: () => this.#move(event.shiftKey, -1),
      ArrowRight: () => this.#move(event.shiftKey, 1),
      Home: () => this.#player.jumpTo(0),
      End: () => this.#player.jumpTo(this.#player.durationS),
      "<": () => this.#nextSpeed(-1),
      ">": () => this.#nextSpeed(1),
    }[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  #move(isJump, direction) {
    if (isJump) this.#player.jumpTo(this.#player.stage.targetS + direction * JUMP_S);
    else this.#player.step(direction);
  }

  #nextSpeed(direction) {
    const place = SPEEDS.indexOf(Number(this.#speed.value)) + direction;
    if (SPEEDS[place]) this.#setSpeed(SPEEDS[place]);
  }
}
