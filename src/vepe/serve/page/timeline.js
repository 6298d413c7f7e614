// Who is seen when: one bar per person, with gaps, which jumps to that person.

import { css, DARK, mix, personColour } from "./colours.js";
import { byId, make, setText, show } from "./elements.js";
import { clock, counted } from "./text.js";

const REFRESH_MS = 250;

export class Timeline {
  #store;
  #onPick;
  #placeNow;
  #rows = new Map();
  #list = byId("tracks");
  #timer = null;
  #durationS = 0;
  #selected = null;

  /**
   * @param {PoseStore} store
   * @param {(trackId: number, place: number) => void} onPick a person at a place of the store
   * @param {() => number} placeNow place of the frame that is shown
   */
  constructor(store, onPick, placeNow) {
    this.#store = store;
    this.#onPick = onPick;
    this.#placeNow = placeNow;
  }

  clear() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#rows.clear();
    this.#list.replaceChildren();
    show(byId("no-tracks"), true);
    setText(byId("people-count"), "");
  }

  set durationS(seconds) {
    if (this.#durationS === seconds) return;
    this.#durationS = seconds;
    setText(byId("axis-end"), clock(seconds, 1));
    setText(byId("axis-middle"), clock(seconds / 2, 1));
    this.changed();
  }

  /** Draws what has arrived, at most four times a second. */
  changed() {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#draw();
    }, REFRESH_MS);
  }

  showTime(timeS) {
    const share = this.#durationS ? Math.min(timeS / this.#durationS, 1) : 0;
    byId("timeline").style.setProperty("--at", String(share));
  }

  select(trackId) {
    this.#selected = trackId;
    for (const [id, row] of this.#rows) {
      row.item.classList.toggle("is-selected", id === trackId);
      row.button.setAttribute("aria-pressed", String(id === trackId));
    }
  }

  #draw() {
    const tracks = this.#store.tracks;
    show(byId("no-tracks"), tracks.length === 0);
    setText(byId("people-count"), tracks.length ? String(tracks.length) : "");
    for (const track of tracks) {
      let row = this.#rows.get(track.id);
      if (!row) {
        row = this.#makeRow(track.id);
        this.#rows.set(track.id, row);
        this.#list.append(row.item);
      }
      this.#drawRow(row, track);
    }
    this.select(this.#selected);
  }

  #makeRow(id) {
    const swatch = make("span", { className: "swatch" });
    const colour = personColour(id);
    swatch.style.backgroundColor = css(colour);
    swatch.style.borderColor = css(mix(colour, DARK, 0.38));
    const button = make("button", { type: "button", className: "track-name" }, swatch, String(id));
    const bar = make("div", { className: "track-bar" });
    bar.style.setProperty("--person", css(colour));
    bar.style.setProperty("--person-edge", css(mix(colour, DARK, 0.38)));
    bar.addEventListener("click", (event) => this.#pickAt(id, bar, event.clientX));
    button.addEventListener("click", () => this.#pickRun(id, 0));
    button.addEventListener("keydown", (event) => this.#onKey(event, id));
    const item = make("li", { className: "track", data: { track: id } }, button, bar);
    return { item, button, bar, runs: [] };
  }

  #drawRow(row, track) {
    const { runs } = track;
    const last = runs.at(-1);
    if (row.drawnTo === last.last && row.drawnFor === this.#durationS) return;
    [row.drawnTo, row.drawnFor] = [last.last, this.#durationS];
    while (row.runs.length < runs.length) {
      row.runs.push(make("span", { className: "run" }));
      row.bar.append(row.runs.at(-1));
    }
    const duration = this.#durationS || 1;
    const spacing = this.#store.spacingS;
    runs.forEach(({ startS, endS }, i) => {
      row.runs[i].style.left = `${(100 * startS) / duration}%`;
      row.runs[i].style.width = `${(100 * Math.min(endS + spacing - startS, duration)) / duration}%`;
    });
    const gaps = runs.length - 1;
    const text =
      `Person ${track.id}: ${counted(track.count, "frame")} from ${clock(runs[0].startS)} to ` +
      `${clock(last.endS)}, ${gaps ? counted(gaps, "gap") : "no gaps"}, ` +
      `mean score ${(track.sum / track.count).toFixed(2)}`;
    row.button.setAttribute("aria-label", text);
    row.item.title = text;
  }

  /** Jumps to the time that was clicked, or to the nearest one at which the person is seen. */
  #pickAt(id, bar, clientX) {
    const { left, width } = bar.getBoundingClientRect();
    const timeS = (Math.min(Math.max((clientX - left) / width, 0), 1)) * this.#durationS;
    let best = null;
    for (const run of this.#store.track(id).runs) {
      const nearest = Math.min(Math.max(timeS, run.startS), run.endS);
      const distance = Math.abs(nearest - timeS);
      if (!best || distance < best.distance) best = { run, nearest, distance };
    }
    const place = this.#store.placeAt(best.nearest);
    this.#onPick(id, Math.min(Math.max(place, best.run.first), best.run.last));
  }

  #pickRun(id, number) {
    const { runs } = this.#store.track(id);
    this.#onPick(id, runs[Math.min(Math.max(number, 0), runs.length - 1)].first);
  }

  /** Left and right go to this person's appearances, up and down to the other people. */
  #onKey(event, id) {
    const row = this.#rows.get(id);
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const item = row.item[event.key === "ArrowDown" ? "nextElementSibling" : "previousElementSibling"];
      item?.querySelector("button").focus();
    } else if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
      const { runs } = this.#store.track(id);
      const at = this.#placeNow();
      const next = runs.findIndex(({ first }) => first > at);
      const before = runs.findLastIndex(({ first }) => first < at);
      const forward = next < 0 ? runs.length - 1 : next;
      this.#pickRun(id, event.key === "ArrowRight" ? forward : before);
    } else {
      return;
    }
    event.preventDefault();
  }
}
