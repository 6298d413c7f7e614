"""Recorded human motions, and the body that they were recorded on.

The source (Peng et al., "DeepMimic", SIGGRAPH 2018; files from PyBullet) has a body of 13 joints
that faces +x. Here everything faces +z with y up, and wrists are added: a pose is a root position
and 15 rotations relative to the parent joint, all identity for a person who stands upright with the
arms hanging down. `joint_positions` and `clearance_m` apply a motion to DeepMimic's humanoid
(x left, y up, z forward; metres).

To add a motion, put its text file into assets/motions.tar.xz, and into `CYCLIC` if it loops.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from vepe.config.documents import parse_json
from vepe.errors import VepeError
from vepe_synth import rotations as rot

BODY_JOINTS = (
    "root", "chest", "neck",
    "right_hip", "right_knee", "right_ankle", "right_shoulder", "right_elbow", "right_wrist",
    "left_hip", "left_knee", "left_ankle", "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip
"""Joints of a pose; parents come before children."""
BODY_PARENTS = (-1, 0, 1, 0, 3, 4, 1, 6, 7, 0, 9, 10, 1, 12, 13)
MIRROR_ORDER = (0, 1, 2, 9, 10, 11, 12, 13, 14, 3, 4, 5, 6, 7, 8)
HIP_HEIGHT_M = 0.8814
"""Height of the source body's hips above its soles when it stands straight."""
CYCLIC = ("walk", "run", "crawl")
"""Motions that loop: their end continues into their start."""
BUNDLED_MOTIONS = Path(__file__).parent / "assets" / "motions.tar.xz"
_HINGES = ("right_knee", "right_elbow", "left_knee", "left_elbow")
_NUMBERS = 44


@dataclass(frozen=True, eq=False)
class MotionTrack:
    """A pose sequence at a fixed rate, or at the times of a `Motion`.

    Attributes:
        root_m: (N, 3) middle of the hips, in metres of the source body (hips 0.88 m high).
        rotations: (N, 15, 4) quaternions of `BODY_JOINTS` relative to their parents.
    """

    root_m: Float[np.ndarray, "N 3"]
    rotations: Float[np.ndarray, "N 15 4"]

    def __len__(self) -> int:
        return len(self.root_m)


@dataclass(frozen=True, eq=False)
class Motion:
    """A recorded motion, N poses at `time_s` (rising from 0).

    A cyclic motion can be sampled at any time: it repeats, and its root keeps travelling.
    """

    name: str
    time_s: Float[np.ndarray, "N"]
    poses: MotionTrack
    cyclic: bool

    @property
    def duration_s(self) -> float:
        """Seconds from the first to the last pose."""
        return float(self.time_s[-1])

    def sample(self, time_s: Float[np.ndarray, "M"]) -> MotionTrack:
        """Interpolates poses at times in seconds; outside, clamped or (cyclic) wrapped."""
        time_s = np.atleast_1d(np.asarray(time_s, np.float64))
        travel = np.zeros((len(time_s), 3))
        if self.cyclic:
            rounds = np.floor(time_s / self.duration_s)
            time_s = time_s - rounds * self.duration_s
            stride = (self.poses.root_m[-1] - self.poses.root_m[0]) * [1.0, 0.0, 1.0]
            travel = rounds[:, None] * stride
        time_s = np.clip(time_s, 0.0, self.duration_s)
        right = np.clip(np.searchsorted(self.time_s, time_s, side="right"), 1, len(self.time_s) - 1)
        left = right - 1
        share = (time_s - self.time_s[left]) / (self.time_s[right] - self.time_s[left])
        root = self.poses.root_m
        return MotionTrack(
            root_m=root[left] + share[:, None] * (root[right] - root[left]) + travel,
            rotations=rot.slerp(
                self.poses.rotations[left], self.poses.rotations[right], share[:, None]
            ),
        )

    def mirrored(self) -> Motion:
        """The same motion with left and right swapped."""
        root = self.poses.root_m * [-1.0, 1.0, 1.0]
        turned = self.poses.rotations[:, MIRROR_ORDER] * [1.0, 1.0, -1.0, -1.0]
        return Motion(self.name, self.time_s, MotionTrack(root, turned), self.cyclic)


def parse_motion(name: str, text: str, cyclic: bool = False) -> Motion:
    """Parses a motion in DeepMimic's text format. Raises VepeError if it is malformed."""
    try:
        frames = np.asarray(parse_json(text, "it")["Frames"], np.float64)
    except (ValueError, KeyError, TypeError, OverflowError, VepeError) as error:
        raise VepeError(f"Motion '{name}' is not a DeepMimic motion file ({error}).") from error
    if frames.ndim != 2 or frames.shape[0] < 2 or frames.shape[1] != _NUMBERS:
        raise VepeError(
            f"Motion '{name}' has frames of shape {frames.shape}; expected two or more frames of "
            f"{_NUMBERS} numbers."
        )
    time_s = np.concatenate([[0.0], np.cumsum(np.maximum(frames[:-1, 0], 1e-3))])
    rotations = rot.identity(len(frames), len(BODY_JOINTS))
    column = 4
    for i, joint in enumerate(BODY_JOINTS):
        if joint.endswith("wrist"):
            continue
        if joint in _HINGES:
            half = frames[:, column] / 2
            rotations[:, i] = np.stack([np.cos(half), 0 * half, 0 * half, np.sin(half)], axis=-1)
            column += 1
        else:
            rotations[:, i] = rot.normalise(frames[:, column : column + 4])
            column += 4
    # The source faces +x with its right at +z; here it faces +z with its right at -x.
    turned = rotations[..., [0, 3, 2, 1]] * [1.0, -1.0, 1.0, 1.0]
    root = frames[:, [3, 2, 1]] * [-1.0, 1.0, 1.0]
    poses = MotionTrack(_from_origin(root), turned)
    return Motion(name, time_s, _closed(poses) if cyclic else poses, cyclic)


