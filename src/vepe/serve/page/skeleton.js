// A skeleton as the server describes it, with what drawing needs of it.

/**
 * @param {{keypoints: string[], edges: number[][]}} data
 * @returns names, edges (right ones first, so that left ones lie on top), sides, and the neck:
 *   head_bottom with both shoulders, or null, since the middle of the shoulders is no keypoint.
 */
export function makeSkeleton(data) {
  const keypoints = data.keypoints;
  const sides = keypoints.map((name) =>
    name.startsWith("left_") ? 1 : name.startsWith("right_") ? -1 : 0,
  );
  const edges = data.edges
    .map(([from, to]) => ({ from, to, side: Math.sign(sides[from] + sides[to]) }))
    .sort((a, b) => a.side - b.side);
  const neck = ["head_bottom", "left_shoulder", "right_shoulder"].map((n) => keypoints.indexOf(n));
  return { keypoints, edges, sides, neck: neck.includes(-1) ? null : neck };
}

/** "left_shoulder" as people read it: "Left shoulder". */
export function readableName(keypoint) {
  const text = keypoint.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}
