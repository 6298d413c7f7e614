"""Lengths of the body as shares of its height, and a person's height in pixels from them.

The shares are those of Drillis and Contini (1964), as in Winter, "Biomechanics and Motor Control of
Human Movement", figure 4.1; those of the head are rounded to what keypoints of data sets mean.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from vepe.skeleton import Skeleton

SHARES = {
    ("left_shoulder", "left_hip"): 0.288,
    ("right_shoulder", "right_hip"): 0.288,
    ("left_hip", "left_knee"): 0.245,
    ("right_hip", "right_knee"): 0.245,
    ("left_knee", "left_ankle"): 0.246,
    ("right_knee", "right_ankle"): 0.246,
    ("left_shoulder", "right_shoulder"): 0.245,
    ("left_shoulder", "left_elbow"): 0.186,
    ("right_shoulder", "right_elbow"): 0.186,
    ("head_top", "head_bottom"): 0.16,
    ("head", "neck"): 0.16,
    ("left_ear", "right_ear"): 0.085,
}
"""Length of the body between two keypoints, as a share of its height."""

_CHAIN = ("shoulder", "hip", "knee", "ankle")
_LONGEST = 90.0
"""Percentile of a length over the frames that counts as its true one: views only shorten it."""


def segment_lengths(
    points: Float[np.ndarray, "F K 2"], skeleton: Skeleton
) -> dict[str, Float[np.ndarray, "F"]]:
    """Distances between the ends of the segments that the skeleton has, in the unit of the points.

    Named `left_thigh`, `left_shank`, `left_upper_arm`, `left_forearm` (likewise `right_`), `trunk`
    (middle of the hips to the middle of the shoulders), `shoulders` and `hips`.
    """
    parts = {"thigh": "hip knee", "shank": "knee ankle", "upper_arm": "shoulder elbow",
             "forearm": "elbow wrist"}  # fmt: skip
    ends = {
        f"{side}_{part}": (f"{side}_{a}", f"{side}_{b}")
        for side in ("left", "right")
        for part, (a, b) in ((part, names.split()) for part, names in parts.items())
    }
    ends |= {"shoulders": ("left_shoulder", "right_shoulder"), "hips": ("left_hip", "right_hip")}
    lengths = {}
    for name, (a, b) in ends.items():
        if a in skeleton.keypoints and b in skeleton.keypoints:
            lengths[name] = _distance(points[:, skeleton.index(a)], points[:, skeleton.index(b)])
    hips, shoulders = middle(points, skeleton, "hip"), middle(points, skeleton, "shoulder")
    if hips is not None and shoulders is not None:
        lengths["trunk"] = _distance(hips, shoulders)
    return lengths


def _distance(a: Float[np.ndarray, "F 2"], b: Float[np.ndarray, "F 2"]) -> Float[np.ndarray, "F"]:
    return np.asarray(np.hypot(a[:, 0] - b[:, 0], a[:, 1] - b[:, 1]))


def middle(
    points: Float[np.ndarray, "F K 2"], skeleton: Skeleton, part: str
) -> Float[np.ndarray, "F 2"] | None:
    """The middle of `left_<part>` and `right_<part>`; None where the skeleton lacks one."""
    names = (f"left_{part}", f"right_{part}")
    if not set(names) <= set(skeleton.keypoints):
        return None
    left, right = (points[:, skeleton.index(name)] for name in names)
    return np.asarray((left + right) / 2)


def body_height(points: Float[np.ndarray, "F K 2"], skeleton: Skeleton) -> float:
    """How tall the person would stand upright, in the unit of the points; NaN if unknown.

    The sum of trunk, thigh and shank, which are 0.779 of the height. Each counts with its 90th
    percentile over the frames and the mean of both sides, since a view along a segment shortens it.
    It is the height on the person's usual distance from the camera.
    """
    lengths = segment_lengths(points, skeleton)
    total = share = 0.0
    for part, of_height in (("trunk", 0.288), ("thigh", 0.245), ("shank", 0.246)):
        names = [part] if part == "trunk" else [f"left_{part}", f"right_{part}"]
        sides = [_usual(lengths[name]) for name in names if name in lengths]
        known = [length for length in sides if np.isfinite(length)]
        if known:
            total, share = total + float(np.mean(known)), share + of_height
    # A trunk alone says too little: it looks short whenever a person bends.
    return total / share if share > 0.4 else float("nan")


def _usual(length: Float[np.ndarray, "F"]) -> float:
    known = length[np.isfinite(length)]
    return float(np.percentile(known, _LONGEST)) if len(known) else float("nan")
