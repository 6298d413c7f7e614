"""Made-up bodies and how they move: joint angles over time, turned into joints in space.

World: X to the picture's right, Y up, Z towards the camera, metres. A body that faces along Z
looks into the camera; its left side is then on the picture's right. All angles are radians. The
proportions are those of ordinary anthropometry tables, rounded; the rest is our own.
Dimension letters: T frames, J joints, M points on the torso's surface.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

SIDES = ("left", "right")
_LIMBS = ("shoulder", "elbow", "wrist", "hand", "hip", "knee", "ankle", "heel", "toe")
JOINTS = (
    *("nose", "head_bottom", "head_top", "head_centre", "neck", "pelvis", "head"),
    *("hair_top", "hair_low"),
    *(f"{side}_{part}" for part in (*_LIMBS, "eye", "ear") for side in SIDES),
)
"""Names of all joints of a made-up body; PoseTrack-15, COCO-17 and CrowdPose-14 are among them."""
JOINT_INDEX = {name: index for index, name in enumerate(JOINTS)}

TORSO_RINGS = (0.0, 0.35, 0.75, 1.0)
"""Heights of the torso's outline rings, from the hips (0) to the shoulders (1)."""
RING_POINTS = 10


@dataclass(frozen=True)
class Body:
    """Size and proportions of one body; lengths but `height_m` are fractions of the height."""

    height_m: float
    girth: float
    head: float
    thigh: float
    shank: float
    torso: float
    upper_arm: float
    forearm: float
    shoulder_half: float
    hip_half: float

    @staticmethod
    def random(rng: np.random.Generator) -> Body:
        """An adult, or one time in eight a child with a larger head."""
        child = rng.random() < 0.125
        vary = rng.uniform(0.93, 1.07, 7)
        return Body(
            height_m=float(rng.uniform(1.05, 1.45) if child else rng.uniform(1.5, 1.95)),
            girth=float(rng.uniform(0.85, 1.3)),
            head=0.13 * float(vary[0]) * (1.2 if child else 1.0),
            thigh=0.245 * float(vary[1]),
            shank=0.245 * float(vary[2]),
            torso=0.29 * float(vary[3]),
            upper_arm=0.172 * float(vary[4]),
            forearm=0.148 * float(vary[5]),
            shoulder_half=0.108 * float(vary[6]),
            hip_half=0.055 * float(rng.uniform(0.9, 1.15)),
        )


@dataclass(frozen=True)
class Angles:
    """Joint angles over time; arrays of (T,), or (T, 2) for left and right.

    Zero is a person who stands straight with hanging arms. `lean` goes forward, `flex` swings a
    limb forward, `abduct` away from the body; `arm_roll` turns the bent forearm outward.
    """

    lean: Float[np.ndarray, "T"]
    sway: Float[np.ndarray, "T"]
    twist: Float[np.ndarray, "T"]
    head_yaw: Float[np.ndarray, "T"]
    head_pitch: Float[np.ndarray, "T"]
    shoulder_flex: Float[np.ndarray, "T 2"]
    shoulder_abduct: Float[np.ndarray, "T 2"]
    arm_roll: Float[np.ndarray, "T 2"]
    elbow: Float[np.ndarray, "T 2"]
    hip_flex: Float[np.ndarray, "T 2"]
    hip_abduct: Float[np.ndarray, "T 2"]
    knee: Float[np.ndarray, "T 2"]


@dataclass(frozen=True)
class Motion:
    """One body in space over time.

    Attributes:
        joints_m: (T, J, 3) joints in the order of `JOINTS`.
        torso_m: (T, M, 3) points on the torso's surface, ring after ring.
        head_axes: (T, 3, 3) columns are the head's left, up and forward directions.
        torso_axes: (T, 3, 3) the same of the chest.
    """

    joints_m: Float[np.ndarray, "T J 3"]
    torso_m: Float[np.ndarray, "T M 3"]
    head_axes: Float[np.ndarray, "T 3 3"]
    torso_axes: Float[np.ndarray, "T 3 3"]

    def shifted(self, offset_m: Float[np.ndarray, "3"]) -> Motion:
        """The same motion elsewhere."""
        return replace(self, joints_m=self.joints_m + offset_m, torso_m=self.torso_m + offset_m)


