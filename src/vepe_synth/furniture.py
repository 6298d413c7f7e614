"""Props: boxes that people sit on and at."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from vepe_synth.adjustments import floor_points
from vepe_synth.motions import MotionTrack
from vepe_synth.retarget import Rig


@dataclass(frozen=True)
class Prop:
    """A box on or above the floor.

    Attributes:
        centre_m: x, y, z of its centre in world coordinates.
        size_m: width (x), height (y), depth (z) before rotation.
        yaw: rotation about y in radians, from +z towards +x.
        colour: RGB, 0..255.
    """

    centre_m: tuple[float, float, float]
    size_m: tuple[float, float, float]
    yaw: float
    colour: tuple[int, int, int]

    def placed(self, yaw: float, x: float, z: float) -> Prop:
        """The box rotated about the origin by `yaw`, then translated on the floor."""
        cx, cy, cz = self.centre_m
        turned_x = cx * np.cos(yaw) + cz * np.sin(yaw)
        turned_z = cz * np.cos(yaw) - cx * np.sin(yaw)
        centre = (float(turned_x + x), cy, float(turned_z + z))
        return replace(self, centre_m=centre, yaw=self.yaw + yaw)

    def spheres(self) -> tuple[Float[np.ndarray, "S 3"], float]:
        """Centres and radius of spheres that roughly fill the box, for collision tests."""
        width, height, depth = self.size_m
        radius = 0.12
        grid = [
            (x * width / 2, y * height / 2, z * depth / 2)
            for x in (-0.8, 0.0, 0.8)
            for y in (-0.8, 0.0, 0.8)
            for z in (-0.8, 0.0, 0.8)
        ]
        points = np.array(grid)
        turned = np.stack(
            [
                points[:, 0] * np.cos(self.yaw) + points[:, 2] * np.sin(self.yaw),
                points[:, 1],
                points[:, 2] * np.cos(self.yaw) - points[:, 0] * np.sin(self.yaw),
            ],
            axis=-1,
        )
        return turned + np.array(self.centre_m), radius


def seat_and_table(rng: np.random.Generator, rig: Rig, poses: MotionTrack) -> tuple[Prop, ...]:
    """A chair, stool or bench for a person who sits facing +z, at random with a table in front."""
    pelvis = poses.root_m.mean(axis=0)
    top = seat_height_m(rig, poses)
    scale = rig.metres_per_source_m
    colour = _colour(rng)
    width, depth = scale * rng.uniform(0.38, 0.5), scale * rng.uniform(0.36, 0.45)
    middle = (float(pelvis[0]), float(pelvis[2]) + 0.25 * depth)

    def box(x: float, y: float, z: float, w: float, h: float, d: float) -> Prop:
        centre = (middle[0] + x, y, middle[1] + z)
        return Prop(centre, (w, h, d), 0.0, colour)

    style = rng.random()
    if style < 0.25:  # a block
        return (box(0.0, top / 2, 0.0, width * rng.uniform(1, 3), top, depth),)
    slab = 0.05 * scale
    props = [box(0.0, top - slab / 2, 0.0, width, slab, depth)]
    leg, height = 0.04 * scale, max(top - slab, 0.02)
    props += [
        box(sx * (width - leg) / 2, height / 2, sz * (depth - leg) / 2, leg, height, leg)
        for sx in (-1, 1)
        for sz in (-1, 1)
    ]
    if style < 0.75:
        back = scale * rng.uniform(0.35, 0.55)
        props.append(box(0.0, top + back / 2, -depth / 2 - 0.11 * scale, width, back, 0.03))
    if rng.random() < 0.4:
        props += _table(rng, middle, top, depth, scale)
    return tuple(props)


def seat_height_m(rig: Rig, poses: MotionTrack) -> float:
    """Height of the underside of the pelvis, where the seat has to be."""
    avatar = rig.avatar
    moves = rig.pose(MotionTrack(poses.root_m[::15], poses.rotations[::15])) @ avatar.inverse_bind
    heights = moves[:, :, 1, :].reshape(len(moves), -1) @ floor_points(rig, ("Hips",)).T
    return float(np.median(heights.min(axis=1)) + 0.02)


def _table(
    rng: np.random.Generator, seat: tuple[float, float], top: float, depth: float, scale: float
) -> list[Prop]:
    colour = _colour(rng)
    height = top + scale * rng.uniform(0.26, 0.34)
    width, length = scale * rng.uniform(0.7, 1.5), scale * rng.uniform(0.5, 0.8)
    z = seat[1] + depth / 2 + scale * 0.12 + length / 2
    slab = 0.04 * scale
    props = [Prop((seat[0], height - slab / 2, z), (width, slab, length), 0.0, colour)]
    for side in (-1, 1):
        x = seat[0] + side * (width / 2 - 0.03)
        size = (0.04, height - slab, 0.9 * length)
        props.append(Prop((x, (height - slab) / 2, z), size, 0.0, colour))
    return props


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    """A random colour of wood, metal or paint."""
    base = np.array([(120, 82, 50), (70, 70, 75), (205, 200, 190), (40, 60, 110), (150, 40, 40)])
    chosen = base[int(rng.integers(len(base)))] * rng.uniform(0.6, 1.25) + rng.normal(scale=8.0)
    red, green, blue = (int(v) for v in chosen.clip(5, 250))
    return red, green, blue
