"""Actions of one person: pose sequences at the origin, in metres of that person's body.

An action is a function of a random generator, a rig and a number of poses, and starts facing +z.
To add one, write such a function and name it in `ACTIONS` and in `config.ActionWeights`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from vepe_synth import rotations as rot
from vepe_synth.improvise import (
    ARM_POSES,
    ArmPose,
    Kind,
    arm_rotations,
    improvise,
    smooth_noise,
)
from vepe_synth.motions import Motion, MotionTrack, bundled_motions
from vepe_synth.retarget import Rig
from vepe_synth.sequence import POSES_PER_S, chain, cut, fitted, held

Action = Callable[[np.random.Generator, Rig, int], MotionTrack]

_CARRIED = ("phone", "carry", "at_ear", "crossed", "wave", "point", "behind")
_GUARD = (60.0, 14.0, 20.0, 118.0)


def _motion(rng: np.random.Generator, name: str) -> Motion:
    """A recorded motion, mirrored with probability 0.5."""
    motion = bundled_motions()[name]
    return motion.mirrored() if rng.random() < 0.5 else motion


def _pace(rng: np.random.Generator, rig: Rig, low: float, high: float) -> float:
    """A playback speed; small bodies move faster, like pendulums."""
    return float(rng.uniform(low, high) / np.sqrt(rig.metres_per_source_m))


def _one_of(rng: np.random.Generator, names: tuple[str, ...]) -> str:
    return names[int(rng.integers(len(names)))]


def _window(rng: np.random.Generator, poses: MotionTrack, count: int) -> MotionTrack:
    """`count` poses from a random start, translated to the origin."""
    start = int(rng.integers(0, max(len(poses) - count, 0) + 1))
    poses = fitted(poses, count, start)
    return MotionTrack(poses.root_m - poses.root_m[0] * [1.0, 0.0, 1.0], poses.rotations)


def _locomotion(
    rng: np.random.Generator, rig: Rig, count: int, name: str, low: float, high: float
) -> MotionTrack:
    motion = _motion(rng, name)
    start = rng.uniform(0, motion.duration_s)
    poses = cut(motion, _pace(rng, rig, low, high), start, (count - 1) / POSES_PER_S)
    poses = _window(rng, rig.sized(poses), count)
    if rng.random() < 0.35:
        poses = _carrying(rng, poses)
    return poses


def _carrying(rng: np.random.Generator, poses: MotionTrack) -> MotionTrack:
    """Walking with one or both arms occupied: phone, carrying, waving."""
    turns = np.array(poses.rotations)
    arm = arm_rotations(ARM_POSES[_one_of(rng, _CARRIED)])
    sides = ((True, False), (False, True), (True, True))[int(rng.integers(3))]
    share = np.clip(0.85 + 0.1 * smooth_noise(rng, len(poses)), 0.0, 1.0)[:, None]
    for first, chosen in ((6, sides[0]), (12, sides[1])):
        goal = arm if first == 6 else arm * [1.0, 1.0, -1.0, -1.0]
        if chosen:
            old = turns[:, first : first + 3]
            turns[:, first : first + 3] = rot.slerp(old, np.broadcast_to(goal, old.shape), share)
    return MotionTrack(poses.root_m, turns)


def along_curve(poses: MotionTrack, yaw: Float[np.ndarray, "N"]) -> MotionTrack:
    """Bends a straight walk along +z so that its heading at each pose is `yaw` radians.

    Step lengths do not change, so that feet hardly slide.
    """
    middle = (yaw[:-1] + yaw[1:]) / 2
    step = np.diff(poses.root_m[:, [0, 2]], axis=0)
    root = np.array(poses.root_m)
    root[1:, 0] = root[0, 0] + np.cumsum(step[:, 0] * np.cos(middle) + step[:, 1] * np.sin(middle))
    root[1:, 2] = root[0, 2] + np.cumsum(step[:, 1] * np.cos(middle) - step[:, 0] * np.sin(middle))
    turns = np.array(poses.rotations)
    turns[:, 0] = rot.multiply(rot.about_y(yaw), turns[:, 0])
    return MotionTrack(root, turns)


def _wandering(rng: np.random.Generator, poses: MotionTrack, radius_m: float) -> MotionTrack:
    """Straight with probability 0.4, otherwise along curves of at least `radius_m`."""
    if rng.random() < 0.4:
        return poses
    steps = np.diff(poses.root_m[:, 2], prepend=poses.root_m[0, 2])
    bend = rng.uniform(-1, 1) + 0.7 * smooth_noise(rng, len(poses), fastest_hz=0.25)
    return along_curve(poses, np.cumsum(steps * np.clip(bend, -1, 1) / radius_m))


def walk(rng: np.random.Generator, rig: Rig, count: int) -> MotionTrack:
    """Walks along a straight line or a curve."""
    return _wandering(rng, _locomotion(rng, rig, count, "walk", 0.75, 1.3), 1.2)


def run(rng: np.random.Generator, rig: Rig, count: int) -> MotionTrack:
    """Jogs or runs, along wider curves."""
    return _wandering(rng, _locomotion(rng, rig, count, "run", 0.7, 1.1), 2.5)


def stroll(rng: np.random.Generator, rig: Rig, count: int) -> MotionTrack:
    """Walks, stops, gestures, walks on."""
    parts, total = [], 0
    while total < 2 * count:
        length = int(rng.uniform(1.5, 3.5) * POSES_PER_S)
        parts.append(_wandering(rng, _locomotion(rng, rig, length, "walk", 0.75, 1.2), 0.9))
        kinds: tuple[Kind, ...] = ("stand", "low") if rng.random() < 0.25 else ("stand",)
        wait = int(rng.uniform(1.2, 3.5) * POSES_PER_S)
        parts.append(rig.sized(improvise(rng, wait, kinds)))
        total += length + wait
    return _window(rng, chain(parts, 0.5), count)


def _in_place(*kinds: Kind) -> Action:
    def action(rng: np.random.Generator, rig: Rig, count: int) -> MotionTrack:
        return rig.sized(improvise(rng, count, kinds, calm=float(rng.random())))

    return action


def _chained(
    rng: np.random.Generator,
    rig: Rig,
    count: int,
    names: tuple[str, ...],
    speeds: tuple[float, float],
    pause: float,
) -> MotionTrack:
    """A sequence of recorded motions, with pauses at random."""
    parts, total = [], 0
    while total < count + 4 * POSES_PER_S:
        part = cut(_motion(rng, _one_of(rng, names)), _pace(rng, rig, *speeds))
        parts.append(part)
        if rng.random() < pause:
            parts.append(improvise(rng, int(rng.uniform(0.7, 2.0) * POSES_PER_S), ("stand",)))
        total += sum(len(p) for p in parts[-2:])
    return _window(rng, rig.sized(chain(parts, 0.35)), count)


def dance(rng: np.random.Generator, rig: Rig, count: int) -> MotionTrack:
    """Dances on the spot."""
    names = ("dance_a", "dance_b", "dance_b")
    return anchored(_chained(rng, rig, count, names, (0.7, 1.15), 0.15), 0.7)


def acrobatics(rng: np.random.Generator, rig: Rig, count: int) -> MotionTrack:
    """Jumps, spins, backflips, cartwheels and rolls."""
    names = ("jump", "backflip", "cartwheel", "spin", "spinkick", "kick", "roll", "jump")
    return _chained(rng, rig, count, names, (0.75, 1.1), 0.4)


def fall(rng: np.random.Generator, rig: Rig, count: int) -> MotionTrack:
    """Stands, falls, lies and gets up: a window of that cycle."""
    parts, total = [], 0
    while total < 1.7 * count + POSES_PER_S:
        motion = _motion(rng, _one_of(rng, ("getup_faceup", "getup_facedown")))
        parts.append(_standing(rng, rng.uniform(0.6, 2.0)))
        parts.append(cut(motion, rng.uniform(1.6, 2.4), backwards=True))
        up = cut(motion, rng.uniform(0.75, 1.2))
        parts.append(held(up, 0, int(rng.uniform(0.8, 2.5) * POSES_PER_S)))
        parts.append(up)
        total += sum(len(p) for p in parts[-4:])
    return _window(rng, rig.sized(chain(parts)), count)


def _standing(rng: np.random.Generator, seconds: float) -> MotionTrack:
    return improvise(rng, max(int(seconds * POSES_PER_S), 8), ("stand",))


def crawl(rng: np.random.Generator, rig: Rig, count: int) -> MotionTrack:
    """Crawls, or rolls on the floor and gets up repeatedly."""
    if rng.random() < 0.4:
        return _chained(rng, rig, count, ("roll",), (0.75, 1.1), 0.5)
    motion = _motion(rng, "crawl")
    speed = _pace(rng, rig, 0.7, 1.2)
    start = rng.uniform(0, motion.duration_s)
    poses = cut(motion, speed, start, (count - 1) / POSES_PER_S)
    return _window(rng, rig.sized(poses), count)


def fight(rng: np.random.Generator, rig: Rig, count: int) -> MotionTrack:
    """Punches and kicks towards +z on the spot, with a raised guard in between."""
    parts, total = [], 0
    while total < count + 3 * POSES_PER_S:
        parts.append(_guarding(rng, int(rng.uniform(0.4, 1.2) * POSES_PER_S)))
        name = _one_of(rng, ("punch", "punch", "kick", "spinkick"))
        parts.append(cut(bundled_motions()[name], _pace(rng, rig, 0.8, 1.25)))
        total += len(parts[-1]) + len(parts[-2])
    poses = rig.sized(chain(parts, 0.5, aligned=False))
    return _window(rng, anchored(poses, 0.85), count)


def _guarding(rng: np.random.Generator, count: int) -> MotionTrack:
    poses = improvise(rng, max(count, 20), ("stand",))
    turns = np.array(poses.rotations)
    forward, out, inward, elbow = _GUARD + rng.normal(scale=6.0, size=4)
    arm = arm_rotations(ArmPose(forward, out, inward, min(elbow, 140.0)))
    turns[:, 6:9] = rot.slerp(turns[:, 6:9], np.broadcast_to(arm, turns[:, 6:9].shape), 0.9)
    flipped = arm * [1.0, 1.0, -1.0, -1.0]
    turns[:, 12:15] = rot.slerp(turns[:, 12:15], np.broadcast_to(flipped, (len(turns), 3, 4)), 0.9)
    return MotionTrack(poses.root_m, turns)


def anchored(poses: MotionTrack, share: float) -> MotionTrack:
    """Removes the fraction `share` of the slow drift over the floor."""
    from scipy.ndimage import gaussian_filter1d

    slow = gaussian_filter1d(poses.root_m, 0.8 * POSES_PER_S, axis=0, mode="nearest")
    drift = (slow - slow[0]) * [share, 0.0, share]
    return MotionTrack(poses.root_m - drift, poses.rotations)


ACTIONS: dict[str, Action] = {
    "walk": walk,
    "run": run,
    "stroll": stroll,
    "stand": _in_place("stand"),
    "talk": _in_place("stand"),
    "sit": _in_place("sit"),
    "floor": _in_place("floor"),
    "low": _in_place("low", "stand", "low"),
    "dance": dance,
    "fight": fight,
    "fall": fall,
    "crawl": crawl,
    "acrobatics": acrobatics,
}
"""Actions by their names in `ActionWeights`."""
