// Paints one frame with everything that belongs on it: image, hidden faces, people.

import { drawPeople, trailsOf } from "./overlay.js";
import { hiddenCircles, hideAll, hideCircles } from "./privacy.js";

/**
 * @param {CanvasRenderingContext2D} context in pixels of the poses
 * @param {CanvasImageSource|null} image null where there are only poses
 * @param {{width: number, height: number}} imageSize of the image, which may be scaled
 * @param {{width: number, height: number, scale: number}} view see `drawPeople`
 * @param {object} scene store, place (-1: no poses are known), skeleton (null likewise), show,
 *   selected, isDrawnIn (the image shows the poses already), isExact (`place` is certainly that of
 *   the image)
 */
export function paintScene(context, image, imageSize, view, scene) {
  const { store, place, skeleton, show, selected, isDrawnIn, isExact } = scene;
  const isKnown = place >= 0 && skeleton !== null;
  if (image && show.blur && !isKnown) {
    hideAll(context, image, imageSize, view);
  } else if (image) {
    context.drawImage(image, 0, 0, view.width, view.height);
    if (show.blur) {
      const circles = hiddenCircles(store, place, skeleton, isExact);
      hideCircles(context, image, imageSize, view, circles);
    }
  }
  if (!isKnown || isDrawnIn) return;
  const trails = show.trails ? trailsOf(store, place, skeleton) : null;
  drawPeople(context, view, { people: store.at(place).people, skeleton, show, selected, trails });
}
