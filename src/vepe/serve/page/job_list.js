// The list of jobs and uploads at the side, each with its state, progress and a button.

import { byId, make, setText, show } from "./elements.js";
import { setIcon } from "./icons.js";
import { isActive } from "./jobs.js";
import { counted, progressText, roughly } from "./text.js";

const STATUS = {
  waiting: "Waiting to upload",
  uploading: "Uploading",
  predicting: "Looking for people",
  refused: "Not accepted",
  image: "Image",
  queued: "In the queue",
  running: "Tracking",
  done: "Done",
  failed: "Failed",
  cancelled: "Cancelled",
};

/** One line on the state of an entry. */
export function stateText(entry) {
  if (entry.status === "uploading") return `Uploading · ${Math.round(100 * entry.share)} %`;
  if (entry.status === "running" && entry.progress.frames) return progressText(entry.progress);
  if (entry.status === "running") return "Starting";
  if (entry.status === "queued" && entry.queue_place > 0) {
    return `In the queue · place ${entry.queue_place}`;
  }
  if (entry.status === "image") return counted(entry.result.people.length, "person", "people");
  if (entry.status === "done" && entry.people !== null) {
    return `Done · ${counted(entry.people, "person", "people")}`;
  }
  return STATUS[entry.status] ?? entry.status;
}

/** The same, short enough for the list. */
function shortText(entry) {
  const share = shareOf(entry);
  if (entry.status !== "running" || !share) return stateText(entry);
  const eta = entry.progress.eta_s;
  return `${Math.floor(100 * share)} %${eta === null ? "" : ` · ${roughly(eta)} left`}`;
}

/** Share of an entry that is done, 0..1; null if that is unknown or nothing is under way. */
export function shareOf(entry) {
  if (entry.status === "uploading") return entry.share;
  if (entry.status !== "running" || !entry.progress.total) return null;
  return Math.min(entry.progress.frames / entry.progress.total, 1);
}

export const isUnderWay = (entry) =>
  isActive(entry) || ["waiting", "uploading", "predicting"].includes(entry.status);

export class JobList {
  #rows = new Map();
  #list = byId("jobs");
  #onStop;

  /** @param {(entry) => void} onStop cancels what is under way, and asks before it deletes */
  constructor(onStop) {
    this.#onStop = onStop;
  }

  update(entries, selectedId) {
    const known = new Set(entries.map(({ id }) => id));
    for (const [id, row] of this.#rows) {
      if (known.has(id)) continue;
      row.item.remove();
      this.#rows.delete(id);
    }
    entries.forEach((entry, place) => {
      if (!this.#rows.has(entry.id)) this.#rows.set(entry.id, this.#makeRow(entry.id));
      const row = this.#rows.get(entry.id);
      this.#fill(row, entry, entry.id === selectedId);
      if (this.#list.children[place] !== row.item) {
        this.#list.insertBefore(row.item, this.#list.children[place] ?? null);
      }
    });
    show(byId("no-jobs"), entries.length === 0);
  }

  #makeRow(id) {
    const row = {
      entry: null,
      dot: make("span", { className: "dot", aria: { hidden: "true" } }),
      name: make("span", { className: "job-name" }),
      state: make("span", { className: "job-state" }),
      bar: make("progress", { className: "bar", max: 1, aria: { label: "Progress" } }),
      stop: make("button", { type: "button", className: "icon-button job-stop" }),
    };
    row.link = make(
      "a",
      { className: "job-link", href: `#/job/${id}` },
      row.dot,
      make("span", { className: "job-text" }, row.name, row.state),
    );
    row.stop.addEventListener("click", () => this.#onStop(row.entry));
    row.item = make("li", { className: "job", data: { id } }, row.link, row.stop, row.bar);
    return row;
  }

  #fill(row, entry, isSelected) {
    row.entry = entry;
    row.item.dataset.status = entry.status;
    setText(row.name, entry.name);
    row.name.title = entry.name;
    setText(row.state, shortText(entry));
    if (isSelected) row.link.setAttribute("aria-current", "page");
    else row.link.removeAttribute("aria-current");
    const share = shareOf(entry);
    show(row.bar, share !== null);
    if (share !== null) row.bar.value = share;
    const verb = isUnderWay(entry) ? "Cancel" : "Delete";
    setIcon(row.stop, verb === "Cancel" ? "close" : "trash");
    row.stop.title = verb;
    row.stop.setAttribute("aria-label", `${verb} ${entry.name}`);
  }
}
