"""A scene: the people with their motion, the props, and their joint positions over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from vepe_synth import rotations as rot
from vepe_synth.avatars import Avatar, AvatarLibrary
from vepe_synth.config import PeopleSettings
from vepe_synth.furniture import Prop
from vepe_synth.motions import MotionTrack
from vepe_synth.placement import place_people
from vepe_synth.retarget import Rig
from vepe_synth.sequence import POSES_PER_S, frame_count
from vepe_synth.surfaces import Surface


@dataclass(frozen=True, eq=False)
class AnimatedPerson:
    """A person with an avatar and a motion through the scene.

    Attributes:
        avatar: mesh and textures.
        track_id: 0, 1, ...; constant over the video.
        rig: the avatar's skeleton with this person's size and shape.
        poses: poses in world coordinates, `POSES_PER_S` per second from time 0.
    """

    avatar: Avatar
    track_id: int
    rig: Rig
    poses: MotionTrack

    def joint_world(self, time_s: float) -> Float[np.ndarray, "J 4 4"]:
        """World matrices of the joints (metres, y up, floor at 0) at any time; float32."""
        position = float(np.clip(time_s * POSES_PER_S, 0.0, len(self.poses) - 1.001))
        left = int(position)
        share = position - left
        root, turns = self.poses.root_m, self.poses.rotations
        now = MotionTrack(
            root_m=(root[left] + share * (root[left + 1] - root[left]))[None],
            rotations=rot.slerp(turns[left], turns[left + 1], np.array(share))[None],
        )
        return self.rig.pose(now)[0]


@dataclass(frozen=True, eq=False)
class Scene:
    """The people and props of a video of `duration_s` seconds."""

    people: tuple[AnimatedPerson, ...]
    props: tuple[Prop, ...]
    duration_s: float

    def bounds(self, time_s: float) -> Float[np.ndarray, "2 3"]:
        """Minimum and maximum x, y, z of all people's joints, metres."""
        joints = np.concatenate([p.joint_world(time_s)[:, :3, 3] for p in self.people])
        return np.stack([joints.min(axis=0), joints.max(axis=0)])


def plan_scene(
    rng: np.random.Generator,
    library: AvatarLibrary,
    settings: PeopleSettings,
    duration_s: float,
) -> Scene:
    """A random scene; depends only on the arguments and the generator's state."""
    members = place_people(rng, library, settings, frame_count(duration_s) + 1)
    people = tuple(
        AnimatedPerson(member.rig.avatar, track_id, member.rig, member.poses)
        for track_id, member in enumerate(members)
    )
    props = tuple(prop for member in members for prop in member.props)
    return Scene(people, props, duration_s)


INSTANTS = 5
_GAP_M = 0.22  # how far a body extends beyond its joints


@dataclass(frozen=True, eq=False)
class Crowd:
    """Joint positions of all people at `INSTANTS` evenly spaced times.

    Cameras, furniture and occluders keep clear of them. `joints[t][p]` is (J, 3), metres.
    """

    joints: tuple[tuple[Float[np.ndarray, "J 3"], ...], ...]
    duration_s: float

    @property
    def middle(self) -> tuple[Float[np.ndarray, "J 3"], ...]:
        """Joints of all people at half time."""
        return self.joints[len(self.joints) // 2]

    def bounds(self) -> Float[np.ndarray, "2 3"]:
        """Minimum and maximum x, y, z of all joints over all instants."""
        points = self._points()
        return np.stack([points.min(axis=0), points.max(axis=0)])

    def hits(self, surface: Surface) -> bool:
        """Whether any joint comes into the surface's bounding box, with a margin for the body."""
        corners = surface.corners.reshape(-1, 3)
        low, high = corners.min(axis=0) - _GAP_M, corners.max(axis=0) + _GAP_M
        points = self._points()
        inside: Bool[np.ndarray, "N"] = ((points > low) & (points < high)).all(axis=1)
        return bool(inside.any())

    def _points(self) -> Float[np.ndarray, "N 3"]:
        return np.concatenate([person for instant in self.joints for person in instant])


def crowd_of(scene: Scene) -> Crowd:
    """Samples the joint positions of a scene."""
    times = np.linspace(0, scene.duration_s, INSTANTS)
    joints = tuple(
        tuple(p.joint_world(float(t))[:, :3, 3].astype(np.float64) for p in scene.people)
        for t in times
    )
    return Crowd(joints, scene.duration_s)
