"""Where a person's head and body are in the image, from keypoints of any skeleton."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

from vepe.measures.proportions import SHARES
from vepe.skeleton import Skeleton

_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
_TOPS, _NECKS = ("head_top", "head"), ("head_bottom", "neck")
_HEAD_RADIUS = 0.095
"""Radius of a circle around a head, hair included, as a share of the body's height."""

_NECK_TO_HEAD = 0.11
"""From the middle of the shoulders to the middle of the head, likewise."""

_MARGIN = 0.12
"""From the outermost keypoints (wrists, ankles) to the body's outline, likewise."""


@dataclass(frozen=True)
class Circle:
    """A circle in pixels of the image."""

    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class _Parts:
    """Indices of a skeleton's keypoints by part; empty where it has none."""

    face: list[int]
    top: list[int]
    neck: list[int]
    shoulders: list[int]
    hips: list[int]
    pairs: Int[np.ndarray, "L 2"]
    shares: Float[np.ndarray, "L"]


@lru_cache(maxsize=64)
def _parts(skeleton: Skeleton) -> _Parts:
    place = {name: k for k, name in enumerate(skeleton.keypoints)}
    lengths = {p: share for p, share in SHARES.items() if p[0] in place and p[1] in place}
    pairs = [(place[a], place[b]) for a, b in lengths]

    def those(*names: str) -> list[int]:
        return [place[name] for name in names if name in place]

    return _Parts(
        face=those(*_FACE),
        top=those(*_TOPS),
        neck=those(*_NECKS),
        shoulders=those("left_shoulder", "right_shoulder"),
        hips=those("left_hip", "right_hip"),
        pairs=np.asarray(pairs, np.int64).reshape(-1, 2),
        shares=np.asarray(list(lengths.values()), np.float64),
    )


def body_height(
    keypoints_px: Float[np.ndarray, "K 2"], usable: Bool[np.ndarray, "K"], skeleton: Skeleton
) -> float:
    """The height in pixels that the person would have upright, from the lengths of limbs.

    A limb that points to the camera looks short, so the upper quartile counts. Without a known
    limb it is the diagonal of the usable keypoints' box.
    """
    parts = _parts(skeleton)
    whole = usable[parts.pairs].all(axis=1) if len(parts.pairs) else np.zeros(0, bool)
    if whole.any():
        ends = keypoints_px[parts.pairs[whole]]
        lengths = np.sort(np.hypot(*(ends[:, 0] - ends[:, 1]).T) / parts.shares[whole])
        return float(lengths[round(0.75 * (len(lengths) - 1))])
    points = keypoints_px[usable]
    return float(np.linalg.norm(np.ptp(points, axis=0))) if len(points) else 0.0


def head_circle(
    keypoints_px: Float[np.ndarray, "K 2"],
    usable: Bool[np.ndarray, "K"],
    skeleton: Skeleton,
    height: float,
) -> Circle | None:
    """A circle around the head, hair included.

    Args:
        keypoints_px: (K, 2) of one person.
        usable: (K,) which of them are confident. Any one of the head, or the shoulders, suffice.
        skeleton: of the person.
        height: of the body in pixels, as `body_height`.

    Returns:
        None only where no keypoint of head and shoulders is usable.
    """
    parts = _parts(skeleton)
    radius = _HEAD_RADIUS * height
    face = keypoints_px[[k for k in parts.face if usable[k]]]
    top = keypoints_px[[k for k in parts.top if usable[k]]]
    neck = keypoints_px[[k for k in parts.neck if usable[k]]]
    if len(top) and len(neck):
        middle = (top[0] + neck[0]) / 2
        radius = max(0.62 * float(np.hypot(*(top[0] - neck[0]))), 0.8 * radius)
    elif len(face):
        middle = face.mean(axis=0)
        spread = np.hypot(*(face - middle).T).max()
        radius = max(radius, float(spread) + 0.05 * height)
    else:
        shoulders = keypoints_px[[k for k in parts.shoulders if usable[k]]]
        hips = keypoints_px[[k for k in parts.hips if usable[k]]]
        base = top if len(top) else neck if len(neck) else shoulders
        if not len(base):
            return None
        middle = base.mean(axis=0) + _upwards(shoulders, hips) * height * (
            -_NECK_TO_HEAD / 2 if len(top) else _NECK_TO_HEAD
        )
    return Circle(float(middle[0]), float(middle[1]), max(radius, 1.0))


def _upwards(
    shoulders: Float[np.ndarray, "S 2"], hips: Float[np.ndarray, "H 2"]
) -> Float[np.ndarray, "2"]:
    """Unit vector from hips to shoulders; up in the image where either is unknown."""
    if len(shoulders) and len(hips):
        trunk = shoulders.mean(axis=0) - hips.mean(axis=0)
        length = float(np.hypot(*trunk))
        if length > 0:
            return np.asarray(trunk / length)
    return np.array([0.0, -1.0])


def covering_circle(
    keypoints_px: Float[np.ndarray, "K 2"],
    scores: Float[np.ndarray, "K"],
    skeleton: Skeleton,
    min_score: float,
) -> Circle | None:
    """A circle that surely contains the head, for hiding it.

    As `head_circle`, and wide enough for every other estimate of a keypoint of the head nearby,
    however low its score; where nothing is confident, all keypoints count.
    """
    finite = np.isfinite(keypoints_px).all(axis=1)
    if not finite.any():
        return None
    usable = finite & (scores >= min_score)
    circle = None
    for points in (usable, finite):
        height = body_height(keypoints_px, points, skeleton)
        circle = circle or head_circle(keypoints_px, points, skeleton, height)
    if circle is None:  # a skeleton without head and shoulders: the upper end of its box
        low, high = keypoints_px[finite].min(axis=0), keypoints_px[finite].max(axis=0)
        size = float(np.linalg.norm(high - low))
        return Circle(float(low[0] + high[0]) / 2, float(low[1]), max(0.2 * size, 4.0))
    parts = _parts(skeleton)
    others = keypoints_px[[k for k in (*parts.face, *parts.top) if finite[k]]]
    distances = np.hypot(others[:, 0] - circle.x, others[:, 1] - circle.y)
    near = distances[distances < 2.5 * circle.radius]
    radius = max(1.15 * circle.radius, float(near.max(initial=0.0)) + 0.4 * circle.radius)
    return Circle(circle.x, circle.y, radius)


def outline(
    keypoints_px: Float[np.ndarray, "K 2"],
    scores: Float[np.ndarray, "K"],
    skeleton: Skeleton,
    min_score: float,
) -> tuple[Float[np.ndarray, "V 2"], float] | None:
    """The convex hull of a person with the head, and the margin around it that holds the body.

    All finite keypoints count, whatever their score.
    """
    finite = np.isfinite(keypoints_px).all(axis=1)
    circle = covering_circle(keypoints_px, scores, skeleton, min_score)
    if circle is None:
        return None
    turns = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    rim = np.stack([np.cos(turns), np.sin(turns)], axis=1) * circle.radius + (circle.x, circle.y)
    points = np.concatenate([keypoints_px[finite], rim]).astype(np.float32)
    hull = cv2.convexHull(points).reshape(-1, 2).astype(np.float64)
    margin = _MARGIN * body_height(keypoints_px, finite, skeleton)
    return hull, max(margin, 2.0)
