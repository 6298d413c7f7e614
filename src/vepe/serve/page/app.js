// The page: connects the list, the views and the address (#/, #/job/ID, #/live).

import { authorise, onUnauthorised } from "./api.js";
import { askForToken, confirmDelete, connectDialogs } from "./dialogs.js";
import { DrawingOptions } from "./drawing_options.js";
import { byId, insertIcons, setText, show } from "./elements.js";
import { JobList, isUnderWay } from "./job_list.js";
import { Jobs } from "./jobs.js";
import { LiveView } from "./live_view.js";
import { notifyError } from "./notices.js";
import { Player } from "./player.js";
import { Uploads } from "./upload.js";

const VIEWS = ["home", "job", "live"];

insertIcons();
connectDialogs();

const jobs = new Jobs();
const options = new DrawingOptions();
const player = new Player(jobs, options);
const uploads = new Uploads(addFiles);
const list = new JobList(stopOrDelete);
let models = [];
const live = new LiveView(
  options,
  (name) => models.find((model) => model.name === name)?.skeleton ?? null,
);

onUnauthorised(askForToken);
jobs.addEventListener("change", refresh);
jobs.addEventListener("accepted", ({ detail: { entry, job } }) => {
  if (player.id !== entry.id) return;
  history.replaceState(null, "", `#/job/${job.id}`);
  route({ keepsFocus: true });
});
jobs.addEventListener("locked", ({ detail: sentence }) => lock(sentence));
jobs.addEventListener("connection", ({ detail: isConnected }) => {
  if (isConnected && !models.length) loadModels();
  setText(byId("banner-text"), "The connection to the server is lost. Trying again…");
  show(byId("banner"), !isConnected);
  show(byId("unlock"), false);
});
byId("unlock").addEventListener("click", unlock);
window.addEventListener("hashchange", () => route());
document.addEventListener("visibilitychange", () => document.hidden || jobs.refresh());
start();

async function start() {
  route({ keepsFocus: true });
  show(byId("banner"), false);
  if (!(await loadModels())) return;
  await jobs.refresh();
  route({ keepsFocus: true });
}

/** Whether the page may go on: false only without the server's token. */
async function loadModels() {
  try {
    models = await uploads.loadModels();
  } catch (error) {
    if (error.status === 401) {
      lock(error.message);
      return false;
    }
    if (error.status > 0) notifyError(error.message);
  }
  return true;
}

/** The token was not given: nothing can be done until it is. */
function lock(sentence) {
  setText(byId("banner-text"), sentence);
  show(byId("unlock"), true);
  show(byId("banner"), true);
}

async function unlock() {
  if (await authorise()) await start();
}

function addFiles(files, fields) {
  const [first] = jobs.add(files, fields);
  location.hash = `#/job/${first.id}`;
}

async function stopOrDelete(entry) {
  try {
    if (isUnderWay(entry)) {
      await jobs.cancel(entry);
    } else if (await confirmDelete(entry.name)) {
      await jobs.remove(entry);
    }
  } catch (error) {
    notifyError(error.message);
  }
}

/** A job that is not in the list is new, or deleted; then there is nothing to show. */
async function findJob(id) {
  try {
    await jobs.find(id);
  } catch {
    if (current().id === id) location.hash = "#/";
  }
}

function current() {
  const [, view, id] = location.hash.split("/");
  if (view === "live") return { view, id: null };
  if (view === "job" && id) return { view, id };
  return { view: "home", id: null };
}

/** Shows what the address says. Moves the focus there, unless the user did not go there. */
function route({ keepsFocus = false } = {}) {
  const { view } = current();
  if (view !== "live") live.stop();
  if (view !== "job") player.close();
  for (const name of VIEWS) show(byId(`view-${name}`), name === view);
  document.body.dataset.view = view;
  if (view === "live") byId("nav-live").setAttribute("aria-current", "page");
  else byId("nav-live").removeAttribute("aria-current");
  refresh();
  if (keepsFocus) return;
  window.scrollTo(0, 0);
  byId(`view-${view}`).querySelector("h1").focus({ preventScroll: true });
}

function refresh() {
  const { view, id } = current();
  const entry = view === "job" ? jobs.get(id) : null;
  list.update(jobs.entries, id);
  if (entry) {
    player.open(entry);
    document.title = `${entry.name} – VEPE`;
  } else if (view === "job" && jobs.isLoaded) {
    findJob(id);
  } else {
    document.title = view === "live" ? "Live – VEPE" : "VEPE";
  }
}
