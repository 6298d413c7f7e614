// What is drawn over frames: one choice for videos, images and live mode, remembered.

const KEY = "vepe-drawing";
const DEFAULTS = { skeleton: true, boxes: false, ids: true, trails: false, blur: false };

export class DrawingOptions extends EventTarget {
  #values = { ...DEFAULTS, ...stored() };
  #inputs = [...document.querySelectorAll("input[data-draw]")];

  constructor() {
    super();
    for (const input of this.#inputs) {
      input.checked = this.#values[input.dataset.draw];
      input.addEventListener("change", () => this.#set(input.dataset.draw, input.checked));
    }
  }

  get values() {
    return this.#values;
  }

  /** While a video with poses drawn into it is shown, only blurring can be chosen. */
  set isFixed(isFixed) {
    for (const input of this.#inputs) {
      if (input.dataset.draw !== "blur") input.disabled = isFixed && input.closest("#view-job") !== null;
    }
  }

  #set(name, value) {
    this.#values = { ...this.#values, [name]: value };
    for (const input of this.#inputs) {
      if (input.dataset.draw === name) input.checked = value;
    }
    try {
      localStorage.setItem(KEY, JSON.stringify(this.#values));
    } catch {
      // Storage is blocked: the choice lasts until the page is left.
    }
    this.dispatchEvent(new Event("change"));
  }
}

function stored() {
  try {
    const values = JSON.parse(localStorage.getItem(KEY)) ?? {};
    return Object.fromEntries(
      Object.keys(DEFAULTS).flatMap((name) =>
        typeof values[name] === "boolean" ? [[name, values[name]]] : [],
      ),
    );
  } catch {
    return {};
  }
}
