"""Placements: affine maps from a picture to a canvas, and how the camera moves in time.

One draw serves all frames of a clip. The maps are composed, so that every pixel is resampled once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Motion:
    """A smooth path of the camera: shift, turn and zoom as sums of slow waves.

    Attributes:
        shift_px: (2,) amplitude of the drift across the clip.
        turn_rad, zoom: amplitudes of rotation and of log scale.
        phase: where on the wave the clip starts.
        speed: radians of the wave a second.
    """

    shift_px: Float[np.ndarray, "2"]
    turn_rad: float
    zoom: float
    phase: float
    speed: float

    def at(self, time_s: float, centre: Float[np.ndarray, "2"]) -> Float[np.ndarray, "3 3"]:
        """The motion since time 0, around `centre`."""
        wave = np.sin(self.phase + self.speed * time_s) - np.sin(self.phase)
        angle, scale = self.turn_rad * wave, float(np.exp(self.zoom * wave))
        cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
        linear = np.array([[cos, -sin], [sin, cos]])
        result = np.eye(3)
        result[:2, :2] = linear
        result[:2, 2] = centre - linear @ centre + self.shift_px * wave
        return result


def draw_motion(rng: np.random.Generator, side_px: float, strength: float) -> Motion:
    """A random motion; `strength` 0 keeps still, 1 drifts by some 8 % of `side_px` (one sigma)."""
    return Motion(
        shift_px=rng.normal(0, 0.08 * side_px * strength, 2),
        turn_rad=float(rng.normal(0, 0.1 * strength)),
        zoom=float(rng.normal(0, 0.1 * strength)),
        phase=float(rng.uniform(0, 2 * np.pi)),
        speed=float(rng.uniform(1.0, 8.0)),
    )


def draw_placement(
    rng: np.random.Generator,
    boxes_px: Float[np.ndarray, "N 4"],
    source_wh: tuple[int, int],
    canvas_wh: tuple[int, int],
    *,
    stretched: bool = False,
    sizes: tuple[float, float] = (0.3, 1.1),
    turn_rad: float = 0.2,
    aspect: float = 0.08,
    flip: float = 0.0,
) -> Float[np.ndarray, "3 3"]:
    """A random map from a picture to a canvas: mirror, scale, turn, aspect and shift.

    The scale gives one of the people (or the picture, where nobody is in it) a longer side drawn
    log-uniformly from `sizes`, in units of the canvas's shorter side, and puts it onto the canvas.

    Args:
        rng: of everything.
        boxes_px: people in the picture.
        source_wh, canvas_wh: sizes in pixels.
        stretched: the picture was squeezed to a square, so that its aspect is unknown.
        sizes: see above.
        turn_rad: one sigma of the rotation; two of five pictures hardly turn.
        aspect: one sigma of the log of width over height.
        flip: chance of a mirror (a matrix with a negative determinant).
    """
    room, picture = np.array(canvas_wh, np.float64), np.array(source_wh, np.float64)
    box = np.concatenate([np.zeros(2), picture])
    if len(boxes_px):
        box = boxes_px[rng.integers(len(boxes_px))].astype(np.float64)
    centre, extent = (box[:2] + box[2:]) / 2, max(*(box[2:] - box[:2]), 8.0)
    low, high = sizes if len(boxes_px) else (1.0, 2.0)
    scale = min(canvas_wh) * np.exp(rng.uniform(np.log(low), np.log(high))) / extent
    # The picture should not leave most of the canvas empty; and blowing it up shows nothing new.
    fits = np.log(room / picture)
    scale = min(max(scale, 0.9 * np.exp(rng.uniform(fits.min(), fits.max()))), 2.5)
    squeeze = rng.uniform(np.log(0.75), np.log(1.6)) if stretched else rng.normal(0, aspect)
    stretch = np.exp(np.array([0.5, -0.5]) * squeeze)
    angle = rng.normal(0, turn_rad if rng.random() < 0.6 else 0.15 * turn_rad)
    cos, sin = np.cos(angle), np.sin(angle)
    linear = scale * np.array([[cos, -sin], [sin, cos]]) @ np.diag(stretch)
    if rng.random() < flip:
        linear = linear @ np.diag([-1.0, 1.0])
    half = 0.5 * extent * scale
    target = np.array([_between(rng, half, float(side)) for side in room])
    # Slide the picture so that it covers as much of the canvas as it can.
    middle = target + linear @ (picture / 2 - centre)
    slack = np.abs(picture * stretch * scale - room) / 2
    slid = np.maximum(np.minimum(middle, room / 2 + slack), room / 2 - slack)
    result = np.eye(3)
    result[:2, :2] = linear
    result[:2, 2] = target - linear @ centre + slid - middle
    return result


def _between(rng: np.random.Generator, half: float, length: float) -> float:
    """A centre of an object of size 2 x `half` on a side of `length`.

    Of a small object 70 % or more stays in view. A large one is looked at through a window that
    may lie anywhere on it, because half of the people of real pictures are cut by the border.
    """
    low = min(0.4 * half, length - 0.8 * half)
    return float(rng.uniform(low, length - low))
