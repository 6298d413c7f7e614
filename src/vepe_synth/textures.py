"""Procedural textures: noise, tiles, bricks, planks, stripes, posters, plants.

All are (256, 256, 4) uint8 RGBA, tile seamlessly where that makes sense, and depend only on the
random generator. To add a material, write such a function and add it to `MATERIALS`.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from vepe_synth.surfaces import TEXTURE_PX

Texture = UInt8[np.ndarray, "S S 4"]
Field = Float[np.ndarray, "S S"]


def colour(rng: np.random.Generator, *, vivid: float = 0.28) -> Float[np.ndarray, "3"]:
    """A random RGB colour in 0..1; `vivid` is the mean saturation."""
    saturation = float(np.clip(rng.beta(1.2, 1.2 / vivid), 0, 1))
    return np.array(colorsys.hsv_to_rgb(rng.random(), saturation, rng.uniform(0.25, 0.95)))


def noise(
    rng: np.random.Generator, cells: int = 4, octaves: int = 5, size: int = TEXTURE_PX
) -> Field:
    """Smooth noise in 0..1 that tiles seamlessly."""
    total = np.zeros((size, size), np.float32)
    weight = 0.0
    for octave in range(octaves):
        n = min(cells << octave, size)
        grid = rng.random((n, n), dtype=np.float32)
        padded = np.pad(grid, 2, mode="wrap")
        scale = size / n
        wide = cv2.resize(padded, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        edge = round(2 * scale)
        total += wide[edge : edge + size, edge : edge + size] * 0.55**octave
        weight += 0.55**octave
    return np.clip(total / weight, 0, 1)


def plain(rng: np.random.Generator) -> Texture:
    """Plaster, concrete, carpet or grass: one colour with noise in it."""
    base, spread = colour(rng), rng.uniform(0.05, 0.5)
    field = noise(rng, int(rng.choice([2, 4, 8, 32])))
    grain = rng.normal(0, rng.uniform(0, 0.08), (TEXTURE_PX, TEXTURE_PX, 1))
    return _rgba(base * (1 + spread * (field[..., None] * 2 - 1)) + grain)


def mottled(rng: np.random.Generator) -> Texture:
    """Two colours in patches: stone, marble, worn paint, grass with soil."""
    field = noise(rng, int(rng.choice([2, 4, 8])))
    share = np.clip((field - 0.5) * rng.uniform(2, 12) + 0.5, 0, 1)[..., None]
    a, b = colour(rng), colour(rng)
    fine = noise(rng, 32, 2)[..., None] * 0.3 + 0.85
    return _rgba((a * share + b * (1 - share)) * fine)


def tiles(rng: np.random.Generator) -> Texture:
    """Tiles or a chessboard with joints."""
    count = int(rng.choice([1, 2, 4, 8]))
    y, x = np.mgrid[0:TEXTURE_PX, 0:TEXTURE_PX] * (count / TEXTURE_PX)
    a = colour(rng)
    b = colour(rng) if rng.random() < 0.4 else a * rng.uniform(0.8, 1.1)
    pick = ((x.astype(int) + y.astype(int)) % 2 if count > 1 else np.zeros_like(x, int))[..., None]
    body = np.where(pick, a, b) * (0.85 + 0.3 * noise(rng, 8)[..., None])
    width = rng.uniform(0.01, 0.05)
    joint = (np.minimum(x % 1, y % 1) < width)[..., None]
    return _rgba(np.where(joint, colour(rng, vivid=0.1) * 0.7, body))


def bricks(rng: np.random.Generator) -> Texture:
    """Rows of bricks or blocks that differ slightly in colour."""
    rows = int(rng.choice([4, 6, 8, 12]))
    columns = max(2, rows // 2)
    y, x = np.mgrid[0:TEXTURE_PX, 0:TEXTURE_PX] / TEXTURE_PX
    row = (y * rows).astype(int)
    shifted = x * columns + 0.5 * (row % 2)
    column = shifted.astype(int) % columns
    shade = rng.uniform(0.7, 1.15, (rows, columns))[row % rows, column]
    joint = ((y * rows) % 1 < 0.08) | (shifted % 1 < 0.04)
    body = colour(rng, vivid=0.5) * (shade * (0.8 + 0.4 * noise(rng, 16)))[..., None]
    return _rgba(np.where(joint[..., None], colour(rng, vivid=0.1), body))


def planks(rng: np.random.Generator) -> Texture:
    """Wooden boards with a grain."""
    count = int(rng.choice([3, 4, 6, 8]))
    x = np.arange(TEXTURE_PX) * count // TEXTURE_PX
    shade = rng.uniform(0.75, 1.15, count)[x][None, :]
    grain = cv2.blur(noise(rng, 64, 2), (1, 63))
    grain = (grain - grain.min()) / max(float(np.ptp(grain)), 1e-6)
    wood = np.array(
        colorsys.hsv_to_rgb(rng.uniform(0.04, 0.12), rng.uniform(0.2, 0.7), rng.uniform(0.3, 0.9))
    )
    gap = np.where(np.arange(TEXTURE_PX) * count % TEXTURE_PX < count * 2, 0.45, 1.0)[None, :]
    image = _rgba(wood * (shade * gap * (0.75 + 0.4 * grain))[..., None])
    return np.ascontiguousarray(image.transpose(1, 0, 2)) if rng.random() < 0.5 else image


def stripes(rng: np.random.Generator) -> Texture:
    """Stripes of two or three colours: wallpaper, cloth, blinds, roads."""
    bands = int(rng.choice([2, 4, 8, 16]))
    colours = np.stack([colour(rng) for _ in range(int(rng.integers(2, 4)))])
    widths = rng.integers(1, 4, bands)
    order = np.repeat(np.arange(bands) % len(colours), widths * 8)
    line = order[np.arange(TEXTURE_PX) * len(order) // TEXTURE_PX]
    image = np.broadcast_to(colours[line][None], (TEXTURE_PX, TEXTURE_PX, 3))
    image = image * (0.9 + 0.2 * noise(rng, 16)[..., None])
    return _rgba(image.transpose(1, 0, 2) if rng.random() < 0.5 else image)


def poster(rng: np.random.Generator) -> Texture:
    """Random gradients, discs, bars, strokes and letters: posters, screens, signs, boxes."""
    ramp = np.linspace(0, 1, TEXTURE_PX)[:, None, None]
    canvas = (colour(rng) * ramp + colour(rng) * (1 - ramp)) * np.ones((1, TEXTURE_PX, 1))
    canvas = np.ascontiguousarray(canvas * 255).astype(np.uint8)
    for _ in range(int(rng.integers(3, 16))):
        ink = (colour(rng, vivid=0.6) * 255).tolist()
        a, b = (tuple(int(v) for v in rng.integers(0, TEXTURE_PX, 2)) for _ in range(2))
        kind = rng.integers(4)
        if kind == 0:
            cv2.circle(canvas, a, int(rng.integers(4, 70)), ink, -1, cv2.LINE_AA)
        elif kind == 1:
            cv2.rectangle(canvas, a, b, ink, int(rng.choice([-1, 2, 6])))
        elif kind == 2:
            cv2.line(canvas, a, b, ink, int(rng.integers(1, 24)), cv2.LINE_AA)
        else:
            text = "".join(rng.choice(list("ABCDEFGHIKLMNOPRSTUVWXYZ0123456789"), 6))
            cv2.putText(canvas, text, (0, a[1]), cv2.FONT_HERSHEY_DUPLEX, 2, ink, 3, cv2.LINE_AA)
    return _rgba(canvas / 255)


def plant(rng: np.random.Generator) -> Texture:
    """Leaves and stems on a transparent background: shrubs, house plants, tree crowns."""
    size = TEXTURE_PX
    canvas = np.zeros((size, size, 4), np.uint8)
    green = np.array(colorsys.hsv_to_rgb(rng.uniform(0.15, 0.42), rng.uniform(0.3, 0.8), 1.0))
    slim = rng.uniform(0.15, 0.5)
    for _ in range(int(rng.integers(60, 220))):
        root = np.array([size / 2, size * 0.98])
        tip = np.array([size / 2 + rng.normal() * size * 0.22, size * rng.beta(1.2, 1.6)])
        tip = np.clip(tip, 4, size - 5)
        shade = (*(green * rng.uniform(60, 220)).tolist(), 255)
        if rng.random() < 0.25:
            cv2.line(canvas, _point(root), _point(tip), shade, 2)
        length = rng.uniform(8, 34)
        axes = (int(length), max(2, int(length * slim)))
        cv2.ellipse(canvas, _point(tip), axes, float(rng.uniform(0, 360)), 0, 360, shade, -1)
    return canvas


MATERIALS: tuple[Callable[[np.random.Generator], Texture], ...] = (
    plain, plain, mottled, mottled, tiles, bricks, planks, stripes,
)  # fmt: skip
"""Textures of walls, floors and furniture."""


@dataclass(frozen=True, eq=False)
class Palette:
    """The textures that the objects of one clip share."""

    materials: tuple[Texture, ...]
    posters: tuple[Texture, ...]
    plants: tuple[Texture, ...]

    def material(self, rng: np.random.Generator) -> Texture:
        """A random texture of a wall, a floor or furniture."""
        return self.materials[int(rng.integers(len(self.materials)))]

    def poster(self, rng: np.random.Generator) -> Texture:
        """A random poster."""
        return self.posters[int(rng.integers(len(self.posters)))]

    def plant(self, rng: np.random.Generator) -> Texture:
        """A random plant, with a transparent background."""
        return self.plants[int(rng.integers(len(self.plants)))]


def palette(rng: np.random.Generator) -> Palette:
    """Random textures for a clip."""
    picks = rng.integers(len(MATERIALS), size=6)
    return Palette(
        materials=tuple(MATERIALS[int(k)](rng) for k in picks),
        posters=tuple(poster(rng) for _ in range(3)),
        plants=tuple(plant(rng) for _ in range(2)),
    )


def _point(place: np.ndarray) -> tuple[int, int]:
    return int(place[0]), int(place[1])


def _rgba(rgb: np.ndarray) -> Texture:
    out = np.full((TEXTURE_PX, TEXTURE_PX, 4), 255, np.uint8)
    out[..., :3] = np.clip(rgb * 255, 0, 255)
    return out
