"""Objects made of boxes and cut-out images: furniture, posts, plants, houses, occluders."""

from __future__ import annotations

import numpy as np

from vepe_synth.furniture import Prop
from vepe_synth.scene import Crowd
from vepe_synth.surfaces import Surface, box, quad
from vepe_synth.textures import Palette, colour
from vepe_synth.view import View

Tint = tuple[float, float, float]


def prop(rng: np.random.Generator, palette: Palette, thing: Prop) -> Surface:
    """The surface of a prop that a person uses."""
    a, b, c = ((v / 255) ** 2 for v in thing.colour)
    shape = box(thing.centre_m, thing.size_m, thing.yaw, metres_per_repeat=1.0)
    return Surface(*shape, palette.material(rng), (0.3 + a, 0.3 + b, 0.3 + c))


def on_wall(
    rng: np.random.Generator, palette: Palette, start: np.ndarray, end: np.ndarray, height: float
) -> list[Surface]:
    """Posters, windows, doors and shelves on the wall above the line from `start` to `end`."""
    along = end - start
    length = float(np.linalg.norm(along))
    along = along / length
    inwards = np.array([-along[2], 0, along[0]])
    surfaces = []
    for _ in range(int(rng.integers(0, 5))):
        width, tall = rng.uniform(0.4, 1.8), rng.uniform(0.4, 1.5)
        bottom = rng.uniform(0.6, max(0.7, height - tall))
        if rng.random() < 0.3:
            width, tall, bottom = rng.uniform(0.8, 1.2), 2.05, 0.0
        if width > length - 0.2:
            continue
        at = start + along * rng.uniform(0.1, length - width) + inwards * 0.02
        image = palette.poster(rng) if rng.random() < 0.6 else palette.material(rng)
        face = quad(at + np.array([0, bottom, 0]), along * width, (0, tall, 0))
        surfaces.append(Surface(*face, image, tint(rng), casts_shadow=False))
    return surfaces


def around(rng: np.random.Generator, palette: Palette, crowd: Crowd, view: View) -> list[Surface]:
    """Furniture and plants next to and behind the people, clear of them and of the camera."""
    low, high = crowd.bounds()
    surfaces: list[Surface] = []
    for _ in range(int(rng.integers(0, 9))):
        place = rng.uniform(low - 2.5, high + 2.5) * [1, 0, 1]
        parts = thing(rng, palette, place)
        if not (_in_the_way(place, (low + high) / 2, view) or any(map(crowd.hits, parts))):
            surfaces += parts
    return surfaces


def thing(rng: np.random.Generator, palette: Palette, place: np.ndarray) -> list[Surface]:
    """A random object on the floor at `place`."""
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
    image = palette.poster(rng) if rng.random() < 0.2 else palette.material(rng)
    repeat = float(rng.uniform(0.4, 1.5))
    shape = box(place + np.array([0, size[1] / 2, 0]), size, yaw, metres_per_repeat=repeat)
    return Surface(*shape, image, tint(rng))


def table(
    rng: np.random.Generator, palette: Palette, place: np.ndarray, yaw: float
) -> list[Surface]:
    """A top on four legs: a table, desk or stool, or a chair with a back."""
    width, height, depth = rng.uniform([0.4, 0.42, 0.4], [1.6, 0.95, 0.9])
    image, paint = palette.material(rng), tint(rng)
    c, s = np.cos(yaw), np.sin(yaw)

    def part(centre: tuple[float, float, float], size: tuple[float, float, float]) -> Surface:
        x, y, z = centre
        at = place + np.array([c * x + s * z, y, -s * x + c * z])
        return Surface(*box(at, size, yaw, metres_per_repeat=1.0), image, paint)

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
    """Two crossed cut-outs of leaves."""
    image = palette.plant(rng)
    paint = tint(rng)
    surfaces = []
    for turn in (yaw, yaw + np.pi / 2):
        half = np.array([np.cos(turn), 0, -np.sin(turn)]) * height * 0.45
        surfaces.append(Surface(*quad(place - half, 2 * half, (0, height, 0)), image, paint))
    return surfaces


