"""Invents what stands between the camera and the people: posts, furniture, plants."""

from __future__ import annotations

import numpy as np

from vepe_synth import clutter
from vepe_synth.crowd import Crowd
from vepe_synth.surfaces import Surface, quad
from vepe_synth.textures import Palette
from vepe_synth.view import View

_MAX_COVERED = 0.6  # of all joints in the scene, by one thing


def plan_occluders(
    rng: np.random.Generator, palette: Palette, crowd: Crowd, view: View
) -> list[Surface]:
    """One to three things before people whom `view` sees at the middle of the performance.

    Each stands on the floor on the way from the camera to a person, or hangs just before the lens;
    none fills the picture, and nobody walks into one.
    """
    found: list[Surface] = []
    for _ in range(min(int(rng.choice([1, 1, 2, 2, 3])), len(crowd.middle))):
        joints = crowd.middle[int(rng.integers(len(crowd.middle)))]
        way = joints[int(rng.integers(len(joints)))] - view.eye
        distance = float(np.linalg.norm(way))
        if distance < 1.2:
            continue
        share = rng.uniform(0.6 / distance, max(1 - 0.4 / distance, 0.6 / distance + 0.01))
        parts = _thing_before(rng, palette, view.eye + way * share, share * distance, view)
        if not any(map(crowd.hits, parts)) and _covered(parts, crowd, view) <= _MAX_COVERED:
            found += parts
    return found


def _covered(parts: list[Surface], crowd: Crowd, view: View) -> float:
    """Share of everybody's joints behind the things, at most: their boxes in the picture count."""
    joints = view.project(np.concatenate(crowd.middle))[0]
    behind = np.zeros(len(joints), bool)
    for part in parts:
        corners = view.project(part.corners.reshape(-1, 3))[0]
        behind |= ((joints > corners.min(axis=0)) & (joints < corners.max(axis=0))).all(axis=1)
    return float(behind.mean())


def _thing_before(
    rng: np.random.Generator, palette: Palette, place: np.ndarray, distance: float, view: View
) -> list[Surface]:
    """A thing at a place in the line of sight, small enough to leave most of the picture free."""
    seen = 2 * distance * view.half_sizes()[1]  # height of the picture there, in metres
    floor = place * [1, 0, 1]
    kind = rng.random()
    if kind < 0.3:
        width = float(np.clip(rng.uniform(0.02, 0.09) * seen, 0.03, 0.5))
        size = np.array([width, max(place[1] + seen, 2.0), width])
        return [clutter.block(rng, palette, floor, size, float(rng.uniform(0, 1.5)))]
    if kind < 0.6 and place[1] < 1.8:
        height = float(np.clip(place[1] * rng.uniform(0.6, 1.1), 0.2, 1.6))
        width = float(np.clip(rng.uniform(0.15, 0.5) * seen, 0.2, 2.5))
        size = np.array([width, height, min(0.5, width)])
        return [clutter.block(rng, palette, floor, size, float(rng.uniform(0, np.pi)))]
    if kind < 0.75 and place[1] < 1.6:
        return clutter.table(rng, palette, floor, float(rng.uniform(0, np.pi)))
    size_m = float(np.clip(rng.uniform(0.15, 0.5) * seen, 0.15, 2.5))
    across, up = view.rotation[0] * size_m, view.rotation[1] * size_m
    picture = palette.plant(rng) if rng.random() < 0.75 else palette.poster(rng)
    face = quad(place - across / 2 - up * rng.uniform(0.2, 0.8), across, up)
    return [Surface(*face, picture, clutter.tint(rng), casts_shadow=False)]
