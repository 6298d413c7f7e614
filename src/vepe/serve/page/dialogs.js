// The two dialogs: the server's token, and whether something shall be deleted.

import { openSession } from "./api.js";
import { byId, setText, show } from "./elements.js";

/** Asks for the token until it is right. Resolves with false if the user gives up. */
export function askForToken() {
  const dialog = byId("token-dialog");
  const [form, field, error] = [byId("token-form"), byId("token"), byId("token-error")];
  show(error, false);
  field.value = "";
  return new Promise((resolve) => {
    let isOpen = false;
    const submit = async (event) => {
      event.preventDefault();
      try {
        await openSession(field.value.trim());
        isOpen = true;
        dialog.close();
      } catch (problem) {
        setText(error, problem.message);
        show(error, true);
        field.setAttribute("aria-invalid", "true");
        field.select();
      }
    };
    form.addEventListener("submit", submit);
    dialog.addEventListener(
      "close",
      () => {
        form.removeEventListener("submit", submit);
        field.value = "";
        field.removeAttribute("aria-invalid");
        resolve(isOpen);
      },
      { once: true },
    );
    dialog.showModal();
  });
}

/** Whether the user confirms. */
export function confirmDelete(name) {
  const dialog = byId("delete-dialog");
  setText(byId("delete-name"), name);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "delete"), {
      once: true,
    });
  });
}

/** Buttons of dialogs close them with their value, also where forms may not be submitted. */
export function connectDialogs() {
  for (const button of document.querySelectorAll("dialog [data-close]")) {
    button.addEventListener("click", () => button.closest("dialog").close(button.dataset.close));
  }
}
