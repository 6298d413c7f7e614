"""What made-up people look like: skin, hair and clothes as small textures, drawn at random.

Front and back differ (face, neckline, buttons or a print in front; hair and hood behind), so that
left and right can be learnt. Textures of torso and head go once around the body; the column in
the middle of the texture is the front. All of it is our own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from vepe.data.synthetic_scene import cloth, noise, random_colour

Texture = UInt8[np.ndarray, "H W 3"]
_LEVELS = 3
_YAW_STEPS = 32
_SKIN = np.array([[255, 219, 190], [233, 185, 148], [198, 140, 98], [141, 85, 56], [82, 52, 40]])
_HAIR = np.array([[20, 16, 14], [60, 38, 24], [120, 78, 40], [200, 165, 100], [150, 150, 150]])
LIMB_SIZE, ROUND_SIZE = (64, 32), (64, 128)


@dataclass
class Pyramid:
    """A texture in three sizes, so that small figures do not flicker."""

    levels: tuple[Texture, ...]

    @staticmethod
    def of(texture: Texture) -> Pyramid:
        """Halves the texture twice."""
        levels = [texture]
        for _ in range(_LEVELS - 1):
            levels.append(cv2.pyrDown(levels[-1]))
        return Pyramid(tuple(levels))

    def at(self, pixels: float) -> Texture:
        """The smallest level that still has as many rows as `pixels`."""
        level = 0
        while level < _LEVELS - 1 and self.levels[level].shape[0] > 2 * pixels:
            level += 1
        return self.levels[level]


@dataclass
class Round:
    """A texture around a body part, seen from any side."""

    texture: Texture
    _views: dict[int, Pyramid] = field(default_factory=dict)

    def seen_from(self, angle: float) -> Pyramid:
        """The half that faces the camera; `angle` is where the camera stands, 0 in front, a
        quarter turn at the person's left. Rounded to 32 steps; each is made once."""
        step = round(angle / (2 * np.pi) * _YAW_STEPS) % _YAW_STEPS
        if step not in self._views:
            width = self.texture.shape[1]
            start = round(width / 4 + step * width / _YAW_STEPS)
            columns = np.arange(start, start + width // 2) % width
            self._views[step] = Pyramid.of(_shade(self.texture[:, columns]))
        return self._views[step]


@dataclass(frozen=True)
class Appearance:
    """Textures of one person.

    Attributes:
        limbs: by part name without the side, textures from the upper to the lower end.
        torso, head: textures around the body, from top to bottom.
        skin, eye: RGB colours.
        hair: texture of long hair, or None.
    """

    limbs: dict[str, Pyramid]
    torso: Round
    head: Round
    skin: tuple[int, int, int]
    eye: tuple[int, int, int]
    hair: Pyramid | None


def _shade(texture: Texture) -> Texture:
    """Darker towards both edges, as a round limb looks."""
    across = np.linspace(-1, 1, texture.shape[1], dtype=np.float32)
    light = 1.06 - 0.42 * np.abs(across + 0.15) ** 2.5
    return np.clip(texture * light[None, :, None], 0, 255).astype(np.uint8)


def _pick(rng: np.random.Generator, table: np.ndarray) -> Float[np.ndarray, "3"]:
    """A colour between two neighbours of a table."""
    place = rng.uniform(0, len(table) - 1)
    low = int(place)
    mixed = table[low] + (place - low) * (table[min(low + 1, len(table) - 1)] - table[low])
    return np.clip(mixed + rng.normal(0, 6, 3), 0, 255)


def _plain(rng: np.random.Generator, colour: np.ndarray, size: tuple[int, int]) -> Texture:
    grain = 7 * noise(rng, *size)[..., None]
    return np.clip(colour + grain, 0, 255).astype(np.uint8)


def _limb(upper: Texture, lower: Texture, border: float) -> Pyramid:
    """A limb that is of one cloth down to `border` (a fraction of its length)."""
    texture = lower.copy()
    rows = round(border * len(texture))
    texture[:rows] = upper[:rows]
    return Pyramid.of(_shade(texture))


def random_appearance(rng: np.random.Generator) -> Appearance:
    """Clothes, skin and hair of a new person."""
    skin_colour, hair_colour = _pick(rng, _SKIN), _pick(rng, _HAIR)
    skin = _plain(rng, skin_colour, LIMB_SIZE)
    shirt, trousers = cloth(rng, *LIMB_SIZE), cloth(rng, *LIMB_SIZE)
    if rng.random() < 0.15:
        trousers = shirt
    shoe = _plain(rng, random_colour(rng), LIMB_SIZE)
    sleeve = float(rng.choice([0.0, 0.6, 0.8, 2.0, 2.0]))
    leg = float(rng.choice([0.5, 0.9, 2.0, 2.0, 2.0]))
    sock = 0.75 if rng.random() < 0.3 else 1.0
    lower_leg = skin.copy()
    lower_leg[round(sock * LIMB_SIZE[0]) :] = 225
    limbs = {
        "upper_arm": _limb(shirt, skin, min(sleeve, 1.0)),
        "forearm": _limb(shirt, skin, float(np.clip(sleeve - 1.0, 0, 0.92))),
        "hand": _limb(skin, skin, 0.5),
        "thigh": _limb(trousers, skin, min(leg, 1.0)),
        "shank": _limb(trousers, lower_leg, float(np.clip(leg - 1.0, 0, 0.93))),
        "foot": _limb(shoe, shoe, 0.5),
        "neck": _limb(skin, skin, 0.5),
    }
    hair = None
    if rng.random() < 0.35:
        hair = Pyramid.of(_shade(_plain(rng, hair_colour, LIMB_SIZE)))
    return Appearance(
        limbs=limbs,
        torso=Round(_torso(rng, shirt, trousers, skin_colour)),
        head=Round(_head(rng, skin_colour, hair_colour)),
        skin=_rgb(skin_colour * 0.86),
        eye=_rgb(rng.uniform(10, 60, 3)),
        hair=hair,
    )


def _rgb(colour: np.ndarray) -> tuple[int, int, int]:
    red, green, blue = (int(c) for c in colour)
    return red, green, blue


def _torso(
    rng: np.random.Generator, shirt: Texture, trousers: Texture, skin: np.ndarray
) -> Texture:
    height, width = ROUND_SIZE
    texture = np.tile(shirt, (1, width // shirt.shape[1], 1))
    middle = width // 2
    mark = random_colour(rng).tolist()
    front = rng.integers(4)
    if front == 0:  # buttons or a zip
        cv2.line(texture, (middle, 0), (middle, height), mark, 2)
    elif front == 1:  # an open jacket
        texture[:, middle - 6 : middle + 6] = np.array(mark, np.uint8)
    elif front == 2:  # a print on the chest
        size = (int(rng.uniform(8, 14)), int(rng.uniform(6, 12)))
        cv2.ellipse(texture, (middle, 24), size, 0, 0, 360, mark, -1)
    depth, half = int(rng.uniform(4, 14)), int(rng.uniform(6, 11))
    neckline = np.array([[middle - half, 0], [middle + half, 0], [middle, depth]])
    cv2.fillConvexPoly(texture, neckline, skin.tolist())
    if rng.random() < 0.25:  # a hood or a backpack on the back, which is at both ends
        dark = (np.array(mark) * 0.6).astype(np.uint8)
        rows = slice(2, int(rng.choice([16, 48])))
        texture[rows, :20], texture[rows, -20:] = dark, dark
    belt = round(height * rng.uniform(0.82, 1.0))
    texture[belt:] = np.tile(trousers[: height - belt], (1, width // trousers.shape[1], 1))
    return texture


def _head(rng: np.random.Generator, skin: np.ndarray, hair: np.ndarray) -> Texture:
    """Hair all around but for the face; sometimes bald, a cap, or a beard."""
    height, width = ROUND_SIZE
    texture = _plain(rng, hair, ROUND_SIZE)
    middle = width // 2
    face = _plain(rng, skin, ROUND_SIZE)
    forehead = round(height * rng.uniform(0.16, 0.3))
    half = round(width * rng.uniform(0.17, 0.24))
    texture[forehead:, middle - half : middle + half] = face[
        forehead:, middle - half : middle + half
    ]
    nape = round(height * rng.uniform(0.66, 0.9))
    texture[nape:] = face[nape:]
    style = rng.random()
    if style < 0.1:
        texture[: round(0.45 * height)] = face[: round(0.45 * height)]
    elif style < 0.25:
        cap = round(0.33 * height)
        texture[:cap] = np.clip(random_colour(rng), 0, 255).astype(np.uint8)
    elif style < 0.4:
        chin = slice(round(0.7 * height), height)
        texture[chin, middle - half : middle + half] = texture[:1, :1]
    mouth = (skin * np.array([0.75, 0.5, 0.5])).tolist()
    cv2.ellipse(texture, (middle, round(0.76 * height)), (8, 2), 0, 0, 360, mouth, -1)
    return texture
