// Choosing files: by the file dialog, or by dropping them anywhere on the page.

import { request } from "./api.js";
import { byId, make, setText, show } from "./elements.js";

export class Uploads {
  /** @param {(files: File[], fields: object) => void} onFiles */
  constructor(onFiles) {
    const input = byId("file");
    const give = (files) => files.length && onFiles([...files], this.fields);
    for (const button of document.querySelectorAll("[data-choose]")) {
      button.addEventListener("click", () => input.click());
    }
    input.addEventListener("change", () => {
      give(input.files);
      input.value = "";
    });
    this.#watchDrops(give);
    byId("conf").addEventListener("input", () => this.#showConfidence());
    this.#showConfidence();
  }

  /** Fields of the request: only what differs from the server's defaults. */
  get fields() {
    const fields = {};
    const model = byId("model").value;
    if (model) fields.model = model;
    if (Number(byId("conf").value) > 0) fields.conf = byId("conf").value;
    if (byId("hide").checked) fields.hide = "faces";
    return fields;
  }

  /** Fills the choices of models, for uploads and for live mode. */
  async loadModels() {
    const models = await request("v1/models");
    for (const id of ["model", "live-model"]) {
      byId(id).replaceChildren(
        ...models.map(({ name, description, default: isDefault }) =>
          make("option", { value: name, title: description ?? "", selected: isDefault }, name),
        ),
      );
    }
    return models;
  }

  #showConfidence() {
    const value = Number(byId("conf").value);
    const text = value > 0 ? value.toFixed(2) : "model's own";
    setText(byId("conf-value"), text);
    byId("conf").setAttribute("aria-valuetext", text);
  }

  #watchDrops(give) {
    // Entering a child leaves its parent, so the depth is counted.
    let depth = 0;
    const veil = (isShown) => show(byId("drop-veil"), isShown);
    const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
    window.addEventListener("dragenter", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      depth += 1;
      veil(true);
    });
    window.addEventListener("dragover", (event) => {
      if (hasFiles(event)) event.preventDefault();
    });
    window.addEventListener("dragleave", () => {
      depth = Math.max(0, depth - 1);
      if (!depth) veil(false);
    });
    window.addEventListener("drop", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      depth = 0;
      veil(false);
      give(event.dataTransfer.files);
    });
  }
}