def _from_origin(root: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 3"]:
    return root - root[0] * [1.0, 0.0, 1.0]


def _closed(poses: MotionTrack) -> MotionTrack:
    """Blends the last quarter so that the last pose equals the first, except for the travel."""
    count = len(poses)
    share = np.clip((np.arange(count) / (count - 1) - 0.75) / 0.25, 0.0, 1.0)
    share = share * share * (3 - 2 * share)
    gap = rot.multiply(rot.inverse(poses.rotations[-1]), poses.rotations[0])
    correction = rot.slerp(rot.identity(1, len(gap)), gap[None], share[:, None])
    lift = (poses.root_m[0, 1] - poses.root_m[-1, 1]) * share[:, None] * [0.0, 1.0, 0.0]
    return MotionTrack(poses.root_m + lift, rot.multiply(poses.rotations, correction))


@cache
def bundled_motions() -> dict[str, Motion]:
    """The 15 motions that come with the package, by name (walk, run, kick ...)."""
    result: dict[str, Motion] = {}
    with tarfile.open(BUNDLED_MOTIONS) as tar:
        for member in tar:
            handle = tar.extractfile(member) if member.name.endswith(".txt") else None
            if handle is not None:
                name = Path(member.name).stem.removeprefix("humanoid3d_")
                result[name] = parse_motion(name, handle.read().decode(), name in CYCLIC)
    return dict(sorted(result.items()))


_OFFSETS = {
    "root": (0.0, 0.0, 0.0),
    "chest": (0.0, 0.236, 0.0),
    "neck": (0.0, 0.224, 0.0),
    "hip": (0.085, 0.0, 0.0),
    "knee": (0.0, -0.4215, 0.0),
    "ankle": (0.0, -0.4099, 0.0),
    "shoulder": (0.183, 0.2435, -0.024),
    "elbow": (0.0, -0.2748, 0.0),
    "wrist": (0.0, -0.2589, 0.0),
}
# Spheres that approximate the body's surface: joint, centre, radius.
_SURFACE: tuple[tuple[str, tuple[float, float, float], float], ...] = (
    ("root", (0.0, 0.07, 0.0), 0.09),
    ("chest", (0.0, 0.12, 0.0), 0.11),
    ("neck", (0.0, 0.175, 0.0), 0.10),
    ("knee", (0.0, 0.0, 0.0), 0.05),
    ("ankle", (0.0, -0.05, -0.045), 0.0),
    ("ankle", (0.0, -0.05, 0.13), 0.0),
    ("elbow", (0.0, 0.0, 0.0), 0.045),
    ("wrist", (0.0, 0.0, 0.0), 0.04),
)


def _sided(joint: str) -> list[str]:
    return [n for n in BODY_JOINTS if n == joint or n.endswith(f"_{joint}")]


def _offset(name: str) -> np.ndarray:
    offset = np.array(_OFFSETS[name.rpartition("_")[2]])
    return offset * [-1.0, 1.0, 1.0] if name.startswith("right_") else offset


_OFFSET_TABLE = np.stack([_offset(name) for name in BODY_JOINTS])


def world_rotations(rotations: Float[np.ndarray, "N 15 4"]) -> Float[np.ndarray, "N 15 4"]:
    """World rotations of the body joints, from rotations relative to their parents."""
    world = np.array(rotations, np.float64)
    for joint, parent in enumerate(BODY_PARENTS):
        if parent >= 0:
            world[:, joint] = rot.multiply(world[:, parent], world[:, joint])
    return world


def joint_places(poses: MotionTrack) -> tuple[Float[np.ndarray, "N 15 3"], np.ndarray]:
    """Positions of the source body's joints in metres, and their (N, 15, 3, 3) rotations."""
    turns = rot.to_matrix(world_rotations(poses.rotations))
    places = np.zeros((len(poses), len(BODY_JOINTS), 3))
    places[:, 0] = poses.root_m
    for joint, parent in enumerate(BODY_PARENTS):
        if parent >= 0:
            places[:, joint] = places[:, parent] + turns[:, parent] @ _OFFSET_TABLE[joint]
    return places, turns


def clearance_m(poses: MotionTrack) -> Float[np.ndarray, "N"]:
    """Height of the source body's lowest point above the floor in metres."""
    places, turns = joint_places(poses)
    lowest = np.full(len(poses), np.inf)
    for joint, middle, radius in _SURFACE:
        for name in _sided(joint):
            i = BODY_JOINTS.index(name)
            y = places[:, i, 1] + (turns[:, i] @ np.array(middle))[:, 1] - radius
            lowest = np.minimum(lowest, y)
    return lowest


def feet_m(poses: MotionTrack) -> Float[np.ndarray, "N 3"]:
    """Middle between the ankles in metres."""
    places, _ = joint_places(poses)
    ankles = [BODY_JOINTS.index(n) for n in _sided("ankle")]
    return places[:, ankles].mean(axis=1)
