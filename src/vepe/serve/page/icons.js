// Icons as paths of a 24 x 24 grid, drawn with lines of the text's colour.

const PATHS = {
  back: "M14.5 5.5 8 12l6.5 6.5",
  camera: "M3.5 7.5h11v9h-11zM14.5 11l6-3v8l-6-3",
  close: "M6 6l12 12M18 6 6 18",
  download: "M12 4v11m-4.5-4.5L12 15l4.5-4.5M5 19.5h14",
  expand: "M4.5 9V4.5H9M15 4.5h4.5V9M19.5 15v4.5H15M9 19.5H4.5V15",
  film: "M4 5.5h16v13H4zM8 5.5v13M16 5.5v13M4 12h16",
  image: "M4 5.5h16v13H4zM4 16l4.5-4.5 4 4 2.5-2.5 5 5M15.5 9.2v.1",
  live: "M12 12v.01M8.5 15.5a5 5 0 0 1 0-7M15.5 8.5a5 5 0 0 1 0 7M5.6 18.4a9 9 0 0 1 0-12.8M18.4 5.6a9 9 0 0 1 0 12.8",
  moon: "M19.5 14.2A8 8 0 0 1 9.8 4.5a8 8 0 1 0 9.7 9.7z",
  muted: "M4 9.5h3.5L12 5.5v13l-4.5-4H4zM16 9.5l5 5m0-5-5 5",
  next: "M7 5.5 14.5 12 7 18.5zM17.5 5.5v13",
  pause: "M8.5 5.5v13M15.5 5.5v13",
  play: "M7.5 5 18.5 12 7.5 19z",
  plus: "M12 5v14M5 12h14",
  previous: "M17 5.5 9.5 12l7.5 6.5zM6.5 5.5v13",
  sound: "M4 9.5h3.5L12 5.5v13l-4.5-4H4zM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a7.8 7.8 0 0 1 0 11",
  stop: "M7 7h10v10H7z",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 3v1.8M12 19.2V21M3 12h1.8M19.2 12H21M5.6 5.6l1.3 1.3M17.1 17.1l1.3 1.3M18.4 5.6l-1.3 1.3M6.9 17.1l-1.3 1.3",
  trash: "M4.5 7h15M9.5 7V4.5h5V7M6.5 7l1 12.5h9l1-12.5M10.3 10.5v5.5M13.7 10.5v5.5",
  upload: "M12 16V5M7.5 9.5 12 5l4.5 4.5M5 19.5h14",
  warning: "M12 4.5 21 19.5H3zM12 10v4.5M12 17v.01",
};

const SVG = "http://www.w3.org/2000/svg";

export function iconNode(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", `icon icon-${name}`);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** Replaces the icon of a button. */
export function setIcon(button, name) {
  const old = button.querySelector(".icon");
  if (old?.classList.contains(`icon-${name}`)) return;
  if (old) old.replaceWith(iconNode(name));
  else button.prepend(iconNode(name));
}
