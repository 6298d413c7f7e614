"""Procedural motion of people who stay in place: stand, sit, squat, bend, and gesture.

The legs and trunk go through a sequence of stances while each arm goes through a sequence of arm
poses; transitions are eased, and slow noise adds sway. Angles are in degrees, for the right side;
the left side is mirrored. To add a gesture, add an entry to `ARM_POSES` or `STANCES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from vepe_synth import rotations as rot
from vepe_synth.motions import BODY_JOINTS, MotionTrack, clearance_m, feet_m
from vepe_synth.sequence import POSES_PER_S, smoothstep

Kind = Literal["stand", "sit", "floor", "low"]


@dataclass(frozen=True)
class ArmPose:
    """Angles of the upper arm (forward, outward, inward turn) and flexion of elbow and wrist."""

    forward: float
    out: float
    inward: float
    elbow: float
    wrist: float = 0.0


@dataclass(frozen=True)
class Stance:
    """Forward lean at hips and chest; flexion, abduction, turn-out and knee angle of a leg.

    `other` holds the left leg's angles if they differ.
    """

    lean: float
    chest: float
    leg: tuple[float, float, float, float]
    other: tuple[float, float, float, float] | None = None


ARM_POSES = {
    "rest": ArmPose(2, 9, 8, 16),
    "on_hip": ArmPose(-22, 42, 50, 88, -20),
    "crossed": ArmPose(28, 8, 62, 100),
    "at_ear": ArmPose(48, 38, 20, 140),
    "chin": ArmPose(40, 4, 38, 138),
    "phone": ArmPose(28, 8, 32, 100),
    "carry": ArmPose(20, 6, 15, 82),
    "wave": ArmPose(10, 75, -85, 85),
    "point": ArmPose(82, 12, 0, 8),
    "aside": ArmPose(8, 85, 0, 10),
    "up": ArmPose(162, -14, 0, 18),
    "behind": ArmPose(-28, 14, 45, 50),
    "open": ArmPose(25, 28, -35, 70),
    "head": ArmPose(95, 50, 60, 135),
}
LAP_POSES = {
    "thigh": ArmPose(30, 10, 12, 48),
    "type": ArmPose(24, 8, 14, 78),
    "armrest": ArmPose(8, 22, 0, 75),
    "support": ArmPose(-35, 18, 0, 6, -50),
}
STANCES: dict[Kind, tuple[Stance, ...]] = {
    "stand": (
        Stance(0, 2, (2, 4, 8, 3)),
        Stance(0, 4, (4, 6, 15, 6), (-2, 5, 10, 3)),
        Stance(2, 0, (14, 3, 8, 22), (0, 4, 10, 2)),
        Stance(0, 3, (0, 14, 15, 3)),
        Stance(0, 3, (16, 4, 5, 5), (-14, 4, 12, 8)),
    ),
    "sit": (
        Stance(0, 4, (84, 9, 6, 86)),
        Stance(14, 16, (98, 12, 10, 96)),
        Stance(-12, 0, (72, 10, 8, 66)),
        Stance(-4, 6, (88, 4, -4, 92), (74, 5, 0, 70)),
        Stance(4, 8, (86, 18, 14, 90), (90, 16, 14, 100)),
    ),
    "low": (
        Stance(28, 22, (112, 16, 12, 125)),
        Stance(4, 6, (2, 8, 4, 98), (94, 10, 8, 92)),
        Stance(6, 4, (8, 8, 4, 101)),
        Stance(62, 30, (66, 5, 5, 6)),
        Stance(40, 18, (58, 8, 8, 32)),
    ),
    "floor": (
        Stance(-8, 14, (80, 8, 5, 6)),
        Stance(2, 22, (88, 40, 70, 125)),
        Stance(-14, 24, (106, 10, 6, 106)),
        Stance(-16, 20, (104, 10, 6, 100), (76, 8, 6, 10)),
    ),
}
_SWAYS = {"root": 1.2, "chest": 4.0, "neck": 9.0, "shoulder": 5.0, "elbow": 5.0, "wrist": 9.0}


def smooth_noise(
    rng: np.random.Generator, count: int, *shape: int, fastest_hz: float = 0.7
) -> Float[np.ndarray, "N *shape"]:
    """Smooth noise with zero mean and unit standard deviation: a sum of sines."""
    waves = 4
    hz = rng.uniform(0.08, fastest_hz, size=(waves, *shape))
    phase = rng.uniform(0, 2 * np.pi, size=(waves, *shape))
    weight = rng.normal(size=(waves, *shape)) / np.sqrt(waves / 2)
    time_s = (np.arange(count) / POSES_PER_S).reshape(-1, *[1] * (len(shape) + 1))
    return (weight * np.sin(2 * np.pi * hz * time_s + phase)).sum(axis=1)


def arm_rotations(pose: ArmPose) -> Float[np.ndarray, "3 4"]:
    """Rotations of the right shoulder, elbow and wrist."""
    rad = np.radians
    shoulder = rot.multiply(
        rot.from_rotvec(np.array([0.0, 0.0, -rad(pose.out)])),
        rot.multiply(
            rot.from_rotvec(np.array([-rad(pose.forward), 0.0, 0.0])),
            rot.from_rotvec(np.array([0.0, rad(pose.inward), 0.0])),
        ),
    )
    elbow = rot.from_rotvec(np.array([-rad(pose.elbow), 0.0, 0.0]))
    wrist = rot.from_rotvec(np.array([0.0, 0.0, -rad(pose.wrist)]))
    return np.stack([shoulder, elbow, wrist])


def leg_rotations(
    forward: float, out: float, turned: float, knee: float, lean: float
) -> Float[np.ndarray, "3 4"]:
    """Rotations of the right hip, knee and ankle; `forward` is relative to the trunk (`lean`)."""
    rad = np.radians
    hip = rot.multiply(
        rot.from_rotvec(np.array([-rad(forward), 0.0, 0.0])),
        rot.multiply(
            rot.from_rotvec(np.array([0.0, 0.0, -rad(out)])),
            rot.from_rotvec(np.array([0.0, -rad(turned), 0.0])),
        ),
    )
    # The sole stays level as far as the ankle can compensate for thigh and shank; kneeling people
    # rest on their toes, stretched legs on the heel.
    level = forward - lean - knee
    level = -8.0 if level < -45 else 15.0 if level > 45 else max(level, -30.0)
    return np.stack(
        [
            hip,
            rot.from_rotvec(np.array([rad(knee), 0.0, 0.0])),
            rot.from_rotvec(np.array([rad(level), 0.0, 0.0])),
        ]
    )


def stance_rotations(stance: Stance) -> Float[np.ndarray, "15 4"]:
    """A full pose with hanging arms."""
    result = rot.identity(len(BODY_JOINTS))
    result[0] = rot.from_rotvec(np.array([np.radians(stance.lean), 0.0, 0.0]))
    result[1] = rot.from_rotvec(np.array([np.radians(stance.chest), 0.0, 0.0]))
    back = -0.6 * np.radians(stance.lean + stance.chest)
    result[2] = rot.from_rotvec(np.array([back, 0.0, 0.0]))
    result[3:6] = leg_rotations(*stance.leg, stance.lean)
    other = stance.leg if stance.other is None else stance.other
    result[9:12] = leg_rotations(*other, stance.lean) * [1.0, 1.0, -1.0, -1.0]
    return result


def improvise(
    rng: np.random.Generator, count: int, kinds: tuple[Kind, ...], calm: float = 0.5
) -> MotionTrack:
    """`count` poses of a person who stays in place, feet at the origin, facing +z.

    `kinds` are the stance groups to cycle through; `calm` in 0..1 sets how long each is held.
    """
    turns = rot.identity(count, len(BODY_JOINTS))
    stances = [_jittered(rng, s) for s in _stances(rng, kinds)]
    legs_and_trunk = [stance_rotations(s) for s in stances]
    turns[:] = _through(rng, count, legs_and_trunk, hold_s=(1.5, 2.0 + 6.0 * calm), change_s=0.9)
    poses = ARM_POSES if kinds[0] in ("stand", "low") else ARM_POSES | LAP_POSES
    together = rng.random() < 0.35
    for side, first in (("right", 6), ("left", 12)):
        if side == "left" and together:
            turns[:, 12:15] = turns[:, 6:9] * [1.0, 1.0, -1.0, -1.0]
            continue
        arm = [arm_rotations(_bent(rng, _arm(rng, kinds[0], poses))) for _ in range(6)]
        flip = np.array([1.0, 1.0, 1.0, 1.0] if side == "right" else [1.0, 1.0, -1.0, -1.0])
        path = _through(rng, count, arm, hold_s=(0.3, 0.8 + 3.5 * calm), change_s=0.55)
        turns[:, first : first + 3] = path * flip
    turns = _swayed(rng, _arms_hanging(turns))
    poses_now = MotionTrack(np.zeros((count, 3)), turns)
    feet = feet_m(poses_now)
    root = np.stack([-feet[:, 0], -clearance_m(poses_now), -feet[:, 2]], axis=-1)
    return MotionTrack(root, turns)


def _arms_hanging(turns: np.ndarray) -> np.ndarray:
    """Rotates the arms forward where the trunk leans, since they hang down under gravity."""
    chest = rot.to_matrix(rot.multiply(turns[:, 0], turns[:, 1]))
    lean = np.clip(np.arctan2(chest[:, 2, 1], chest[:, 1, 1]), 0.0, None) * 0.75
    back = rot.from_rotvec(lean[:, None] * np.array([-1.0, 0.0, 0.0]))
    for shoulder in (6, 12):
        turns[:, shoulder] = rot.multiply(back, turns[:, shoulder])
    return turns


def _stances(rng: np.random.Generator, kinds: tuple[Kind, ...]) -> list[Stance]:
    result = []
    for i in range(6):
        kind = kinds[i % len(kinds)]
        choices = STANCES[kind]
        result.append(choices[int(rng.integers(len(choices)))])
    # Sitting and kneeling people do not move their legs: a single stance.
    return result if kinds[0] in ("stand", "low") else result[:1]


def _arm(rng: np.random.Generator, kind: Kind, poses: dict[str, ArmPose]) -> ArmPose:
    if rng.random() < 0.4:
        return LAP_POSES["thigh"] if kind in ("sit", "floor") else ARM_POSES["rest"]
    return poses[list(poses)[int(rng.integers(len(poses)))]]


def _bent(rng: np.random.Generator, pose: ArmPose) -> ArmPose:
    change = rng.normal(scale=[9.0, 6.0, 9.0, 9.0, 8.0])
    return ArmPose(
        pose.forward + change[0],
        pose.out + change[1] if pose.forward > 60 else max(pose.out + change[1], 4.0),
        pose.inward + change[2],
        float(np.clip(pose.elbow + change[3], 3.0, 145.0)),
        pose.wrist + change[4],
    )


def _jittered(rng: np.random.Generator, stance: Stance) -> Stance:
    def leg(angles: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        forward, out, turned, knee = angles
        return (
            forward + rng.normal(scale=2.5),
            max(out + rng.normal(scale=2.0), 1.0),
            turned + rng.normal(scale=4.0),
            float(np.clip(knee + rng.normal(scale=3.0), 2.0, 140.0)),
        )

    return Stance(
        stance.lean + rng.normal(scale=3.0),
        stance.chest + rng.normal(scale=4.0),
        leg(stance.leg),
        None if stance.other is None else leg(stance.other),
    )


def _through(
    rng: np.random.Generator,
    count: int,
    keys: list[Float[np.ndarray, "J 4"]],
    hold_s: tuple[float, float],
    change_s: float,
) -> Float[np.ndarray, "N J 4"]:
    """Eased transitions from key pose to key pose, repeated until the time is filled."""
    result = np.empty((count, *keys[0].shape))
    at = -int(rng.integers(0, int(hold_s[1] * POSES_PER_S)))
    now = 0
    while at < count:
        hold = int(rng.uniform(*hold_s) * POSES_PER_S)
        change = max(int(rng.uniform(0.7, 1.6) * change_s * POSES_PER_S), 4)
        old, new = keys[now % len(keys)], keys[(now + 1) % len(keys)]
        share = smoothstep((np.arange(hold + change) - hold) / change)
        part = rot.slerp(old[None], new[None], share[:, None])
        low, high = max(at, 0), min(at + hold + change, count)
        if high > low:
            result[low:high] = part[low - at : high - at]
        at += hold + change
        now += 1
    return result


def _swayed(rng: np.random.Generator, turns: np.ndarray) -> np.ndarray:
    """Adds slow noise to trunk, head and arms, but not to the legs, so that feet do not slide."""
    for i, name in enumerate(BODY_JOINTS):
        size = _SWAYS.get(name.rpartition("_")[2])
        if size is None:
            continue
        noise = smooth_noise(rng, len(turns), 3) * np.radians(size)
        if name.endswith("elbow"):
            noise = np.minimum(noise * [1.0, 0.0, 0.0], 0.0)
        if name == "neck":
            noise = noise * [1.0, 2.0, 0.6]
        turns[:, i] = rot.multiply(turns[:, i], rot.from_rotvec(noise))
    return turns