def _turn(axis: int, angle: Float[np.ndarray, "T"]) -> Float[np.ndarray, "T 3 3"]:
    """Right-handed rotation about x (0), y (1) or z (2)."""
    cos, sin = np.cos(angle), np.sin(angle)
    result = np.zeros((*angle.shape, 3, 3))
    a, b = (axis + 1) % 3, (axis + 2) % 3
    result[..., axis, axis] = 1.0
    result[..., a, a], result[..., a, b] = cos, -sin
    result[..., b, a], result[..., b, b] = sin, cos
    return result


def _along(axes: Float[np.ndarray, "T 3 3"], *vector: float) -> Float[np.ndarray, "T 3"]:
    return axes @ np.asarray(vector)


def place(
    body: Body,
    angles: Angles,
    ground_m: Float[np.ndarray, "T 2"],
    yaw: Float[np.ndarray, "T"],
) -> Motion:
    """Joints of a body whose lowest foot stands on the ground.

    Args:
        body: proportions.
        angles: joint angles.
        ground_m: X and Z of the pelvis.
        yaw: heading; 0 faces the camera, a quarter turn walks to the picture's right.
    """
    pelvis_axes = _turn(1, yaw)
    torso_axes = _turn(1, yaw + angles.twist) @ _turn(0, angles.lean) @ _turn(2, angles.sway)
    head_axes = torso_axes @ _turn(1, angles.head_yaw) @ _turn(0, angles.head_pitch)
    joints = np.zeros((len(yaw), len(JOINTS), 3))

    def put(name: str, point: Float[np.ndarray, "T 3"]) -> Float[np.ndarray, "T 3"]:
        joints[:, JOINT_INDEX[name]] = point
        return point

    neck = put("neck", _along(torso_axes, 0, body.torso, 0))
    _place_head(body, put, neck, torso_axes, head_axes)
    for side, sign in ((0, 1.0), (1, -1.0)):
        _place_arm(body, angles, put, side, sign, neck, torso_axes)
        _place_leg(body, angles, put, side, sign, pelvis_axes)
    torso = _torso_surface(body, torso_axes, pelvis_axes)

    feet = [JOINT_INDEX[f"{side}_{part}"] for side in SIDES for part in ("heel", "toe")]
    offset = np.zeros((len(yaw), 1, 3))
    offset[:, 0, 0], offset[:, 0, 2] = ground_m[:, 0], ground_m[:, 1]
    offset[:, 0, 1] = (0.018 - joints[:, feet, 1].min(axis=1)) * body.height_m
    return Motion(
        joints_m=joints * body.height_m + offset,
        torso_m=torso * body.height_m + offset,
        head_axes=head_axes,
        torso_axes=torso_axes,
    )


_Put = Callable[[str, Float[np.ndarray, "T 3"]], Float[np.ndarray, "T 3"]]


def _place_head(
    body: Body,
    put: _Put,
    neck: Float[np.ndarray, "T 3"],
    torso_axes: Float[np.ndarray, "T 3 3"],
    head_axes: Float[np.ndarray, "T 3 3"],
) -> None:
    size = body.head
    bottom = put("head_bottom", neck + _along(torso_axes, 0, 0.052, 0.01))
    centre = put("head_centre", bottom + _along(head_axes, 0, 0.52 * size, 0.06 * size))
    put("hair_top", centre + _along(head_axes, 0, 0.05 * size, -0.12 * size))
    put("hair_low", neck + _along(torso_axes, 0, -0.02, -0.035))
    put("nose", centre + _along(head_axes, 0, -0.06 * size, 0.46 * size))
    put("head", put("head_top", centre + _along(head_axes, 0, 0.49 * size, 0)))
    for side, sign in zip(SIDES, (1.0, -1.0), strict=True):
        put(f"{side}_eye", centre + _along(head_axes, sign * 0.16 * size, 0.07 * size, 0.36 * size))
        put(f"{side}_ear", centre + _along(head_axes, sign * 0.35 * size, 0.0, 0.0))


