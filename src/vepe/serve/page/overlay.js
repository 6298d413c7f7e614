// Draws people over a frame in the style of `vepe.viz.drawing`: dark rims, lighter left limbs.

import { bodyHeight, extent, headCircle, placeOf, usableKeypoints } from "./body.js";
import { css, DARK, personColour, readableOn, sideTints } from "./colours.js";
import { numberOf } from "./poses.js";

const MIN_KEYPOINT_SCORE = 0.3;
const DOT_PER_LINE = 1.75;
const TRAIL_S = 2;
const TRAIL_PIECES = 32;
const DIMMED = 0.22;
const FONT = 'Inter, ui-sans-serif, system-ui, "Segoe UI", Roboto, sans-serif';

/**
 * @param {CanvasRenderingContext2D} context in pixels of the video (see `stage.js`)
 * @param {{width: number, height: number, scale: number}} view size of the video in its pixels,
 *   and how many CSS pixels one of them takes
 * @param {object} scene people, skeleton, show ({skeleton, boxes, ids, trails}), selected (a track
 *   id or null), trails (as `trailsOf` returns)
 */
export function drawPeople(context, view, scene) {
  const { people, skeleton, show, selected } = scene;
  const someoneSelected = people.some((person) => person.trackId === selected);
  const figures = people.map((person, place) => makeFigure(person, place, skeleton, view));
  context.lineCap = "round";
  context.lineJoin = "round";
  // The highest-scoring person comes first and is drawn last, over the others.
  for (const figure of figures.reverse()) {
    if (!figure) continue;
    const isSelected = figure.person.trackId === selected;
    context.globalAlpha = someoneSelected && !isSelected ? DIMMED : 1;
    if (show.trails) drawTrail(context, scene.trails?.get(figure.person.trackId), figure);
    if (show.boxes || isSelected) drawBox(context, figure, isSelected && !show.boxes);
    if (show.skeleton) drawFigure(context, figure, skeleton);
  }
  for (const figure of figures) {
    if (!figure || !show.ids || !figure.person.name) continue;
    context.globalAlpha = someoneSelected && figure.person.trackId !== selected ? DIMMED : 1;
    drawLabel(context, figure.person.name, figure, view);
  }
  context.globalAlpha = 1;
}

/** Where people of a frame were over the last seconds: track id to [{x, y, age}], newest last. */
export function trailsOf(store, place, skeleton) {
  const trails = new Map();
  const now = store.at(place).timeS;
  let first = place;
  while (first > 0 && now - store.at(first - 1).timeS <= TRAIL_S) first -= 1;
  const stride = Math.max(1, Math.round((place - first) / TRAIL_PIECES));
  for (let i = place - Math.floor((place - first) / stride) * stride; i <= place; i += stride) {
    const { timeS, people } = store.at(i);
    for (const person of people) {
      if (person.trackId < 0) continue;
      const usable = usableKeypoints(person.keypoints, MIN_KEYPOINT_SCORE);
      const at = placeOf(person.keypoints, usable, skeleton);
      if (!at) continue;
      if (!trails.has(person.trackId)) trails.set(person.trackId, []);
      trails.get(person.trackId).push({ x: at[0], y: at[1], age: (now - timeS) / TRAIL_S });
    }
  }
  return trails;
}

function makeFigure(person, place, skeleton, view) {
  const { keypoints } = person;
  const usable = usableKeypoints(keypoints, MIN_KEYPOINT_SCORE);
  if (!usable.size) return null;
  const height = bodyHeight(keypoints, usable, skeleton);
  const diagonal = Math.hypot(view.width, view.height);
  const widest = Math.max(0.0042 * diagonal, 1.5);
  // At least one and a half pixels of the screen, however small the video is shown.
  const line = Math.max(Math.min(Math.max(0.018 * height, 1), widest), 1.5 / view.scale);
  const shown = extent([...usable].map((k) => [keypoints[3 * k], keypoints[3 * k + 1]]));
  const head = headCircle(keypoints, usable, skeleton, height);
  return {
    person,
    usable,
    colour: personColour(numberOf(person, place)),
    line,
    rim: Math.max(0.28 * line, 0.6 / view.scale),
    box: shown,
    labelX: head ? head.x : (shown.left + shown.right) / 2,
    labelY: (head ? Math.min(head.y - head.radius, shown.top) : shown.top) - 2,
    headPx: head ? 1.7 * head.radius : 0.16 * height,
  };
}

