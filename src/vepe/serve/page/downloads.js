// Links to the results of a finished job, or of an image.

import { jobPath } from "./api.js";
import { byId, setText, show } from "./elements.js";

const FILES = { video: "/video", json: "/poses?format=json", csv: "/poses?format=csv" };

let temporaryUrls = [];

/** Shows the downloads of a job that is done. */
export function offerJob(job, isBlurred) {
  release();
  const isDone = job.status === "done";
  show(byId("downloads"), isDone);
  if (!isDone) return;
  const stem = job.name.replace(/\.[^.]*$/, "");
  for (const [kind, path] of Object.entries(FILES)) {
    const link = byId(`download-${kind}`);
    link.href = jobPath(job.id, path);
    link.download = kind === "video" ? `${stem}.vepe.mp4` : `${stem}.${kind}`;
    show(link, true);
  }
  show(byId("download-image"), false);
  // What is hidden on the page is hidden in the file only if the job was asked for that.
  const isFileBlurred = job.options?.hide && job.options.hide !== "none";
  const warns = isBlurred && !isFileBlurred;
  setText(byId("download-note"), warns ? "Faces are visible in the video file." : "");
}

/** Shows the downloads of an image: what the canvas shows, and its poses. */
export function offerImage(entry, blob) {
  release();
  const stem = entry.name.replace(/\.[^.]*$/, "");
  const json = new Blob([JSON.stringify(entry.result)], { type: "application/json" });
  for (const [kind, content, name] of [
    ["image", blob, `${stem}.vepe.png`],
    ["json", json, `${stem}.json`],
  ]) {
    const url = URL.createObjectURL(content);
    temporaryUrls.push(url);
    Object.assign(byId(`download-${kind}`), { href: url, download: name });
    show(byId(`download-${kind}`), true);
  }
  show(byId("download-video"), false);
  show(byId("download-csv"), false);
  setText(byId("download-note"), "");
  show(byId("downloads"), true);
}

export function offerNothing() {
  release();
  show(byId("downloads"), false);
}

function release() {
  temporaryUrls.forEach((url) => URL.revokeObjectURL(url));
  temporaryUrls = [];
}
