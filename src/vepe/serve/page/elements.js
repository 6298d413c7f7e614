// Makes elements. Text is always inserted as text, so that names and messages cannot be HTML.

import { iconNode } from "./icons.js";

export const byId = (id) => document.getElementById(id);

/**
 * @param {string} tag
 * @param {object} properties of the element; `data` and `aria` set such attributes, `icon` adds one
 * @param {...(Node|string|null)} children
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  const { data = {}, aria = {}, icon, ...rest } = properties;
  Object.assign(element, rest);
  Object.assign(element.dataset, data);
  for (const [name, value] of Object.entries(aria)) element.setAttribute(`aria-${name}`, value);
  if (icon) element.append(iconNode(icon));
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Changes a text only if it differs, so that screen readers and layout are left in peace. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function show(element, isShown) {
  if (element.hidden === isShown) element.hidden = !isShown;
}

/** Puts an icon into every element of the document that names one. */
export function insertIcons(root = document) {
  for (const element of root.querySelectorAll("[data-icon]")) {
    element.prepend(iconNode(element.dataset.icon));
  }
}
