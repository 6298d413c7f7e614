"""Things made of boxes and cut-out pictures: furniture, posts, plants, houses, cars."""

from __future__ import annotations

import numpy as np

from vepe_synth.crowd import Crowd
from vepe_synth.furniture import Prop
from vepe_synth.surfaces import Surface, box, quad
from vepe_synth.textures import Palette, colour
from vepe_synth.view import View

Tint = tuple[float, float, float]


def prop(rng: np.random.Generator, palette: Palette, thing: Prop) -> Surface:
    """A thing that people of the scene sit on or use."""
    a, b, c = ((v / 255) ** 2 for v in thing.colour)
    shape = box(thing.centre_m, thing.size_m, thing.yaw, metres_per_repeat=1.0)
    return Surface(*shape, palette.material(rng), (0.3 + a, 0.3 + b, 0.3 + c))


def on_wall(
    rng: np.random.Generator, palette: Palette, start: np.ndarray, end: np.ndarray, height: float
) -> list[Surface]:
    """Pictures, windows, doors and shelves on the wall from `start` to `end` (on the floor)."""
    along = end - start
    length = float(np.linalg.norm(along))
    along = along / length
    inwards = np.array([-along[2], 0, along[0]])
    found = []
    for _ in range(int(rng.integers(0, 5))):
        width, tall = rng.uniform(0.4, 1.8), rng.uniform(0.4, 1.5)
        bottom = rng.uniform(0.6, max(0.7, height - tall))
        if rng.random() < 0.3:
            width, tall, bottom = rng.uniform(0.8, 1.2), 2.05, 0.0
        if width > length - 0.2:
            continue
        at = start + along * rng.uniform(0.1, length - width) + inwards * 0.02
        picture = palette.poster(rng) if rng.random() < 0.6 else palette.material(rng)
        face = quad(at + np.array([0, bottom, 0]), along * width, (0, tall, 0))
        found.append(Surface(*face, picture, tint(rng), casts_shadow=False))
    return found


def around(rng: np.random.Generator, palette: Palette, crowd: Crowd, view: View) -> list[Surface]:
    """Furniture and plants beside and behind the people, clear of them and of the camera."""
    low, high = crowd.bounds()
    found: list[Surface] = []
    for _ in range(int(rng.integers(0, 9))):
        place = rng.uniform(low - 2.5, high + 2.5) * [1, 0, 1]
        parts = thing(rng, palette, place)
        if not (_in_the_way(place, (low + high) / 2, view) or any(map(crowd.hits, parts))):
            found += parts
    return found


def thing(rng: np.random.Generator, palette: Palette, place: np.ndarray) -> list[Surface]:
    """One thing that stands on the floor at `place`."""
    kind = rng.random()
    yaw = float(rng.uniform(0, 2 * np.pi))
    if kind < 0.35:
        return [block(rng, palette, place, rng.uniform([0.3, 0.3, 0.3], [1.4, 1.6, 0.9]), yaw)]
    if kind < 0.6:
        return table(rng, palette, place, yaw)
    if kind < 0.75:
        return [post(rng, palette, place)]
    return plant(rng, palette, place, float(rng.uniform(0.6, 2.2)), yaw)


def block(
    rng: np.random.Generator, palette: Palette, place: np.ndarray, size: np.ndarray, yaw: float
) -> Surface:
    """A chest, cupboard, crate, counter or bench."""
    picture = palette.poster(rng) if rng.random() < 0.2 else palette.material(rng)
    repeat = float(rng.uniform(0.4, 1.5))
    shape = box(place + np.array([0, size[1] / 2, 0]), size, yaw, metres_per_repeat=repeat)
    return Surface(*shape, picture, tint(rng))


def table(
    rng: np.random.Generator, palette: Palette, place: np.ndarray, yaw: float
) -> list[Surface]:
    """A top on four legs; a table, a desk or a stool, at times with a back as a chair has."""
    width, height, depth = rng.uniform([0.4, 0.42, 0.4], [1.6, 0.95, 0.9])
    picture, paint = palette.material(rng), tint(rng)
    c, s = np.cos(yaw), np.sin(yaw)

    def part(centre: tuple[float, float, float], size: tuple[float, float, float]) -> Surface:
        x, y, z = centre
        at = place + np.array([c * x + s * z, y, -s * x + c * z])
        return Surface(*box(at, size, yaw, metres_per_repeat=1.0), picture, paint)

    parts = [part((0, height - 0.02, 0), (width, 0.04, depth))]
    for x in (-1, 1):
        for z in (-1, 1):
            at = (x * (width / 2 - 0.04), height / 2, z * (depth / 2 - 0.04))
            parts.append(part(at, (0.05, height, 0.05)))
    if width < 0.7:
        parts.append(part((0, height + 0.22, -depth / 2 + 0.02), (width, 0.44, 0.04)))
    return parts


def post(rng: np.random.Generator, palette: Palette, place: np.ndarray) -> Surface:
    """A column, a lamp post, a trunk or a pipe."""
    width = float(np.exp(rng.uniform(np.log(0.05), np.log(0.5))))
    size = np.array([width, rng.uniform(1.5, 4.0), width])
    return block(rng, palette, place, size, float(rng.uniform(0, 1.5)))


def plant(
    rng: np.random.Generator,
    palette: Palette,
    place: np.ndarray,
    height: float,
    yaw: float,
) -> list[Surface]:
    """Two crossed pictures of leaves."""
    picture = palette.plant(rng)
    paint = tint(rng)
    found = []
    for turn in (yaw, yaw + np.pi / 2):
        half = np.array([np.cos(turn), 0, -np.sin(turn)]) * height * 0.45
        found.append(Surface(*quad(place - half, 2 * half, (0, height, 0)), picture, paint))
    return found


def far_away(
    rng: np.random.Generator, palette: Palette, middle: np.ndarray, view: View
) -> list[Surface]:
    """Houses, fences, trees and cars some metres behind the people."""
    found: list[Surface] = []
    ahead = (middle - view.eye) * [1, 0, 1]
    heading = float(np.arctan2(ahead[0], ahead[2]))
    for _ in range(int(rng.integers(2, 14))):
        angle, gap = heading + rng.normal(0, 0.8), rng.uniform(6, 45)
        place = middle * [1, 0, 1] + gap * np.array([np.sin(angle), 0, np.cos(angle)])
        yaw = float(rng.uniform(0, 2 * np.pi))
        if rng.random() < 0.5:
            size = rng.uniform([2, 1, 2], [14, 12, 10]) * min(1.0, gap / 20)
            repeat = float(rng.uniform(1, 6))
            shape = box(place + np.array([0, size[1] / 2, 0]), size, yaw, metres_per_repeat=repeat)
            found.append(Surface(*shape, palette.material(rng), tint(rng)))
        else:
            found += plant(rng, palette, place, float(rng.uniform(1.5, 8)), yaw)
    return found


def tint(rng: np.random.Generator) -> Tint:
    """A colour that multiplies a picture's."""
    a, b, c = colour(rng, vivid=0.15) * 0.7 + 0.35
    return float(a), float(b), float(c)


def _in_the_way(place: np.ndarray, middle: np.ndarray, view: View) -> bool:
    """Whether a thing here would stand between camera and people, or in the lens."""
    flat = np.array([1.0, 0.0, 1.0])
    ahead, there = (middle - view.eye) * flat, (place - view.eye) * flat
    reach = float(np.linalg.norm(ahead))
    if reach < 1e-6:
        return True
    forward = float(there @ ahead / reach)
    return -1.0 < forward < reach
