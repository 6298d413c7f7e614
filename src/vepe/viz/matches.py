"""Draws what was predicted over what was labelled, and which is taken for which.

Labels as thin white figures; over them predictions as everywhere, in a person's colour, so that
white shows where a prediction is off; yellow lines from a label's keypoints to those of its
prediction. A prediction that is nobody's is faded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from vepe.skeleton import Skeleton
from vepe.types import NO_TRACK, FramePoses
from vepe.viz.drawing import DARK, WHITE, Colour, draw_poses

YELLOW: Colour = (255, 214, 64)
_SHIFT = 4

Image = UInt8[np.ndarray, "H W 3"]


@dataclass(frozen=True)
class Labels:
    """The labelled people of a picture.

    Attributes:
        keypoints_px: (N, K, 2).
        labelled: (N, K) which of them have a label.
    """

    keypoints_px: Float[np.ndarray, "N K 2"]
    labelled: Bool[np.ndarray, "N K"]

    def scaled(self, factor: float) -> Labels:
        """The same in a picture `factor` times as large."""
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
    """A copy of the picture with predictions, labels and matches.

    Args:
        image_rgb: (H, W, 3) uint8 RGB.
        poses: everything that is predicted, in pixels of this picture.
        labels: what is labelled.
        pairs: a row a match: index into `poses`, index into `labels`.
        skeleton: of both.
        min_score: predictions that are nobody's are left out below it.
    """
    matched = set(pairs[:, 0].tolist())
    free = [n for n in range(len(poses)) if n not in matched and poses.scores[n] >= min_score]
    canvas = _draw_people(image_rgb, poses, free, np.asarray(free), skeleton)
    canvas = cv2.addWeighted(image_rgb, 0.55, canvas, 0.45, 0)
    order = pairs[np.argsort(-poses.scores[pairs[:, 0]], kind="stable")]
    for person in range(len(labels.keypoints_px)):
        _draw_label(canvas, labels, person, skeleton)
    canvas = _draw_people(canvas, poses, order[:, 0].tolist(), order[:, 1], skeleton)
    _draw_lines(canvas, poses, labels, pairs)
    return canvas


def caption(image_rgb: Image, lines: Sequence[str], *, width: int | None = None) -> Image:
    """The picture below a dark band with lines of small text, cut to its width."""
    height = 16 * len(lines) + 8
    band = np.full((height, width or image_rgb.shape[1], 3), DARK, np.uint8)
    for row, line in enumerate(lines):
        at = (6, 16 * row + 16)
        cv2.putText(band, line, at, cv2.FONT_HERSHEY_SIMPLEX, 0.4, WHITE, 1, cv2.LINE_AA)
    return np.concatenate([band, image_rgb])


def _draw_people(
    image: Image, poses: FramePoses, people: list[int], ids: np.ndarray, skeleton: Skeleton
) -> Image:
    """Some of the people in the colours of `ids`, with their scores for names."""
    some = replace(
        poses.select(np.asarray(people, np.int64)),
        keypoint_scores=np.ones((len(people), len(skeleton)), np.float32),
        track_ids=np.asarray(ids, np.int64) if len(people) else np.zeros(0, np.int64),
    )
    names = [f"{score:.2f}" for score in some.scores]
    assert (some.track_ids != NO_TRACK).all()
    return draw_poses(image, some, skeleton, min_keypoint_score=0.0, names=names)


def _draw_lines(
    canvas: Image, poses: FramePoses, labels: Labels, pairs: Int[np.ndarray, "M 2"]
) -> None:
    for prediction, person in pairs.tolist():
        seen = labels.labelled[person]
        ends = np.stack([labels.keypoints_px[person], poses.keypoints_px[prediction]], axis=1)
        lines = list(_fixed_point(ends[seen]))
        if lines:
            cv2.polylines(canvas, lines, False, YELLOW, 1, cv2.LINE_AA, _SHIFT)


def _draw_label(canvas: Image, labels: Labels, person: int, skeleton: Skeleton) -> None:
    points, seen = labels.keypoints_px[person], labels.labelled[person]
    limbs = [points[[a, b]] for a, b in skeleton.edges if seen[a] and seen[b]]
    if limbs:
        ends = list(_fixed_point(np.stack(limbs)))
        cv2.polylines(canvas, ends, False, DARK, 3, cv2.LINE_AA, _SHIFT)
        cv2.polylines(canvas, ends, False, WHITE, 1, cv2.LINE_AA, _SHIFT)
    for point in _fixed_point(points[seen]).tolist():
        cv2.circle(canvas, point, 3 << _SHIFT, DARK, -1, cv2.LINE_AA, _SHIFT)
        cv2.circle(canvas, point, 2 << _SHIFT, WHITE, -1, cv2.LINE_AA, _SHIFT)


def _fixed_point(points_px: Float[np.ndarray, "*S 2"]) -> Int[np.ndarray, "*S 2"]:
    """Points as OpenCV takes them: sixteenths, counted from the centre of the first pixel."""
    near = np.nan_to_num(np.clip(points_px, -30_000.0, 30_000.0))
    return np.rint((near - 0.5) * 2**_SHIFT).astype(np.int32)
