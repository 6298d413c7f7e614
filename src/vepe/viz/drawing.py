"""Draws people onto pictures: limbs, keypoints, identity labels and trails.

One colour a person, the same in every frame; left limbs are lighter and right limbs darker than
it. A dark rim keeps lines readable on any background. OpenCV only, no torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from vepe.errors import VepeError
from vepe.skeleton import Skeleton
from vepe.types import NO_TRACK, FramePoses
from vepe.viz.palette import DARK, WHITE, Colour, mix, person_colour, readable_on
from vepe.viz.trails import Trails

_SHIFT = 4
_FONT = cv2.FONT_HERSHEY_DUPLEX
_LEFT_TINT, _RIGHT_SHADE = 0.42, 0.38
_FAR_PX = 30_000.0

Image = UInt8[np.ndarray, "H W 3"]
Pixel = tuple[int, int]


@dataclass(frozen=True)
class _Sizes:
    """Widths for one person in one picture, in pixels."""

    line: int
    rim: int
    dot: float
    text: float


def draw_poses(
    image_rgb: Image,
    poses: FramePoses,
    skeleton: Skeleton,
    *,
    min_keypoint_score: float = 0.3,
    labels: bool = True,
    trails: Trails | None = None,
) -> Image:
    """A copy of the picture with everybody drawn on it; the picture itself stays as it is.

    Args:
        image_rgb: (H, W, 3) uint8 RGB.
        poses: the people, in pixels of this picture.
        skeleton: the skeleton of `poses`.
        min_keypoint_score: keypoints below it, and the limbs that end in them, are left out.
        labels: whether tracked people get their number at the head.
        trails: where tracked people have been, drawn fading behind them; None draws none.

    Raises:
        VepeError: where the picture is not uint8 RGB or the skeleton is another one.
    """
    if image_rgb.dtype != np.uint8 or image_rgb.ndim != 3 or image_rgb.shape[2] != 3:
        raise VepeError(
            f"Cannot draw on an array of {image_rgb.dtype} and shape {image_rgb.shape}; give a "
            "uint8 RGB picture of shape (H, W, 3)."
        )
    if poses.keypoints_px.shape[1] != len(skeleton):
        raise VepeError(
            f"Poses of {poses.keypoints_px.shape[1]} keypoints do not fit skeleton "
            f"'{skeleton.name}' of {len(skeleton)}; give the skeleton they were made with."
        )
    canvas = np.array(image_rgb, order="C", copy=True)
    if trails is not None:
        _draw_trails(canvas, trails)
    shown = (poses.keypoint_scores >= min_keypoint_score) & np.isfinite(poses.keypoints_px).all(-1)
    # The best person comes first in `poses` and is drawn last, over the others.
    people = [n for n in range(len(poses) - 1, -1, -1) if shown[n].any()]
    sizes = {n: _sizes(poses.keypoints_px[n][shown[n]], canvas.shape) for n in people}
    for n in people:
        colour = _colour_of(poses, n)
        _draw_person(canvas, poses.keypoints_px[n], shown[n], skeleton, colour, sizes[n])
    if labels:
        for n in people:
            track = int(poses.track_ids[n])
            if track != NO_TRACK:
                at = _label_place(poses.keypoints_px[n], shown[n], skeleton)
                _draw_label(canvas, str(track), at, person_colour(track), sizes[n])
    return canvas


def _colour_of(poses: FramePoses, person: int) -> Colour:
    track = int(poses.track_ids[person])
    return person_colour(person if track == NO_TRACK else track)


def _sizes(points_px: Float[np.ndarray, "S 2"], shape: tuple[int, ...]) -> _Sizes:
    """Widths that grow with the person, within bounds that grow with the picture."""
    picture = math.hypot(shape[0], shape[1])
    person = float(np.linalg.norm(np.ptp(points_px, axis=0)))
    width = min(max(0.014 * person, 0.0012 * picture), 0.0042 * picture)
    line = max(1, round(width))
    return _Sizes(
        line=line,
        rim=line + 2 * max(1, round(0.3 * width)) if line > 1 else 0,
        dot=max(1.0, 0.85 * width),
        text=min(max(0.0035 * person, 0.0006 * picture, 0.36), 0.0009 * picture + 0.2),
    )


@lru_cache(maxsize=64)
def _limbs(skeleton: Skeleton) -> tuple[tuple[int, int, int], ...]:
    """Edges with their side: 1 left, -1 right, 0 middle; right ones first, to lie below."""
    sides = [_side(name) for name in skeleton.keypoints]
    edges = []
    for a, b in skeleton.edges:
        both = sides[a] + sides[b]
        edges.append((a, b, (both > 0) - (both < 0)))
    return tuple(sorted(edges, key=lambda edge: edge[2]))


def _side(name: str) -> int:
    return 1 if name.startswith("left_") else -1 if name.startswith("right_") else 0


def _tinted(colour: Colour, side: int) -> Colour:
    if side > 0:
        return mix(colour, WHITE, _LEFT_TINT)
    return mix(colour, DARK, _RIGHT_SHADE) if side < 0 else colour


def _fixed_point(points_px: Float[np.ndarray, "K 2"]) -> list[Pixel]:
    """Points as OpenCV takes them: sixteenths, counted from the centre of the first pixel."""
    safe = np.clip(np.nan_to_num(points_px), -_FAR_PX, _FAR_PX)
    return [(x, y) for x, y in np.rint((safe - 0.5) * 2**_SHIFT).astype(int).tolist()]


def _draw_person(
    canvas: Image,
    keypoints_px: Float[np.ndarray, "K 2"],
    shown: np.ndarray,
    skeleton: Skeleton,
    colour: Colour,
    sizes: _Sizes,
) -> None:
    points, visible = _fixed_point(keypoints_px), shown.tolist()
    limbs = [(points[a], points[b], s) for a, b, s in _limbs(skeleton) if visible[a] and visible[b]]
    colours = {side: _tinted(colour, side) for side in (-1, 0, 1)}
    if sizes.rim:
        ends = [np.array([[a, b]], np.int32) for a, b, _ in limbs]
        cv2.polylines(canvas, ends, False, DARK, sizes.rim, cv2.LINE_AA, _SHIFT)
    for a, b, side in limbs:
        cv2.line(canvas, a, b, colours[side], sizes.line, cv2.LINE_AA, _SHIFT)
    radius = round(sizes.dot * 2**_SHIFT)
    for k, point in enumerate(points):
        if visible[k]:
            rim = max(1, round(0.35 * sizes.dot)) << _SHIFT
            if sizes.rim:
                cv2.circle(canvas, point, radius + rim, DARK, -1, cv2.LINE_AA, _SHIFT)
            dot = mix(colours[_side(skeleton.keypoints[k])], WHITE, 0.35)
            cv2.circle(canvas, point, radius, dot, -1, cv2.LINE_AA, _SHIFT)


_HEAD = ("head_top", "head", "nose", "left_ear", "right_ear", "left_eye", "right_eye")


def _label_place(
    keypoints_px: Float[np.ndarray, "K 2"], shown: np.ndarray, skeleton: Skeleton
) -> tuple[float, float]:
    """Middle of the label's lower edge: over the head, or else over the topmost keypoint."""
    head = [k for k, name in enumerate(skeleton.keypoints) if name in _HEAD and shown[k]]
    points = keypoints_px[head] if head else keypoints_px[shown]
    x, y = points[points[:, 1].argmin()].tolist()
    return float(np.clip(x, -_FAR_PX, _FAR_PX)), float(np.clip(y, -_FAR_PX, _FAR_PX))


