"""Causal shot cut detection.

A frame begins a new shot where its thumbnail no longer correlates with the last one, its colours
differ too, and the change is larger than usual in the frames just before. Thumbnails are shifted a
little for the best alignment, and the change must be unusual, so that pans are no cuts; correlation
ignores brightness and contrast, so flashes and fades are none either.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float, UInt8

from vepe.config.tracking import ShotSettings

_ROWS, _COLUMNS = 18, 32
_SAMPLES = 4  # pixels sampled along each side of a thumbnail cell
_MAX_SHIFT_ROWS, _MAX_SHIFT_COLUMNS = 2, 4
_BINS = 4  # of each colour channel

MEMORY_S = 0.5
"""Time constant of the usual change between frames (ours)."""


@dataclass(frozen=True)
class ShotState:
    """The last frame at low resolution, and how much frames usually change.

    Attributes:
        time_s: timestamp of the last frame, None before the first.
        thumbnail: (18, 32, 3) mean colours, 0..1.
        histogram: (64,) shares of coarse colours, summing to 1.
        usual_change: running structural change between frames.
    """

    time_s: float | None
    thumbnail: Float[np.ndarray, "18 32 3"]
    histogram: Float[np.ndarray, "64"]
    usual_change: float


class ShotDetector:
    """A pure function of state, as `Tracker` is."""

    def __init__(self, settings: ShotSettings | None = None) -> None:
        self.settings = settings or ShotSettings()

    def start(self) -> ShotState:
        """The state before the first frame."""
        return ShotState(None, np.zeros((_ROWS, _COLUMNS, 3)), np.zeros(_BINS**3), usual_change=0.0)

    def step(
        self, state: ShotState, image_rgb: UInt8[np.ndarray, "H W 3"], time_s: float
    ) -> tuple[ShotState, bool]:
        """Takes the next frame.

        Returns:
            The next state, and whether a new shot begins with this frame. The first frame of a
            video is no cut. Images may have any size, also one that changes.
        """
        pixels = _sample(image_rgb)  # (72, 128, 3)
        cells = pixels.reshape(_ROWS, _SAMPLES, _COLUMNS, _SAMPLES, 3)
        thumbnail = cells.mean(axis=(1, 3))  # (18, 32, 3)
        histogram = _histogram(pixels)
        if state.time_s is None:
            return ShotState(time_s, thumbnail, histogram, 0.0), False
        settings = self.settings
        colours = colour_change(state.histogram, histogram)
        change = structure_change(state.thumbnail, thumbnail)
        if change >= settings.structure_change:
            change = least_shifted_change(state.thumbnail, thumbnail)
        cut = (
            change >= settings.structure_change
            and colours >= settings.colour_change
            and change >= settings.surprise * state.usual_change
        )
        # A cut says nothing about motion in the new shot, so the usual change stays as it was.
        rate = 0.0 if cut else -np.expm1(-max(time_s - state.time_s, 0.0) / MEMORY_S)
        usual = state.usual_change + rate * (change - state.usual_change)
        return ShotState(time_s, thumbnail, histogram, float(usual)), bool(cut)


def structure_change(
    before: Float[np.ndarray, "R C 3"], after: Float[np.ndarray, "R C 3"]
) -> float:
    """1 minus the correlation of two thumbnails: 0 same, 1 unrelated, 2 inverted."""
    a, b = before - before.mean(axis=(0, 1)), after - after.mean(axis=(0, 1))
    # Differences near one grey level (1/255) are noise: dark and flat images are no cuts.
    noise = a.size * (2 / 255) ** 2
    power = np.sqrt((np.sum(a * a) + noise) * (np.sum(b * b) + noise))
    return float(1 - (np.sum(a * b) + noise) / power)


def least_shifted_change(
    before: Float[np.ndarray, "18 32 3"], after: Float[np.ndarray, "18 32 3"]
) -> float:
    """Least structural change over shifts of up to an eighth of the image: pans are no cuts."""
    rows, columns = before.shape[:2]
    changes = []
    for down, right in product(_shifts(_MAX_SHIFT_ROWS), _shifts(_MAX_SHIFT_COLUMNS)):
        (rows_a, rows_b), (columns_a, columns_b) = _overlap(rows, down), _overlap(columns, right)
        changes.append(structure_change(before[rows_a, columns_a], after[rows_b, columns_b]))
    return min(changes)


def _shifts(most: int) -> range:
    return range(-most, most + 1)


def _overlap(size: int, shift: int) -> tuple[slice, slice]:
    """Where two rows of `size` cells overlap when the first is moved by `shift`."""
    first = slice(max(shift, 0), size + min(shift, 0))
    return first, slice(max(-shift, 0), size - max(shift, 0))


def colour_change(before: Float[np.ndarray, "64"], after: Float[np.ndarray, "64"]) -> float:
    """Half the absolute difference of two colour histograms: the share that changed, 0..1."""
    return float(0.5 * np.abs(before - after).sum())


def _sample(image_rgb: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "72 128 3"]:
    """An even grid of pixels as floats in 0..1; small images repeat theirs."""
    height, width = image_rgb.shape[:2]
    rows = ((np.arange(_ROWS * _SAMPLES) + 0.5) * height / (_ROWS * _SAMPLES)).astype(int)
    columns = ((np.arange(_COLUMNS * _SAMPLES) + 0.5) * width / (_COLUMNS * _SAMPLES)).astype(int)
    return image_rgb[rows[:, None], columns[None]].astype(np.float64) / 255.0


def _histogram(pixels: Float[np.ndarray, "72 128 3"]) -> Float[np.ndarray, "64"]:
    """Shares of the pixels in 4 x 4 x 4 colours; sums to 1."""
    levels = np.minimum((pixels * _BINS).astype(int), _BINS - 1)
    codes = (levels[..., 0] * _BINS + levels[..., 1]) * _BINS + levels[..., 2]
    return np.bincount(codes.ravel(), minlength=_BINS**3) / codes.size
