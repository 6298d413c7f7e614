// Where a person's head is, from keypoints of any skeleton: the geometry of `vepe.viz.body`.
//
// Keypoints are flat: x, y and confidence of keypoint k at 3k, 3k + 1 and 3k + 2; NaN if unknown.

const FACE = ["nose", "left_eye", "right_eye", "left_ear", "right_ear"];
const TOPS = ["head_top", "head"];
const NECKS = ["head_bottom", "neck"];
const HEAD_RADIUS = 0.095;
const NECK_TO_HEAD = 0.11;

// Lengths as shares of the body's height (Drillis and Contini 1964), as in `vepe.measures`.
const SHARES = [
  ["left_shoulder", "left_hip", 0.288],
  ["right_shoulder", "right_hip", 0.288],
  ["left_hip", "left_knee", 0.245],
  ["right_hip", "right_knee", 0.245],
  ["left_knee", "left_ankle", 0.246],
  ["right_knee", "right_ankle", 0.246],
  ["left_shoulder", "right_shoulder", 0.245],
  ["left_shoulder", "left_elbow", 0.186],
  ["right_shoulder", "right_elbow", 0.186],
  ["head_top", "head_bottom", 0.16],
  ["head", "neck", 0.16],
  ["left_ear", "right_ear", 0.085],
];

const partsOf = new WeakMap();

function parts(skeleton) {
  if (!partsOf.has(skeleton)) {
    const those = (names) => names.map((n) => skeleton.keypoints.indexOf(n)).filter((k) => k >= 0);
    partsOf.set(skeleton, {
      face: those(FACE),
      top: those(TOPS),
      neck: those(NECKS),
      shoulders: those(["left_shoulder", "right_shoulder"]),
      hips: those(["left_hip", "right_hip"]),
      lengths: SHARES.map(([a, b, share]) => [...those([a]), ...those([b]), share]).filter(
        (length) => length.length === 3,
      ),
    });
  }
  return partsOf.get(skeleton);
}

export function isFinitePoint(keypoints, k) {
  return Number.isFinite(keypoints[3 * k]) && Number.isFinite(keypoints[3 * k + 1]);
}

/** The indices of finite keypoints with at least this confidence. */
export function usableKeypoints(keypoints, minScore) {
  const usable = new Set();
  for (let k = 0; 3 * k < keypoints.length; k++) {
    if (isFinitePoint(keypoints, k) && keypoints[3 * k + 2] >= minScore) usable.add(k);
  }
  return usable;
}

const point = (keypoints, k) => [keypoints[3 * k], keypoints[3 * k + 1]];

export function mean(points) {
  let [x, y] = [0, 0];
  for (const [px, py] of points) [x, y] = [x + px / points.length, y + py / points.length];
  return [x, y];
}

/** Height in pixels that the person would have upright; 0 without any usable keypoint. */
export function bodyHeight(keypoints, usable, skeleton) {
  const lengths = [];
  for (const [a, b, share] of parts(skeleton).lengths) {
    if (!usable.has(a) || !usable.has(b)) continue;
    const [ax, ay] = point(keypoints, a);
    const [bx, by] = point(keypoints, b);
    lengths.push(Math.hypot(ax - bx, ay - by) / share);
  }
  if (lengths.length) {
    // A limb that points to the camera looks short, so the upper quartile counts.
    return lengths.sort((a, b) => a - b)[roundHalfToEven(0.75 * (lengths.length - 1))];
  }
  return extent([...usable].map((k) => point(keypoints, k)))?.diagonal ?? 0;
}

/** A circle around the head, hair included, as {x, y, radius}; null if head and shoulders lack. */
export function headCircle(keypoints, usable, skeleton, height) {
  const those = (indices) => indices.filter((k) => usable.has(k)).map((k) => point(keypoints, k));
  const part = parts(skeleton);
  const [face, top, neck] = [those(part.face), those(part.top), those(part.neck)];
  let radius = HEAD_RADIUS * height;
  let middle;
  if (top.length && neck.length) {
    middle = mean([top[0], neck[0]]);
    const length = Math.hypot(top[0][0] - neck[0][0], top[0][1] - neck[0][1]);
    radius = Math.max(0.62 * length, 0.8 * radius);
  } else if (face.length) {
    middle = mean(face);
    const spread = Math.max(...face.map(([x, y]) => Math.hypot(x - middle[0], y - middle[1])));
    radius = Math.max(radius, spread + 0.05 * height);
  } else {
    const shoulders = those(part.shoulders);
    const base = top.length ? top : neck.length ? neck : shoulders;
    if (!base.length) return null;
    const up = upwards(shoulders, those(part.hips));
    const reach = height * (top.length ? -NECK_TO_HEAD / 2 : NECK_TO_HEAD);
    const [x, y] = mean(base);
    middle = [x + up[0] * reach, y + up[1] * reach];
  }
  return { x: middle[0], y: middle[1], radius: Math.max(radius, 1) };
}

/** A circle that surely contains the head, for hiding it; null without any finite keypoint. */
export function coveringCircle(keypoints, skeleton, minScore) {
  const finite = usableKeypoints(keypoints, -Infinity);
  if (!finite.size) return null;
  let circle = null;
  for (const usable of [usableKeypoints(keypoints, minScore), finite]) {
    circle ??= headCircle(keypoints, usable, skeleton, bodyHeight(keypoints, usable, skeleton));
  }
  if (circle === null) {
    const box = extent([...finite].map((k) => point(keypoints, k)));
    return { x: (box.left + box.right) / 2, y: box.top, radius: Math.max(0.2 * box.diagonal, 4) };
  }
  // Wide enough for every other estimate of the head nearby, however low its score.
  const { x, y, radius } = circle;
  let near = 0;
  for (const k of [...parts(skeleton).face, ...parts(skeleton).top]) {
    if (!finite.has(k)) continue;
    const distance = Math.hypot(keypoints[3 * k] - x, keypoints[3 * k + 1] - y);
    if (distance < 2.5 * radius) near = Math.max(near, distance);
  }
  return { x, y, radius: Math.max(1.15 * radius, near + 0.4 * radius) };
}

/** Where a person is: between the hips, else between the shoulders, else amid the keypoints. */
export function placeOf(keypoints, usable, skeleton) {
  for (const pair of [parts(skeleton).hips, parts(skeleton).shoulders]) {
    if (pair.length === 2 && pair.every((k) => usable.has(k))) {
      return mean(pair.map((k) => point(keypoints, k)));
    }
  }
  return usable.size ? mean([...usable].map((k) => point(keypoints, k))) : null;
}

/** Left, top, right, bottom and diagonal of points; null without any. */
export function extent(points) {
  if (!points.length) return null;
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  const [left, right] = [Math.min(...xs), Math.max(...xs)];
  const [top, bottom] = [Math.min(...ys), Math.max(...ys)];
  return { left, top, right, bottom, diagonal: Math.hypot(right - left, bottom - top) };
}

function upwards(shoulders, hips) {
  if (shoulders.length && hips.length) {
    const [high, low] = [mean(shoulders), mean(hips)];
    const trunk = [high[0] - low[0], high[1] - low[1]];
    const length = Math.hypot(...trunk);
    if (length > 0) return [trunk[0] / length, trunk[1] / length];
  }
  return [0, -1];
}

function roundHalfToEven(value) {
  const low = Math.floor(value);
  const rest = value - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low;
}
