"""Joint and segment angles in the image plane, in degrees, as Sports2D defines them.

Definitions: Sports2D, "Angle conventions" (https://github.com/davidpagnon/Sports2D#angle-conventions
and Pagnon et al. 2024, https://doi.org/10.21105/joss.06849). They hold for movements in a plane
parallel to the image; where a person turns towards the camera, limbs look short and angles wrong.

Joint angles say how far a joint is bent, whichever way the person faces:

    knee_flexion          0 straight, positive bent
    hip_flexion           0 thigh in line with the trunk, positive forwards, negative backwards
    ankle_dorsiflexion    0 foot at a right angle to the shank, positive toes up, -90 in line
    shoulder_flexion      0 arm along the trunk, positive forwards, 180 overhead
    elbow_flexion         0 straight, positive bent

Segment angles are measured anticlockwise from the horizontal (to the right) to the segment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from vepe.measures.proportions import middle
from vepe.skeleton import Skeleton

MIN_FACING = 0.5
"""How far feet or nose must point aside to say which side a person faces; 1 is a full profile."""

_PROFILE_FEET, _PROFILE_NOSE_OF_HEAD, _PROFILE_NOSE_OF_TRUNK = 0.4, 0.4, 0.2
"""What feet and nose measure in profile: as a share of the trunk, of the head, and of the trunk."""

MAX_PROFILE_SHOULDERS = 0.55
"""Wider shoulders, as a share of the trunk, are seen from the front or the back: the head may be
turned aside then, but the body is not. In the demo clips, medians of `vepe-n` are 0.45 to 0.48 of
people who walk past, and 0.59 to 0.71 of people who are seen from the front or the back."""

FACING_WINDOW_S = 1.0
"""The side is that of most frames in a window of this length around each frame."""


@dataclass(frozen=True)
class JointAngle:
    """The turn from one line of the body to another, each given by its two ends.

    `{side}` stands for left and right. Ends are keypoints, or `mid_hip` and `mid_shoulder` for the
    middles. The angle is `offset + sign * turn`, where the turn is positive anticlockwise for a
    person who faces right; the angle lies in the full turn that begins at `lowest`.
    """

    name: str
    first: tuple[str, str]
    second: tuple[str, str]
    sign: int
    offset: float = 0.0
    lowest: float = -90.0


JOINT_ANGLES = (
    JointAngle("{side}_knee_flexion", ("{side}_hip", "{side}_knee"),
               ("{side}_knee", "{side}_ankle"), -1),
    JointAngle("{side}_hip_flexion", ("mid_shoulder", "mid_hip"), ("{side}_hip", "{side}_knee"), 1,
               lowest=-150.0),
    JointAngle("{side}_ankle_dorsiflexion", ("{side}_heel", "{side}_big_toe"),
               ("{side}_ankle", "{side}_knee"), -1, offset=90.0, lowest=-150.0),
    JointAngle("{side}_shoulder_flexion", ("mid_shoulder", "mid_hip"),
               ("{side}_shoulder", "{side}_elbow"), 1),
    JointAngle("{side}_elbow_flexion", ("{side}_shoulder", "{side}_elbow"),
               ("{side}_elbow", "{side}_wrist"), 1),
)  # fmt: skip
"""All joint angles; a skeleton has those whose keypoints it has."""

SEGMENTS: Mapping[str, tuple[str, str]] = {
    "{side}_foot": ("{side}_heel", "{side}_big_toe"),
    "{side}_shank": ("{side}_ankle", "{side}_knee"),
    "{side}_thigh": ("{side}_knee", "{side}_hip"),
    "pelvis": ("right_hip", "left_hip"),
    "trunk": ("mid_hip", "mid_shoulder"),
    "shoulders": ("right_shoulder", "left_shoulder"),
    "head": ("neck", "head_top"),
    "{side}_arm": ("{side}_shoulder", "{side}_elbow"),
    "{side}_forearm": ("{side}_elbow", "{side}_wrist"),
}
"""Segments, from which end to which the angle is measured."""

_OTHER_NAMES = {"neck": ("head_bottom",), "head_top": ("head",)}
"""What other skeletons call a keypoint."""


def joint_angles(
    points: Float[np.ndarray, "F K 2"], skeleton: Skeleton, side: Int[np.ndarray, "F"]
) -> dict[str, Float[np.ndarray, "F"]]:
    """Every joint angle that the skeleton allows, in degrees; see the module.

    Args:
        points: x to the right and y down, as in images, in any unit.
        skeleton: of the points.
        side: which side the person faces, as `facing` returns it: 1 right, -1 left. Where it is 0,
            unknown, bending backwards looks like bending forwards, and counts as forwards.
    """
    angles = {}
    for angle in JOINT_ANGLES:
        for name, first, second in _named_sides(angle.name, angle.first, angle.second):
            lines = [_line(points, skeleton, ends) for ends in (first, second)]
            if lines[0] is None or lines[1] is None:
                continue
            turn = turn_deg(lines[0], lines[1]) * np.where(side == 0, 1, side)
            # Where the side is unknown, the turn is taken to the side on which the joint bends.
            turn = np.where(side == 0, np.abs(turn) * (1 if angle.offset else angle.sign), turn)
            value = angle.offset + angle.sign * turn
            angles[name] = (value - angle.lowest) % 360 + angle.lowest
    return angles


def segment_angles(
    points: Float[np.ndarray, "F K 2"], skeleton: Skeleton
) -> dict[str, Float[np.ndarray, "F"]]:
    """Angles of all `SEGMENTS` in degrees, anticlockwise from the horizontal, (-180, 180].

    Args:
        points: x to the right and y down, as in images, in any unit.
        skeleton: of the points.
    """
    angles = {}
    for segment, ends in SEGMENTS.items():
        for name, first, _ in _named_sides(segment, ends, ends):
            line = _line(points, skeleton, first)
            if line is not None:
                angles[name] = np.degrees(np.arctan2(-line[:, 1], line[:, 0]))
    return angles


def turn_deg(
    first: Float[np.ndarray, "F 2"], second: Float[np.ndarray, "F 2"]
) -> Float[np.ndarray, "F"]:
    """The turn from one direction to another in degrees, (-180, 180], anticlockwise positive.

    Directions have y down, as in images; a direction without length has no turn (NaN).
    """
    cross = first[:, 1] * second[:, 0] - first[:, 0] * second[:, 1]
    dot = (first * second).sum(axis=1)
    known = (np.hypot(*first.T) > 0) & (np.hypot(*second.T) > 0)
    return np.where(known, np.degrees(np.arctan2(cross, dot)), np.nan)


def facing(
    points: Float[np.ndarray, "F K 2"], times_s: Float[np.ndarray, "F"], skeleton: Skeleton
) -> Int[np.ndarray, "F"]:
    """Which side the person faces in each frame: 1 right, -1 left, 0 unknown or to the camera.

    By the feet, as in Sports2D, else by the nose: its offset from the line from the neck to the top
    of the head, or from the ears across the trunk, unless the shoulders are too wide for a person
    who is seen from the side. "Right" is meant for a person who stands upright; it turns with the
    body. Between the side and the camera it is unknown.
    """
    offset = _forward_offset(points, skeleton)
    if offset is None:
        return np.zeros(len(points), np.int64)
    first = np.searchsorted(times_s, times_s - FACING_WINDOW_S / 2, side="left")
    last = np.searchsorted(times_s, times_s + FACING_WINDOW_S / 2, side="right")
    side = np.zeros(len(points), np.int64)
    for i, (a, b) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        window = offset[a:b][np.isfinite(offset[a:b])]
        middle_offset = float(np.median(window)) if len(window) else 0.0
        side[i] = np.sign(middle_offset) if abs(middle_offset) >= MIN_FACING else 0
    return side


def _forward_offset(
    points: Float[np.ndarray, "F K 2"], skeleton: Skeleton
) -> Float[np.ndarray, "F"] | None:
    """How far feet or nose point to the right of an upright body; 1 is a full profile."""
    trunk = _line(points, skeleton, ("mid_hip", "mid_shoulder"))
    feet = [
        line
        for side in ("left", "right")
        if (line := _line(points, skeleton, (f"{side}_heel", f"{side}_big_toe"))) is not None
    ]
    if feet and trunk is not None:
        return _across(trunk, np.asarray(sum(feet) / len(feet))) / _PROFILE_FEET
    offset = _nose_offset(points, skeleton, trunk)
    shoulders = _line(points, skeleton, ("right_shoulder", "left_shoulder"))
    if offset is None or trunk is None or shoulders is None:
        return offset
    # Comparisons with unknown points are false: the nose decides alone then.
    wide = np.hypot(*shoulders.T) > MAX_PROFILE_SHOULDERS * np.hypot(*trunk.T)
    return np.where(wide & np.isfinite(offset), 0.0, offset)


def _nose_offset(
    points: Float[np.ndarray, "F K 2"],
    skeleton: Skeleton,
    trunk: Float[np.ndarray, "F 2"] | None,
) -> Float[np.ndarray, "F"] | None:
    """How far the nose points to the right, in full profiles of the head."""
    head = _line(points, skeleton, ("neck", "head_top"))
    nose_from_neck = _line(points, skeleton, ("neck", "nose"))
    if head is not None and nose_from_neck is not None:
        return _across(head, nose_from_neck) / _PROFILE_NOSE_OF_HEAD
    nose_from_ears = _line(points, skeleton, ("mid_ear", "nose"))
    if trunk is not None and nose_from_ears is not None:
        return _across(trunk, nose_from_ears) / _PROFILE_NOSE_OF_TRUNK
    return None


def _across(
    axis: Float[np.ndarray, "F 2"], line: Float[np.ndarray, "F 2"]
) -> Float[np.ndarray, "F"]:
    """The part of `line` to the right of an axis that points up, in lengths of the axis."""
    cross = axis[:, 0] * line[:, 1] - axis[:, 1] * line[:, 0]
    length = (axis**2).sum(axis=1)
    return np.asarray(cross / np.where(length > 0, length, np.nan))


def _named_sides(
    name: str, *ends: tuple[str, str]
) -> list[tuple[str, tuple[str, str], tuple[str, str]]]:
    """The name and both pairs of ends for left and right, or once where there is no side."""
    sides = ("left", "right") if "{side}" in name else ("",)
    return [
        (
            name.format(side=side),
            (ends[0][0].format(side=side), ends[0][1].format(side=side)),
            (ends[1][0].format(side=side), ends[1][1].format(side=side)),
        )
        for side in sides
    ]


def _line(
    points: Float[np.ndarray, "F K 2"], skeleton: Skeleton, ends: tuple[str, str]
) -> Float[np.ndarray, "F 2"] | None:
    """From one point of the body to another; None where the skeleton lacks one."""
    first, second = (_point(points, skeleton, name) for name in ends)
    return None if first is None or second is None else second - first


def _point(
    points: Float[np.ndarray, "F K 2"], skeleton: Skeleton, name: str
) -> Float[np.ndarray, "F 2"] | None:
    if name.startswith("mid_"):
        both = middle(points, skeleton, name.removeprefix("mid_"))
        if both is not None:
            return both
    for known in (name, *_OTHER_NAMES.get(name, ())):
        if known in skeleton.keypoints:
            return points[:, skeleton.index(known)]
    return None
