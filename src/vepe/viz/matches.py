"""Draws predictions over labels, and which prediction is matched with which label.

Labels are thin white figures. Predictions are drawn over them as everywhere, in a person's
colour, so that white is visible where a prediction is off; yellow lines join a label's keypoints
to those of its prediction. Unmatched predictions are faded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from vepe.skeleton import Skeleton
from vepe.types import NO_TRACK, FramePoses
from vepe.viz.colours import DARK, WHITE, Colour
from vepe.viz.drawing import draw_poses
from vepe.viz.options import DrawingOptions
from vepe.viz.strokes import SHIFT, fixed_point

YELLOW: Colour = (255, 214, 64)

Image = UInt8[np.ndarray, "H W 3"]


@dataclass(frozen=True)
class Labels:
    """The labelled people of an image.

    Attributes:
        keypoints_px: (N, K, 2).
        labelled: (N, K) whether the keypoint has a label.
    """

    keypoints_px: Float[np.ndarray, "N K 2"]
    labelled: Bool[np.ndarray, "N K"]

    def scaled(self, factor: float) -> Labels:
        """The same people in an image resized by `factor`."""
        return replace(self, keypoints_px=self.keypoints_px * factor)


def draw_matches(
    image_rgb: Image,
    poses: FramePoses,
    labels: Labels,
    pairs: Int[np.ndarray, "M 2"],
    skeleton: Skeleton,
    *,
    min_score: float = 0.3,
) -> Image:
    """Draws predictions, labels and matches on a copy of the image.

    Args:
        image_rgb: (H, W, 3) uint8 RGB.
        poses: all predictions, in pixels of this image.
        labels: the labelled people, in pixels of this image.
        pairs: (M, 2) the matches: index into `poses`, index into `labels`.
        skeleton: the skeleton of both.
        min_score: unmatched predictions with a lower score are not drawn.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    matched = set(pairs[:, 0].tolist())
    unmatched = [n for n in range(len(poses)) if n not in matched and poses.scores[n] >= min_score]
    canvas = _draw_people(image_rgb, poses, unmatched, np.asarray(unmatched), skeleton)
    canvas = cv2.addWeighted(image_rgb, 0.55, canvas, 0.45, 0)
    order = pairs[np.argsort(-poses.scores[pairs[:, 0]], kind="stable")]
    for person in range(len(labels.keypoints_px)):
        _draw_label(canvas, labels, person, skeleton)
    canvas = _draw_people(canvas, poses, order[:, 0].tolist(), order[:, 1], skeleton)
    _draw_lines(canvas, poses, labels, pairs)
    return canvas


def caption(image_rgb: Image, lines: Sequence[str], *, width: int | None = None) -> Image:
    """The image below a dark band with lines of small text, cut off at its width."""
    height = 16 * len(lines) + 8
    band = np.full((height, width or image_rgb.shape[1], 3), DARK, np.uint8)
    for row, line in enumerate(lines):
        at = (6, 16 * row + 16)
        cv2.putText(band, line, at, cv2.FONT_HERSHEY_SIMPLEX, 0.4, WHITE, 1, cv2.LINE_AA)
    return np.concatenate([band, image_rgb])


def _draw_people(
    image: Image, poses: FramePoses, people: list[int], ids: np.ndarray, skeleton: Skeleton
) -> Image:
    """Draws some of the people in the colours of `ids`, with their scores as labels."""
    some = replace(
        poses.select(np.asarray(people, np.int64)),
        keypoint_scores=np.ones((len(people), len(skeleton)), np.float32),
        track_ids=np.asarray(ids, np.int64) if len(people) else np.zeros(0, np.int64),
    )
    texts = [f"{score:.2f}" for score in some.scores]
    assert (some.track_ids != NO_TRACK).all()
    return draw_poses(image, some, skeleton, DrawingOptions(min_keypoint_score=0.0), texts=texts)


def _draw_lines(
    canvas: Image, poses: FramePoses, labels: Labels, pairs: Int[np.ndarray, "M 2"]
) -> None:
    for prediction, person in pairs.tolist():
        labelled = labels.labelled[person]
        ends = np.stack([labels.keypoints_px[person], poses.keypoints_px[prediction]], axis=1)
        lines = list(fixed_point(ends[labelled]))
        if lines:
            cv2.polylines(canvas, lines, False, YELLOW, 1, cv2.LINE_AA, SHIFT)


def _draw_label(canvas: Image, labels: Labels, person: int, skeleton: Skeleton) -> None:
    points, labelled = labels.keypoints_px[person], labels.labelled[person]
    limbs = [points[[a, b]] for a, b in skeleton.edges if labelled[a] and labelled[b]]
    if limbs:
        ends = list(fixed_point(np.stack(limbs)))
        cv2.polylines(canvas, ends, False, DARK, 3, cv2.LINE_AA, SHIFT)
        cv2.polylines(canvas, ends, False, WHITE, 1, cv2.LINE_AA, SHIFT)
    for point in fixed_point(points[labelled]).tolist():
        cv2.circle(canvas, point, 3 << SHIFT, DARK, -1, cv2.LINE_AA, SHIFT)
        cv2.circle(canvas, point, 2 << SHIFT, WHITE, -1, cv2.LINE_AA, SHIFT)
