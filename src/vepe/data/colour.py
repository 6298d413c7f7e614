"""Colour, blur and noise: one draw a clip, so that a clip looks like one camera's."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import UInt8


def change_colours(
    images: UInt8[np.ndarray, "T H W 3"], rng: np.random.Generator
) -> UInt8[np.ndarray, "T H W 3"]:
    """Brightness, contrast, saturation and tint by one matrix; now and then grey or blurred."""
    contrast, brightness = rng.uniform(0.7, 1.35), rng.uniform(-30, 30)
    saturation = 0.0 if rng.random() < 0.05 else rng.uniform(0.6, 1.4)
    grey = np.full((3, 3), 1 / 3)
    tint = np.diag(rng.uniform(0.92, 1.08, 3))
    matrix = contrast * tint @ (saturation * np.eye(3) + (1 - saturation) * grey)
    offset = 127.5 * (1 - contrast) + brightness
    full = np.concatenate([matrix, np.full((3, 1), offset)], axis=1).astype(np.float32)
    kernel = _blur_kernel(rng) if rng.random() < 0.2 else None
    noise = rng.uniform(2, 12) if rng.random() < 0.15 else 0.0
    result = np.empty_like(images)
    for t, image in enumerate(images):
        changed = cv2.transform(image, full)
        if kernel is not None:
            changed = cv2.filter2D(changed, -1, kernel)
        if noise:
            grain = np.zeros(changed.shape, np.int16)
            cv2.randn(grain, 0, noise)
            changed = cv2.add(changed, grain, dtype=cv2.CV_8U)
        result[t] = changed
    return result


def _blur_kernel(rng: np.random.Generator) -> np.ndarray:
    """Motion blur in a random direction, of 3 to 7 pixels."""
    size = int(rng.integers(1, 4)) * 2 + 1
    kernel = np.zeros((size, size), np.float32)
    middle, angle = size // 2, rng.uniform(0, np.pi)
    reach = np.array([np.cos(angle), np.sin(angle)]) * middle
    start, end = np.rint(middle - reach).astype(int), np.rint(middle + reach).astype(int)
    cv2.line(kernel, tuple(map(int, start)), tuple(map(int, end)), 1.0)
    return kernel / kernel.sum()
