"""Hiding faces or people, and blurring what is not people.

What is hidden is replaced by means over cells of about a fifth of a head, blurred or not, so that
sharpening the image does not bring it back. That hides who a person is from a viewer; clothes,
movements and surroundings may still tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from vepe.skeleton import Skeleton
from vepe.types import NO_TRACK, FramePoses
from vepe.viz.body import covering_circle, outline
from vepe.viz.options import DrawingOptions
from vepe.viz.strokes import SHIFT, fixed_point

Image = UInt8[np.ndarray, "H W 3"]
Mask = UInt8[np.ndarray, "H W"]

HOLD_S = 1.0
"""How long a place stays hidden after a person is no longer detected there."""

_CELLS_PER_HEAD = 5
_MIN_CELL_PX = 4
_MIN_SCORE = 0.3
"""Keypoints below it do not decide where a head is, but are covered if they are near it."""

_FAR_PX = 30_000
"""OpenCV's shapes are limited to about this; what lies farther away is not in the image."""

_BACKGROUND_BLUR = 1 / 60
"""Size of the cells of a blurred background, as a share of the image's longer side."""


@dataclass(frozen=True)
class Region:
    """A convex polygon (V, 2) in pixels, the margin around it, and the size of a cell in it."""

    hull_px: Float[np.ndarray, "V 2"]
    margin_px: float
    cell_px: float


def regions(poses: FramePoses, skeleton: Skeleton, kind: str) -> dict[int, Region]:
    """What must be hidden of all people, by track id; people without one get numbers below -1.

    Args:
        poses: all people, also those that are not drawn.
        skeleton: of the poses.
        kind: "faces" or "people".
    """
    result: dict[int, Region] = {}
    for n in range(len(poses)):
        points = np.clip(np.asarray(poses.keypoints_px[n], np.float64), -_FAR_PX, _FAR_PX)
        scores = poses.keypoint_scores[n]
        circle = covering_circle(points, scores, skeleton, _MIN_SCORE)
        if circle is None:
            continue
        cell = max(2 * circle.radius / _CELLS_PER_HEAD, _MIN_CELL_PX)
        if kind == "faces":
            hull, margin = np.array([[circle.x, circle.y]]), circle.radius
        else:
            body = outline(points, scores, skeleton, _MIN_SCORE)
            assert body is not None  # the circle is a part of it
            hull, margin = body
        track = int(poses.track_ids[n])
        result[-2 - n if track == NO_TRACK else track] = Region(hull, margin, cell)
    return result


class HeldRegions:
    """Keeps regions hidden for `HOLD_S` after their person was seen last, against single misses."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[float, Region]] = {}
        self._last_s = -np.inf

    def update(self, current: dict[int, Region], time_s: float) -> list[Region]:
        """All regions to hide in the frame at `time_s`; a time before the last one starts over."""
        if time_s < self._last_s:
            self._seen.clear()
        self._last_s = time_s
        self._seen = {
            key: (seen_s, region)
            for key, (seen_s, region) in self._seen.items()
            if key not in current and time_s - seen_s <= HOLD_S
        }
        held = [region for _, region in self._seen.values()]
        self._seen |= {key: (time_s, region) for key, region in current.items()}
        return [*current.values(), *held]


def hide(canvas: Image, hidden: Sequence[Region], options: DrawingOptions) -> None:
    """Makes regions of the image unrecognisable, in place."""
    for region in hidden:
        rows, columns = _window(region, canvas.shape)
        part = canvas[rows, columns]
        if not part.size:
            continue
        cell = region.cell_px
        height, width = part.shape[:2]
        cells = (max(1, round(width / cell)), max(1, round(height / cell)))
        small = cv2.resize(part, cells, interpolation=cv2.INTER_AREA)
        kind = cv2.INTER_NEAREST if options.hide_by == "pixelate" else cv2.INTER_LINEAR
        coarse = cv2.resize(small, (width, height), interpolation=kind)
        mask = np.zeros((height, width), np.uint8)
        _fill(mask, region, np.array([columns.start, rows.start]))
        cv2.copyTo(coarse, mask, part)


def blur_background(canvas: Image, people: Sequence[Region]) -> Image:
    """The image with all but people blurred, with soft edges."""
    height, width = canvas.shape[:2]
    cell = max(2.0, _BACKGROUND_BLUR * max(height, width))
    size = (max(1, round(width / cell)), max(1, round(height / cell)))
    small = cv2.GaussianBlur(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA), (3, 3), 0)
    blurred = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    # The mask is made at a quarter of the size, which also softens its edge.
    mask = np.zeros((max(1, height // 4), max(1, width // 4)), np.uint8)
    for region in people:
        _fill(mask, Region(region.hull_px / 4, region.margin_px / 4, 1.0), np.zeros(2))
    mask = cv2.resize(cv2.blur(mask, (5, 5)), (width, height), interpolation=cv2.INTER_LINEAR)
    weight = cv2.merge([mask, mask, mask])
    sharp = cv2.multiply(canvas, weight, scale=1 / 255)
    soft = cv2.multiply(blurred, cv2.bitwise_not(weight), scale=1 / 255)
    return np.asarray(cv2.add(sharp, soft), np.uint8)


def _window(region: Region, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of the image that contain the region."""
    reach = region.margin_px + 1
    low = np.clip(np.floor(region.hull_px.min(axis=0) - reach), 0, (shape[1], shape[0]))
    high = np.clip(np.ceil(region.hull_px.max(axis=0) + reach), 0, (shape[1], shape[0]))
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))


def _fill(mask: Mask, region: Region, origin: np.ndarray) -> None:
    """Fills the polygon and its margin with 255."""
    points = fixed_point(region.hull_px - origin)
    radius = max(1, round(region.margin_px * 2**SHIFT))
    if len(points) > 2:
        cv2.fillConvexPoly(mask, points, 255, cv2.LINE_8, SHIFT)
    if len(points) > 1:
        thickness = max(1, min(round(2 * region.margin_px), _FAR_PX))
        cv2.polylines(mask, [points], True, 255, thickness, cv2.LINE_8, SHIFT)
    else:
        cv2.circle(mask, points[0].tolist(), radius, 255, -1, cv2.LINE_8, SHIFT)