function drawFigure(context, figure, skeleton) {
  const { person, usable, colour, line, rim } = figure;
  const { keypoints } = person;
  const tints = sideTints(colour);
  const lines = skeleton.edges
    .filter(({ from, to }) => usable.has(from) && usable.has(to))
    .map(({ from, to, side }) => [
      keypoints[3 * from],
      keypoints[3 * from + 1],
      keypoints[3 * to],
      keypoints[3 * to + 1],
      tints[side].limb,
    ]);
  if (skeleton.neck?.every((k) => usable.has(k))) {
    const [head, left, right] = skeleton.neck.map((k) => 3 * k);
    lines.push([
      keypoints[head],
      keypoints[head + 1],
      (keypoints[left] + keypoints[right]) / 2,
      (keypoints[left + 1] + keypoints[right + 1]) / 2,
      tints[0].limb,
    ]);
  }
  for (const [width, rimColour] of [[line + 2 * rim, css(DARK)], [line, null]]) {
    context.lineWidth = width;
    for (const [ax, ay, bx, by, limbColour] of lines) {
      context.strokeStyle = rimColour ?? limbColour;
      context.beginPath();
      context.moveTo(ax, ay);
      context.lineTo(bx, by);
      context.stroke();
    }
  }
  for (const [grown, rimColour] of [[rim, css(DARK)], [0, null]]) {
    for (const k of usable) {
      context.fillStyle = rimColour ?? tints[skeleton.sides[k]].dot;
      context.beginPath();
      context.arc(keypoints[3 * k], keypoints[3 * k + 1], (DOT_PER_LINE * line) / 2 + grown, 0, 7);
      context.fill();
    }
  }
}

function drawBox(context, { box, colour, line, rim }, isMark) {
  const margin = isMark ? 4 * line : 0;
  const at = [
    box.left - margin,
    box.top - margin,
    box.right - box.left + 2 * margin,
    box.bottom - box.top + 2 * margin,
  ];
  const thin = (isMark ? 0.5 : 0.7) * line;
  context.setLineDash(isMark ? [3 * line, 3 * line] : []);
  for (const [width, stroke] of [[thin + 2 * rim, css(DARK)], [thin, css(colour)]]) {
    context.lineWidth = width;
    context.strokeStyle = stroke;
    context.strokeRect(...at);
  }
  context.setLineDash([]);
}

function drawTrail(context, trail, { colour, line }) {
  for (let i = 1; trail && i < trail.length; i++) {
    const fresh = 1 - trail[i].age;
    context.lineWidth = line * (0.5 + 0.5 * fresh);
    context.strokeStyle = css(colour, 0.15 + 0.75 * fresh);
    context.beginPath();
    context.moveTo(trail[i - 1].x, trail[i - 1].y);
    context.lineTo(trail[i].x, trail[i].y);
    context.stroke();
  }
}

function drawLabel(context, text, figure, view) {
  const diagonal = Math.hypot(view.width, view.height);
  const highest = 12 + 0.016 * diagonal;
  // Readable on the screen: between 15 and 26 CSS pixels high.
  const wanted = Math.max(Math.min(0.75 * figure.headPx, highest), 10);
  const height = Math.min(Math.max(wanted, 15 / view.scale), 26 / view.scale);
  context.font = `600 ${0.7 * height}px ${FONT}`;
  const width = Math.max(context.measureText(text).width + 0.6 * height, height);
  const left = Math.min(Math.max(figure.labelX - width / 2, 0), Math.max(view.width - width, 0));
  const top = Math.min(Math.max(figure.labelY - height, 0), Math.max(view.height - height, 0));
  context.beginPath();
  context.roundRect(left, top, width, height, height / 4);
  context.lineWidth = 2 / view.scale;
  context.strokeStyle = css(DARK);
  context.stroke();
  context.fillStyle = css(figure.colour);
  context.fill();
  context.fillStyle = css(readableOn(figure.colour));
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, left + width / 2, top + 0.54 * height);
}