def far_away(
    rng: np.random.Generator, palette: Palette, middle: np.ndarray, view: View
) -> list[Surface]:
    """Houses, fences, trees and cars 6 to 45 m behind the people."""
    surfaces: list[Surface] = []
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
            surfaces.append(Surface(*shape, palette.material(rng), tint(rng)))
        else:
            surfaces += plant(rng, palette, place, float(rng.uniform(1.5, 8)), yaw)
    return surfaces


def tint(rng: np.random.Generator) -> Tint:
    """A random colour factor for a texture."""
    a, b, c = colour(rng, vivid=0.15) * 0.7 + 0.35
    return float(a), float(b), float(c)


def _in_the_way(place: np.ndarray, middle: np.ndarray, view: View) -> bool:
    """Whether an object here would stand between the camera and the people, or at the lens."""
    flat = np.array([1.0, 0.0, 1.0])
    ahead, offset = (middle - view.eye) * flat, (place - view.eye) * flat
    reach = float(np.linalg.norm(ahead))
    if reach < 1e-6:
        return True
    forward = float(offset @ ahead / reach)
    return -1.0 < forward < reach


_MAX_COVERED = 0.6  # of all joints in the scene, by one object


def plan_occluders(
    rng: np.random.Generator, palette: Palette, crowd: Crowd, view: View
) -> list[Surface]:
    """One to three objects in front of people, as seen by `view` at half time.

    Each stands between the camera and a person, on the floor or in the air; none covers most of the
    people, and nobody walks into one.
    """
    surfaces: list[Surface] = []
    for _ in range(min(int(rng.choice([1, 1, 2, 2, 3])), len(crowd.middle))):
        joints = crowd.middle[int(rng.integers(len(crowd.middle)))]
        way = joints[int(rng.integers(len(joints)))] - view.eye
        distance = float(np.linalg.norm(way))
        if distance < 1.2:
            continue
        share = rng.uniform(0.6 / distance, max(1 - 0.4 / distance, 0.6 / distance + 0.01))
        parts = _thing_before(rng, palette, view.eye + way * share, share * distance, view)
        if not any(map(crowd.hits, parts)) and _covered(parts, crowd, view) <= _MAX_COVERED:
            surfaces += parts
    return surfaces


def _covered(parts: list[Surface], crowd: Crowd, view: View) -> float:
    """Upper bound of the fraction of joints behind the objects, by their boxes in the image."""
    joints = view.project(np.concatenate(crowd.middle))[0]
    behind = np.zeros(len(joints), bool)
    for part in parts:
        corners = view.project(part.corners.reshape(-1, 3))[0]
        behind |= ((joints > corners.min(axis=0)) & (joints < corners.max(axis=0))).all(axis=1)
    return float(behind.mean())


def _thing_before(
    rng: np.random.Generator, palette: Palette, place: np.ndarray, distance: float, view: View
) -> list[Surface]:
    """An object at a place in the line of sight, small enough to leave most of the image free."""
    seen = 2 * distance * view.half_sizes()[1]  # height of the image offset, in metres
    floor = place * [1, 0, 1]
    kind = rng.random()
    if kind < 0.3:
        width = float(np.clip(rng.uniform(0.02, 0.09) * seen, 0.03, 0.5))
        size = np.array([width, max(place[1] + seen, 2.0), width])
        return [block(rng, palette, floor, size, float(rng.uniform(0, 1.5)))]
    if kind < 0.6 and place[1] < 1.8:
        height = float(np.clip(place[1] * rng.uniform(0.6, 1.1), 0.2, 1.6))
        width = float(np.clip(rng.uniform(0.15, 0.5) * seen, 0.2, 2.5))
        size = np.array([width, height, min(0.5, width)])
        return [block(rng, palette, floor, size, float(rng.uniform(0, np.pi)))]
    if kind < 0.75 and place[1] < 1.6:
        return table(rng, palette, floor, float(rng.uniform(0, np.pi)))
    size_m = float(np.clip(rng.uniform(0.15, 0.5) * seen, 0.15, 2.5))
    across, up = view.rotation[0] * size_m, view.rotation[1] * size_m
    image = palette.plant(rng) if rng.random() < 0.75 else palette.poster(rng)
    face = quad(place - across / 2 - up * rng.uniform(0.2, 0.8), across, up)
    return [Surface(*face, image, tint(rng), casts_shadow=False)]
