"""What happens in a synthetic video: performers who move, and the things around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vepe.config.synth_scene import PerformanceSettings
from vepe.synth import rotations as rot
from vepe.synth.avatars import Avatar, AvatarLibrary
from vepe.synth.motions import PoseTrack, bundled_motions
from vepe.synth.retarget import BodyShape, Rig

TRACK_FPS = 30.0
"""Poses of a performer's plan per second; between them is interpolated."""


@dataclass(frozen=True, eq=False)
class Performer:
    """A person who moves through a scene.

    Attributes:
        avatar: whose surface and colours are drawn.
        track_id: from 0, the same for the whole performance.
        rig: the avatar's bones with this performer's size and shape.
        poses: where and how the performer is, `TRACK_FPS` times a second from 0, in the world.
    """

    avatar: Avatar
    track_id: int
    rig: Rig
    poses: PoseTrack

    def joint_world(self, time_s: float) -> Float[np.ndarray, "J 4 4"]:
        """The joints' matrices in the world (metres, y up, floor at 0) at any time; float32."""
        position = float(np.clip(time_s * TRACK_FPS, 0.0, len(self.poses) - 1.001))
        left = int(position)
        share = position - left
        root, turns = self.poses.root_m, self.poses.rotations
        now = PoseTrack(
            root_m=(root[left] + share * (root[left + 1] - root[left]))[None],
            rotations=rot.slerp(turns[left], turns[left + 1], np.array(share))[None],
        )
        return self.rig.pose(now)[0]


@dataclass(frozen=True)
class Prop:
    """A box that stands on the floor or above it.

    Attributes:
        centre_m: x, y, z of its middle in the world.
        size_m: width (x), height (y), depth (z) before it is turned.
        yaw: turn about y in radians, from +z towards +x.
        colour: RGB, 0..255.
    """

    centre_m: tuple[float, float, float]
    size_m: tuple[float, float, float]
    yaw: float
    colour: tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Performance:
    """Everything that moves or stands in a scene for `duration_s` seconds."""

    performers: tuple[Performer, ...]
    props: tuple[Prop, ...]
    duration_s: float

    def bounds(self, time_s: float) -> Float[np.ndarray, "2 3"]:
        """Lowest and highest x, y, z in metres of a box around all performers' joints."""
        joints = np.concatenate([p.joint_world(time_s)[:, :3, 3] for p in self.performers])
        return np.stack([joints.min(axis=0), joints.max(axis=0)])


def plan_performance(
    rng: np.random.Generator,
    library: AvatarLibrary,
    settings: PerformanceSettings,
    duration_s: float,
) -> Performance:
    """Invents a performance: a function of the generator's state and nothing else."""
    count = int(rng.integers(settings.people_min, settings.people_max + 1))
    names = rng.choice(library.names, size=count, replace=count > len(library.names))
    motions = list(bundled_motions().values())
    times = np.arange(int(np.ceil(duration_s * TRACK_FPS)) + 2) / TRACK_FPS
    performers = []
    for track_id, name in enumerate(names):
        rig = Rig(library.load(str(name)), BodyShape(size=rng.uniform(0.8, 1.05)))
        poses = rig.sized(motions[int(rng.integers(len(motions)))].sample(times))
        place = rng.uniform(-2.5, 2.5, size=3) * [1.0, 0.0, 1.0]
        turn = rot.about_y(rng.uniform(-np.pi, np.pi))
        turns = poses.rotations.copy()
        turns[:, 0] = rot.multiply(np.broadcast_to(turn, (len(times), 4)), turns[:, 0])
        root = poses.root_m @ rot.to_matrix(turn).T + place
        performers.append(Performer(rig.avatar, track_id, rig, PoseTrack(root, turns)))
    return Performance(tuple(performers), (), duration_s)
