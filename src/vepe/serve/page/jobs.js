// The jobs that the server knows, and the uploads that are on their way to it.
//
// An upload is an entry like a job, with a `file` and a status of its own: "uploading", "refused",
// or for images "predicting" and "image". Entries of this kind live in this tab only.

import { ApiError, jobPath, request, upload } from "./api.js";

const BUSY_MS = 1000;
const IDLE_MS = 10_000;
const MAX_RETRY_MS = 8000;

export const isActive = (entry) => ["queued", "running"].includes(entry.status);

export class Jobs extends EventTarget {
  #jobs = [];
  #uploads = [];
  #timer = null;
  #failures = 0;
  #queue = Promise.resolve();
  #number = 0;

  /** All entries, newest first. */
  get entries() {
    return [...this.#uploads, ...this.#jobs];
  }

  get(id) {
    return this.entries.find((entry) => entry.id === id) ?? null;
  }

  /** Whether the list has been received once. */
  isLoaded = false;

  /** Asks for the list now, and again and again. */
  async refresh() {
    clearTimeout(this.#timer);
    let wait = IDLE_MS;
    try {
      this.#jobs = await request("v1/jobs");
      this.isLoaded = true;
      this.#setConnected(true);
      if (this.#jobs.some(isActive)) wait = BUSY_MS;
      this.#changed();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 401) {
        this.dispatchEvent(new CustomEvent("locked", { detail: error.message }));
        return; // asked again only where the user wants it
      }
      if (error.status === 0 || error.status >= 500) this.#setConnected(false);
      wait = Math.min(1000 * 2 ** this.#failures, MAX_RETRY_MS);
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.refresh(), document.hidden ? IDLE_MS : wait);
  }

  /** Takes over what an event says of a job; one that was deleted meanwhile stays away. */
  update(job) {
    const place = this.#jobs.findIndex(({ id }) => id === job.id);
    if (place < 0) return;
    this.#jobs[place] = job;
    this.#changed();
  }

  /** Asks for a job that is not in the list yet, as one that another client has just sent. */
  async find(id) {
    const job = await request(jobPath(id));
    if (!this.get(id)) this.#jobs.unshift(job);
    this.#changed();
  }

  /** Sends files one after the other; returns their entries, which change as it goes on. */
  add(files, fields) {
    const added = [...files].map((file) => ({
      id: `upload-${++this.#number}`,
      name: file.name,
      status: "waiting",
      share: 0,
      error: null,
      canRetry: false,
      file,
      fields,
      stop: new AbortController(),
    }));
    this.#uploads.unshift(...added.toReversed());
    for (const entry of added) this.#queue = this.#queue.then(() => this.#send(entry));
    this.#changed();
    return added;
  }

  /** Sends a refused file again. */
  retry(entry) {
    Object.assign(entry, { status: "waiting", share: 0, error: null, stop: new AbortController() });
    this.#queue = this.#queue.then(() => this.#send(entry));
    this.#changed();
  }

  async cancel(entry) {
    if (entry.stop) {
      entry.stop.abort();
      this.#forget(entry);
    } else {
      this.update(await request(jobPath(entry.id, "/cancel"), { method: "POST" }));
    }
  }

  async remove(entry) {
    if (entry.file) {
      this.#forget(entry);
      return;
    }
    await request(jobPath(entry.id), { method: "DELETE" });
    this.#jobs = this.#jobs.filter(({ id }) => id !== entry.id);
    this.#changed();
  }

  async #send(entry) {
    if (entry.stop.signal.aborted) return;
    const isImage = entry.file.type.startsWith("image/");
    const onProgress = (share) => {
      entry.share = share;
      if (isImage && share === 1) entry.status = "predicting";
      this.#changed();
    };
    entry.status = "uploading";
    this.#changed();
    try {
      const path = isImage ? "v1/predict" : "v1/jobs";
      const { hide: _, ...ofImages } = entry.fields; // files of images are made by the page
      const fields = isImage ? ofImages : entry.fields;
      const result = await upload(path, entry.file, fields, onProgress, entry.stop.signal);
      if (isImage) {
        Object.assign(entry, { status: "image", result });
        this.#changed();
      } else {
        this.#uploads = this.#uploads.filter((other) => other !== entry);
        this.#jobs = [result, ...this.#jobs.filter(({ id }) => id !== result.id)];
        // First the address, then the list: the entry that the address names exists no longer.
        this.dispatchEvent(new CustomEvent("accepted", { detail: { entry, job: result } }));
        this.#changed();
        this.refresh();
      }
    } catch (error) {
      if (error.name === "AbortError") return;
      Object.assign(entry, {
        status: "refused",
        error: error.message,
        canRetry: error.status === 0 || error.status === 429 || error.status >= 500,
      });
      this.#changed();
    }
  }

  #forget(entry) {
    this.#uploads = this.#uploads.filter((other) => other !== entry);
    this.#changed();
  }

  #setConnected(isConnected) {
    const wasConnected = this.#failures === 0;
    this.#failures = isConnected ? 0 : this.#failures + 1;
    if (wasConnected !== isConnected) {
      this.dispatchEvent(new CustomEvent("connection", { detail: isConnected }));
    }
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