def _place_arm(
    body: Body,
    angles: Angles,
    put: _Put,
    side: int,
    sign: float,
    neck: Float[np.ndarray, "T 3"],
    torso_axes: Float[np.ndarray, "T 3 3"],
) -> None:
    name = SIDES[side]
    shoulder = put(
        f"{name}_shoulder", neck + _along(torso_axes, sign * body.shoulder_half, -0.012, 0)
    )
    upper = torso_axes @ _turn(0, -angles.shoulder_flex[:, side])
    upper = upper @ _turn(2, sign * angles.shoulder_abduct[:, side])
    upper = upper @ _turn(1, sign * angles.arm_roll[:, side])
    lower = upper @ _turn(0, -angles.elbow[:, side])
    elbow = put(f"{name}_elbow", shoulder + _along(upper, 0, -body.upper_arm, 0))
    wrist = put(f"{name}_wrist", elbow + _along(lower, 0, -body.forearm, 0))
    put(f"{name}_hand", wrist + _along(lower, 0, -0.06, 0.01))


def _place_leg(
    body: Body,
    angles: Angles,
    put: _Put,
    side: int,
    sign: float,
    pelvis_axes: Float[np.ndarray, "T 3 3"],
) -> None:
    name = SIDES[side]
    hip = put(f"{name}_hip", _along(pelvis_axes, sign * body.hip_half, 0, 0))
    thigh = pelvis_axes @ _turn(0, -angles.hip_flex[:, side])
    thigh = thigh @ _turn(2, sign * angles.hip_abduct[:, side])
    shank = thigh @ _turn(0, angles.knee[:, side])
    # The foot follows the shank only in part: an ankle bends to keep the sole near the ground.
    bend = angles.knee[:, side] - angles.hip_flex[:, side]
    foot = (
        pelvis_axes
        @ _turn(1, np.full_like(bend, 0.15 * sign))
        @ _turn(0, 0.55 * np.clip(bend, -1, 2))
    )
    knee = put(f"{name}_knee", hip + _along(thigh, 0, -body.thigh, 0))
    ankle = put(f"{name}_ankle", knee + _along(shank, 0, -body.shank, 0))
    put(f"{name}_heel", ankle + _along(foot, 0, -0.026, -0.012))
    put(f"{name}_toe", ankle + _along(foot, 0, -0.03, 0.095))


def _torso_surface(
    body: Body, torso_axes: Float[np.ndarray, "T 3 3"], pelvis_axes: Float[np.ndarray, "T 3 3"]
) -> Float[np.ndarray, "T M 3"]:
    """Rings of an upright barrel: hips, waist, chest, shoulders."""
    g = body.girth**0.5
    half_widths = (
        body.hip_half + 0.036 * body.girth,
        0.78 * body.shoulder_half * g,
        0.96 * body.shoulder_half,
        body.shoulder_half + 0.006,
    )
    half_depths = (0.062 * body.girth, 0.058 * body.girth, 0.068 * g, 0.04)
    angle = np.linspace(0, 2 * np.pi, RING_POINTS, endpoint=False)
    rings = []
    for height, width, depth in zip(TORSO_RINGS, half_widths, half_depths, strict=True):
        axes = pelvis_axes if height == 0 else torso_axes
        bottom = -0.03 if height == 0 else height * body.torso + (0.012 if height == 1.0 else 0)
        ring = np.stack(
            [width * np.cos(angle), np.full(RING_POINTS, bottom), depth * np.sin(angle)], axis=-1
        )
        rings.append(ring @ np.swapaxes(axes, 1, 2))
    return np.concatenate(rings, axis=1)
