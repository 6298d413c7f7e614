"""Placement of people: singles, pairs and groups, close to each other without intersecting.

A unit is a person or a group that acts together. Units are placed on the ground one by one, each
where it does not touch any other unit at any time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from vepe_synth import rotations as rot
from vepe_synth.actions import ACTIONS
from vepe_synth.adjustments import grounded, perturbed
from vepe_synth.avatars import Avatar, AvatarLibrary
from vepe_synth.config import PeopleSettings
from vepe_synth.furniture import Prop, seat_and_table
from vepe_synth.motions import MotionTrack
from vepe_synth.retarget import Rig
from vepe_synth.sequence import fitted, placed
from vepe_synth.wardrobe import draw_shape, dressed

_RADII_M = {
    "Head": 0.13, "Neck": 0.12, "Spine2": 0.18, "Hips": 0.18, "LeftForeArm": 0.07,
    "RightForeArm": 0.07, "LeftHand": 0.08, "RightHand": 0.08, "LeftLeg": 0.09, "RightLeg": 0.09,
    "LeftFoot": 0.09, "RightFoot": 0.09,
}  # fmt: skip
_EVERY = 4
_GROWTH = 1.03
_TRIES = 400
_GROUPED = {"talk": (2, 4), "fight": (2, 2), "walk": (1, 3), "sit": (1, 2), "stand": (1, 2)}
"""Minimum and maximum size of a group by action; 1 for actions that are not listed."""


@dataclass(frozen=True, eq=False)
class PlacedPerson:
    """One person with their final poses, and the furniture they use."""

    rig: Rig
    poses: MotionTrack
    props: tuple[Prop, ...] = ()

    def placed(self, yaw: float, x: float, z: float) -> PlacedPerson:
        """A copy rotated about the origin by `yaw` and then translated."""
        props = tuple(prop.placed(yaw, x, z) for prop in self.props)
        return PlacedPerson(self.rig, placed(self.poses, yaw, x, z), props)


@dataclass(frozen=True, eq=False)
class _Volume:
    """Spheres that approximate a unit over time: (T, S, 3) centres in metres, (S,) radii."""

    middles_m: Float[np.ndarray, "T S 3"]
    radii_m: Float[np.ndarray, "S"]

    def placed(self, yaw: float, x: float, z: float) -> _Volume:
        turn = rot.to_matrix(rot.about_y(np.array(yaw)))
        return _Volume(self.middles_m @ turn.T + [x, 0.0, z], self.radii_m)

    def touches(self, other: _Volume) -> bool:
        """Whether any two spheres intersect at any time."""
        near = (self.low <= other.high).all(axis=1) & (other.low <= self.high).all(axis=1)
        if not near.any():
            return False
        apart = self.middles_m[near][:, :, None] - other.middles_m[near][:, None]
        reach = self.radii_m[:, None] + other.radii_m[None]
        return bool((np.einsum("tabi,tabi->tab", apart, apart) < reach * reach).any())

    @cached_property
    def low(self) -> Float[np.ndarray, "T 3"]:
        """Minimum corner of the bounding box of the spheres."""
        return (self.middles_m - self.radii_m[:, None]).min(axis=1)

    @cached_property
    def high(self) -> Float[np.ndarray, "T 3"]:
        """Maximum corner of the bounding box of the spheres."""
        return (self.middles_m + self.radii_m[:, None]).max(axis=1)


def place_people(
    rng: np.random.Generator, library: AvatarLibrary, settings: PeopleSettings, count: int
) -> list[PlacedPerson]:
    """The people of a scene with `count` poses each, in world coordinates."""
    people = int(rng.integers(settings.people_min, settings.people_max + 1))
    cast = _cast(rng, library, settings, people)
    radius = rng.uniform(*settings.spread_m) * np.sqrt(people)
    members: list[PlacedPerson] = []
    volumes: list[_Volume] = []
    while cast:
        action = _draw_action(rng, settings, len(cast))
        low, high = _GROUPED.get(action, (1, 1))
        size = min(int(rng.integers(low, high + 1)), len(cast))
        unit = _unit(rng, action, [cast.pop() for _ in range(size)], settings, count)
        volume = _volume(unit)
        place = _clear_place(rng, volume, volumes, radius)
        volumes.append(volume.placed(*place))
        members += [member.placed(*place) for member in unit]
    return members


def _cast(
    rng: np.random.Generator, library: AvatarLibrary, settings: PeopleSettings, people: int
) -> list[Avatar]:
    names = rng.choice(library.names, size=people, replace=people > len(library.names))
    cast = []
    for name in names:
        avatar = library.load(str(name))
        if rng.random() < settings.recolour_share:
            avatar = dressed(rng, avatar)
        cast.append(avatar)
    return cast


def _draw_action(rng: np.random.Generator, settings: PeopleSettings, left: int) -> str:
    shares = settings.actions.model_dump()
    usable = {k: v for k, v in shares.items() if _GROUPED.get(k, (1, 1))[0] <= left}
    if not sum(usable.values()):  # only pairs are possible, but one person is left
        return "stand"
    weights = np.array(list(usable.values()))
    return str(rng.choice(list(usable), p=weights / weights.sum()))


def _unit(
    rng: np.random.Generator,
    action: str,
    cast: list[Avatar],
    settings: PeopleSettings,
    count: int,
) -> list[PlacedPerson]:
    """The members of a unit, around the origin."""
    rigs = [Rig(avatar, draw_shape(rng, avatar, settings)) for avatar in cast]
    if action == "walk" and len(rigs) > 1:
        return _side_by_side(rng, rigs, settings, count)
    members = [_member(rng, action, rig, settings, count) for rig in rigs]
    if len(members) == 1:
        return members
    if action == "fight":
        reach = 0.5 * sum(m.rig.hip_height_m for m in members) * rng.uniform(1.0, 1.35)
        return [members[0], members[1].placed(np.pi, 0.0, reach)]
    return _circle(rng, members)


def _member(
    rng: np.random.Generator, action: str, rig: Rig, settings: PeopleSettings, count: int
) -> PlacedPerson:
    poses = perturbed(rng, ACTIONS[action](rng, rig, count), settings.perturbation)
    poses = grounded(rig, poses)
    return PlacedPerson(rig, poses, seat_and_table(rng, rig, poses) if action == "sit" else ())


def _side_by_side(
    rng: np.random.Generator, rigs: list[Rig], settings: PeopleSettings, count: int
) -> list[PlacedPerson]:
    """People who walk side by side: the first one's path, the others next to it.

    People with shorter legs step faster, so that all keep up without sliding.
    """
    rates = [rigs[0].metres_per_source_m / rig.metres_per_source_m for rig in rigs]
    long = _member(rng, "walk", rigs[0], settings, int(np.ceil(count * max(rates))) + 1).poses
    first = fitted(long, count)
    ahead = (first.root_m[-1] - first.root_m[0])[[0, 2]]
    side = np.array([ahead[1], -ahead[0]]) / max(float(np.linalg.norm(ahead)), 1e-6)
    members = [PlacedPerson(rigs[0], first)]
    for i, (rig, rate) in enumerate(zip(rigs[1:], rates[1:], strict=True), start=1):
        gap = rng.uniform(0.55, 0.8) * (i if i % 2 else 1 - i)
        root = first.root_m + gap * np.array([side[0], 0.0, side[1]])
        turns = np.array(long.rotations[np.round(np.arange(count) * rate).astype(int)])
        turns[:, 0] = first.rotations[:, 0]
        own = perturbed(rng, MotionTrack(root, turns), settings.perturbation)
        members.append(PlacedPerson(rig, grounded(rig, own)))
    return members


def _circle(rng: np.random.Generator, members: list[PlacedPerson]) -> list[PlacedPerson]:
    """People in a circle facing its centre, widened until nobody touches a neighbour."""
    radius = rng.uniform(0.4, 0.7) + 0.08 * len(members)
    angles = np.arange(len(members)) * 2 * np.pi / len(members) + rng.normal(
        scale=0.2, size=len(members)
    )
    while True:
        result = [
            m.placed(float(a + np.pi), float(radius * np.sin(a)), float(radius * np.cos(a)))
            for m, a in zip(members, angles, strict=True)
        ]
        volumes = [_volume([m]) for m in result]
        pairs = [(i, j) for i in range(len(volumes)) for j in range(i)]
        if radius > 4.0 or not any(volumes[i].touches(volumes[j]) for i, j in pairs):
            return result
        radius *= 1.15


def _volume(unit: list[PlacedPerson]) -> _Volume:
    middles, radii = [], []
    for member in unit:
        names = [n for n in _RADII_M if n in member.rig.avatar.joint_names]
        joints = [member.rig.avatar.joint(n) for n in names]
        index = np.arange(0, len(member.poses), _EVERY)
        some = MotionTrack(member.poses.root_m[index], member.poses.rotations[index])
        middles.append(member.rig.pose(some)[..., :3, 3][:, joints].astype(np.float64))
        radii.append(np.array([_RADII_M[n] for n in names]) * member.rig.metres_per_source_m)
        for prop in member.props:
            spheres, radius = prop.spheres()
            middles.append(np.broadcast_to(spheres, (len(index), *spheres.shape)))
            radii.append(np.full(len(spheres), radius))
    return _Volume(np.concatenate(middles, axis=1), np.concatenate(radii))


def _clear_place(
    rng: np.random.Generator, volume: _Volume, others: list[_Volume], radius: float
) -> tuple[float, float, float]:
    """Yaw, x and z where a unit touches no other; the ground grows after each failed try.

    The unit is on the shared ground at one random time, so that walking people cross it.
    """
    for _ in range(_TRIES):
        yaw = float(rng.uniform(-np.pi, np.pi))
        when = int(rng.integers(len(volume.middles_m)))
        middle = volume.placed(yaw, 0.0, 0.0).middles_m[when].mean(axis=0)
        distance, angle = radius * np.sqrt(rng.random()), rng.uniform(-np.pi, np.pi)
        x = float(distance * np.sin(angle) - middle[0])
        z = float(distance * np.cos(angle) - middle[2])
        here = volume.placed(yaw, x, z)
        if not any(here.touches(other) for other in others):
            return yaw, x, z
        radius *= _GROWTH
    return yaw, x, z
