// The keypoints of one person in the frame that is shown, in pixels of the video.

import { css, personColour } from "./colours.js";
import { byId, make, setText, show } from "./elements.js";
import { readableName } from "./skeleton.js";

const REFRESH_MS = 100;
const MIN_KEYPOINT_SCORE = 0.3;

export class KeypointTable {
  #rows = [];
  #chips = [];
  #skeleton = null;
  #next = null;
  #timer = null;
  #onSelect;

  /** @param {(trackId: number) => void} onSelect a person was chosen */
  constructor(onSelect) {
    this.#onSelect = onSelect;
  }

  set skeleton(skeleton) {
    if (skeleton === this.#skeleton) return;
    this.#skeleton = skeleton;
    this.#rows = (skeleton?.keypoints ?? []).map((name) => {
      const cells = ["x", "y"].map(() => make("td", { className: "number" }));
      const value = make("span", { className: "number" });
      const fill = make("span", { className: "confidence-fill" });
      const bar = make("span", { className: "confidence", aria: { hidden: "true" } }, fill);
      const head = make("th", { scope: "row" }, readableName(name));
      const row = make("tr", {}, head, ...cells, make("td", { className: "number" }, bar, value));
      return { row, cells, value, fill };
    });
    byId("keypoints").replaceChildren(...this.#rows.map(({ row }) => row));
  }

  /** Shows people of a frame ({people, label}); while a video plays, ten times a second. */
  update(people, selected, label) {
    this.#next = { people, selected, label };
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#draw(this.#next);
    }, REFRESH_MS);
  }

  #draw({ people, selected, label }) {
    this.#drawChips(people, selected);
    const place = people.findIndex(({ trackId }) => trackId >= 0 && trackId === selected);
    const isAbsent = selected !== null && place < 0;
    const person = isAbsent ? null : (people[Math.max(place, 0)] ?? null);
    const who =
      person === null
        ? isAbsent
          ? `Person ${selected} is not in this frame`
          : "Nobody in this frame"
        : `${nameOf(person)} · score ${person.score.toFixed(2)}`;
    setText(byId("keypoints-caption"), label ? `${label} · ${who}` : who);
    this.#rows.forEach(({ row, cells, value, fill }, k) => {
      const [x, y, confidence] = person ? person.keypoints.subarray(3 * k, 3 * k + 3) : [];
      const isKnown = person !== null && Number.isFinite(x);
      setText(cells[0], isKnown ? x.toFixed(1) : "–");
      setText(cells[1], isKnown ? y.toFixed(1) : "–");
      setText(value, person ? confidence.toFixed(2) : "–");
      fill.style.width = `${person ? Math.round(100 * confidence) : 0}%`;
      row.classList.toggle("is-unsure", person !== null && confidence < MIN_KEYPOINT_SCORE);
    });
  }

  #drawChips(people, selected) {
    const tracked = people.filter(({ trackId }) => trackId >= 0);
    tracked.sort((a, b) => a.trackId - b.trackId);
    show(byId("chips"), tracked.length > 0);
    while (this.#chips.length < tracked.length) this.#chips.push(this.#makeChip());
    this.#chips.forEach((chip, i) => {
      show(chip.button, i < tracked.length);
      if (i >= tracked.length) return;
      const { trackId, name } = tracked[i];
      chip.id = trackId;
      setText(chip.text, name);
      chip.swatch.style.backgroundColor = css(personColour(trackId));
      chip.button.setAttribute("aria-pressed", String(trackId === selected));
      chip.button.setAttribute("aria-label", `Person ${name}`);
    });
  }

  #makeChip() {
    const swatch = make("span", { className: "swatch" });
    const text = make("span");
    const button = make("button", { type: "button", className: "chip" }, swatch, text);
    const chip = { button, swatch, text, id: null };
    button.addEventListener("click", () => this.#onSelect(chip.id));
    byId("chips").append(button);
    return chip;
  }
}

function nameOf({ name }) {
  return name ? `Person ${name}` : "A person without an id";
}
