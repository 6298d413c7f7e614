// Short messages: shown for a while, and read out by screen readers.

import { byId, make, setText } from "./elements.js";

const SHOWN_MS = 7000;

/** Reads a text out without showing it, as when a job ends. */
export function announce(text) {
  setText(byId("polite"), text);
}

/** Shows one sentence on what went wrong, and reads it out. */
export function notifyError(text) {
  const close = make("button", {
    type: "button",
    className: "icon-button",
    icon: "close",
    aria: { label: "Dismiss" },
  });
  const notice = make("div", { className: "notice", icon: "warning" }, make("p", {}, text), close);
  const remove = () => notice.remove();
  close.addEventListener("click", remove);
  byId("notices").append(notice);
  setTimeout(remove, SHOWN_MS);
}
