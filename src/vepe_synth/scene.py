"""What happens in a synthetic video: performers who move, and the things around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vepe_synth import rotations as rot
from vepe_synth.avatars import Avatar, AvatarLibrary
from vepe_synth.furniture import Prop
from vepe_synth.gathering import gathered
from vepe_synth.motions import PoseTrack
from vepe_synth.retarget import Rig
from vepe_synth.scene_config import PerformanceSettings
from vepe_synth.sequence import POSES_PER_S, frame_count

__all__ = ["Performance", "Performer", "Prop", "plan_performance"]


@dataclass(frozen=True, eq=False)
class Performer:
    """A person who moves through a scene.

    Attributes:
        avatar: whose surface and colours are drawn.
        track_id: from 0, the same for the whole performance.
        rig: the avatar's bones with this performer's size and shape.
        poses: where and how the performer is, `POSES_PER_S` times a second from 0, in the world.
    """

    avatar: Avatar
    track_id: int
    rig: Rig
    poses: PoseTrack

    def joint_world(self, time_s: float) -> Float[np.ndarray, "J 4 4"]:
        """The joints' matrices in the world (metres, y up, floor at 0) at any time; float32."""
        position = float(np.clip(time_s * POSES_PER_S, 0.0, len(self.poses) - 1.001))
        left = int(position)
        share = position - left
        root, turns = self.poses.root_m, self.poses.rotations
        now = PoseTrack(
            root_m=(root[left] + share * (root[left + 1] - root[left]))[None],
            rotations=rot.slerp(turns[left], turns[left + 1], np.array(share))[None],
        )
        return self.rig.pose(now)[0]


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
    members = gathered(rng, library, settings, frame_count(duration_s) + 1)
    performers = tuple(
        Performer(member.rig.avatar, track_id, member.rig, member.poses)
        for track_id, member in enumerate(members)
    )
    props = tuple(prop for member in members for prop in member.props)
    return Performance(performers, props, duration_s)
