// Hides faces in a frame before it is shown, as `vepe.viz.privacy` does in files.
//
// What is hidden becomes means over cells of about a fifth of a head, which sharpening does not
// bring back. Where a person is missed for a moment, the last and the next place stay hidden.

import { coveringCircle } from "./body.js";

export const HOLD_S = 1;
const UNSURE_S = 0.15;
const CELLS_PER_HEAD = 5;
const MIN_CELL_PX = 4;
const MIN_SCORE = 0.3;
const CELLS_PER_FRAME = 12;

const small = document.createElement("canvas");
const smallContext = small.getContext("2d", { willReadFrequently: false });

/**
 * Circles {x, y, radius} over the faces of the frame at `place` of the store. If the image may be
 * that of another moment, they cover the faces of all frames around it.
 */
export function hiddenCircles(store, place, skeleton, isExact) {
  const people = [...store.at(place).people, ...store.nearby(place, HOLD_S)];
  for (const step of isExact ? [] : [-1, 1]) {
    for (let i = place + step, n = 0; store.at(i); i += step, n++) {
      const distance = Math.abs(store.at(i).timeS - store.at(place).timeS);
      if (n > 0 && distance > UNSURE_S) break;
      people.push(...store.at(i).people);
    }
  }
  return circlesOf(people, skeleton);
}

export function circlesOf(people, skeleton) {
  return people
    .map(({ keypoints }) => coveringCircle(keypoints, skeleton, MIN_SCORE))
    .filter((circle) => circle !== null);
}

/**
 * @param {CanvasRenderingContext2D} context in pixels of the video, with the frame drawn
 * @param {CanvasImageSource} image the frame
 * @param {{width: number, height: number}} size of the image itself, which may be scaled
 * @param {{width: number, height: number}} view size of the video in pixels of the poses
 * @param {{x: number, y: number, radius: number}[]} circles to hide
 */
export function hideCircles(context, image, size, view, circles) {
  for (const { x, y, radius } of circles) {
    const left = Math.max(Math.floor(x - radius), 0);
    const top = Math.max(Math.floor(y - radius), 0);
    const width = Math.min(Math.ceil(x + radius), view.width) - left;
    const height = Math.min(Math.ceil(y + radius), view.height) - top;
    if (width <= 0 || height <= 0) continue;
    context.save();
    context.beginPath();
    context.arc(x, y, radius, 0, 7);
    context.clip();
    const cell = Math.max((2 * radius) / CELLS_PER_HEAD, MIN_CELL_PX);
    coarsen(context, image, size, view, { left, top, width, height }, cell);
    context.restore();
  }
}

/** Hides the whole frame: nobody knows yet where faces are. */
export function hideAll(context, image, size, view) {
  const whole = { left: 0, top: 0, width: view.width, height: view.height };
  coarsen(context, image, size, view, whole, Math.max(view.width, view.height) / CELLS_PER_FRAME);
}

function coarsen(context, image, size, view, box, cell) {
  const columns = Math.max(1, Math.round(box.width / cell));
  const rows = Math.max(1, Math.round(box.height / cell));
  [small.width, small.height] = [columns, rows];
  smallContext.imageSmoothingQuality = "high";
  const [scaleX, scaleY] = [size.width / view.width, size.height / view.height];
  const source = [box.left * scaleX, box.top * scaleY, box.width * scaleX, box.height * scaleY];
  smallContext.drawImage(image, ...source, 0, 0, columns, rows);
  context.imageSmoothingEnabled = true;
  context.drawImage(small, 0, 0, columns, rows, box.left, box.top, box.width, box.height);
}
