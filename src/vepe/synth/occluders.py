"""Invents what stands between the camera and the people: posts, furniture, plants."""

from __future__ import annotations

import numpy as np

from vepe.synth import clutter
from vepe.synth.scene import Performance
from vepe.synth.surfaces import Surface, quad
from vepe.synth.textures import Palette
from vepe.synth.view import View


def plan_occluders(
    rng: np.random.Generator, palette: Palette, performance: Performance, view: View
) -> list[Surface]:
    """One to four things before people whom `view` sees at the middle of the performance.

    Each stands on the floor on the way from the camera to a person, or hangs just before the lens;
    none fills the picture.
    """
    found: list[Surface] = []
    for _ in range(int(rng.choice([1, 1, 2, 2, 3, 4]))):
        who = performance.performers[int(rng.integers(len(performance.performers)))]
        joints = who.joint_world(performance.duration_s * rng.uniform(0.2, 0.8))[:, :3, 3]
        target = joints[int(rng.integers(len(joints)))].astype(np.float64)
        way = target - view.eye
        distance = float(np.linalg.norm(way))
        if distance < 1.2:
            continue
        # Not nearer than 0.7 m to either, so that nothing cuts into a body or fills the view.
        share = rng.uniform(0.7 / distance, max(1 - 0.7 / distance, 0.7 / distance + 0.01))
        found += _thing_before(rng, palette, view.eye + way * share, share * distance, view)
    return found


def _thing_before(
    rng: np.random.Generator, palette: Palette, place: np.ndarray, distance: float, view: View
) -> list[Surface]:
    """A thing at a place in the line of sight, small enough to leave most of the picture free."""
    seen = 2 * distance * view.half_sizes()[1]  # height of the picture there, in metres
    floor = place * [1, 0, 1]
    kind = rng.random()
    if kind < 0.3:
        width = float(np.clip(rng.uniform(0.03, 0.16) * seen, 0.03, 0.6))
        size = np.array([width, max(place[1] + seen, 2.0), width])
        return [clutter.block(rng, palette, floor, size, float(rng.uniform(0, 1.5)))]
    if kind < 0.6 and place[1] < 1.8:
        height = float(np.clip(place[1] * rng.uniform(0.6, 1.1), 0.2, 1.6))
        width = float(np.clip(rng.uniform(0.15, 0.6) * seen, 0.2, 2.5))
        size = np.array([width, height, min(0.5, width)])
        return [clutter.block(rng, palette, floor, size, float(rng.uniform(0, np.pi)))]
    if kind < 0.75 and place[1] < 1.6:
        return clutter.table(rng, palette, floor, float(rng.uniform(0, np.pi)))
    size_m = float(np.clip(rng.uniform(0.15, 0.5) * seen, 0.15, 2.5))
    across, up = view.rotation[0] * size_m, view.rotation[1] * size_m
    picture = palette.plant(rng) if rng.random() < 0.75 else palette.poster(rng)
    face = quad(place - across / 2 - up * rng.uniform(0.2, 0.8), across, up)
    return [Surface(*face, picture, clutter.tint(rng), casts_shadow=False)]