def _draw_label(
    canvas: Image, text: str, at: tuple[float, float], colour: Colour, sizes: _Sizes
) -> None:
    """The text on a plate of the person's colour, moved so that it lies in the picture."""
    height, width = canvas.shape[:2]
    weight = 2 if sizes.text >= 1.1 else 1
    (text_width, text_height), _ = cv2.getTextSize(text, _FONT, sizes.text, weight)
    pad = max(2, round(0.35 * text_height))
    plate_width, plate_height = text_width + 2 * pad, text_height + 2 * pad
    gap = sizes.line * 2 + pad
    left = min(max(round(at[0] - plate_width / 2), 0), max(width - plate_width, 0))
    top = min(max(round(at[1] - gap - plate_height), 0), max(height - plate_height, 0))
    right, bottom = left + plate_width, top + plate_height
    radius = max(1, plate_height // 4)
    _plate(canvas, (left - 1, top - 1, right + 1, bottom + 1), radius + 1, DARK)
    _plate(canvas, (left, top, right, bottom), radius, colour)
    origin = (left + pad, bottom - pad)
    ink = readable_on(colour)
    cv2.putText(canvas, text, origin, _FONT, sizes.text, ink, weight, cv2.LINE_AA)


def _plate(canvas: Image, box: tuple[int, int, int, int], radius: int, colour: Colour) -> None:
    """A filled rectangle with round corners."""
    left, top, right, bottom = box
    cv2.rectangle(canvas, (left + radius, top), (right - radius, bottom), colour, -1)
    cv2.rectangle(canvas, (left, top + radius), (right, bottom - radius), colour, -1)
    for x in (left + radius, right - radius):
        for y in (top + radius, bottom - radius):
            cv2.circle(canvas, (x, y), radius, colour, -1, cv2.LINE_AA)


def _draw_trails(canvas: Image, trails: Trails) -> None:
    """Lines that grow thinner and fainter towards the past."""
    height, width = canvas.shape[:2]
    widest = max(1.0, 0.003 * math.hypot(height, width))
    for track, points_px in trails.points_px.items():
        points = np.clip(np.asarray(points_px), -_FAR_PX, _FAR_PX)
        if len(points) < 2:
            continue
        low = np.maximum(np.floor(points.min(axis=0) - widest - 1), 0).astype(int)
        high = np.minimum(np.ceil(points.max(axis=0) + widest + 1), (width, height)).astype(int)
        if (high <= low).any():
            continue
        region = canvas[low[1] : high[1], low[0] : high[0]]
        mask = np.zeros(region.shape[:2], np.uint8)
        fixed = _fixed_point(points - low)
        for i in range(1, len(fixed)):
            age = i / trails.length
            thickness = max(1, round(widest * age))
            cv2.line(mask, fixed[i - 1], fixed[i], int(215 * age), thickness, cv2.LINE_AA, _SHIFT)
        weight = mask[..., None].astype(np.float32) / 255
        region[:] = region + weight * (np.asarray(person_colour(track), np.float32) - region)
