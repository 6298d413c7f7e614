"""Colour, blur and noise, drawn once per clip so that it looks like one camera's.

Only motion blur may be in single frames, as when the camera is pushed. OpenCV does the arithmetic
inside a v2 transform: on one core (AMD EPYC, 3 frames of 288 px) one 3x4 colour matrix takes
0.1 ms, torchvision's `adjust_brightness`, `_contrast` and `_saturation` together 3.7 ms; a blur of
5 px takes 1.2 against 7.0 ms.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torchvision.transforms import v2
from torchvision.tv_tensors import Video

from vepe.config.augmentation import AugmentationConfig
from vepe.data.transforms.occlusion import draw_frames
from vepe.data.transforms.tv_tensors import array_of


class Colours(v2.Transform):
    """A colour matrix per frame, then blur, then noise.

    Args:
        matrices: (T, 3, 4) from (R, G, B, 1) to RGB, in 0..255.
        kernel: blur kernel, or None.
        blurred: (T,) which frames are blurred.
        noise: sigma of the noise in grey levels, 0 for none.
        seed: of the noise.
    """

    _transformed_types = (Video,)

    def __init__(
        self,
        matrices: Float[np.ndarray, "T 3 4"],
        kernel: Float[np.ndarray, "S S"] | None,
        blurred: Bool[np.ndarray, "T"],
        noise: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.matrices, self.kernel, self.noise, self.seed = matrices, kernel, noise, seed
        self.blurred = blurred

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """The images, changed (called by torchvision)."""
        images: UInt8[np.ndarray, "T H W 3"] = array_of(inpt).transpose(0, 2, 3, 1)
        result = np.empty(images.shape, np.uint8)
        rng = np.random.default_rng(self.seed)
        frames = zip(images, self.matrices, self.blurred, result, strict=True)
        for image, matrix, blurred, changed in frames:
            cv2.transform(np.ascontiguousarray(image), matrix, dst=changed)
            if self.kernel is not None and blurred:
                cv2.filter2D(changed, -1, self.kernel, dst=changed)
            if self.noise:
                grain = self.noise * rng.standard_normal(changed.shape, np.float32)
                cv2.add(changed, np.rint(grain).astype(np.int16), dst=changed, dtype=cv2.CV_8U)
        return Video(torch.from_numpy(result).permute(0, 3, 1, 2))  # (T, 3, H, W)


def draw_colours(rng: np.random.Generator, frames: int, settings: AugmentationConfig) -> Colours:
    """Random brightness, contrast, saturation and tint; sometimes grey, blurred or noisy.

    In half of the blurred clips only some frames are blurred.
    """
    s = settings.colour
    contrast, brightness = 1 + s * rng.uniform(-0.3, 0.35), s * rng.uniform(-30, 30)
    saturation = 0.0 if rng.random() < settings.grey else 1 + s * rng.uniform(-0.4, 0.4)
    tint = np.diag(1 + s * rng.uniform(-0.08, 0.08, 3))
    mix = saturation * np.eye(3) + (1 - saturation) * np.full((3, 3), 1 / 3)
    flicker = np.exp(rng.normal(0, settings.flicker, frames)) if frames > 1 else np.ones(1)
    matrices = np.empty((frames, 3, 4), np.float32)
    matrices[:, :, :3] = contrast * tint @ mix
    matrices[:, :, 3] = 127.5 * (1 - contrast) + brightness
    matrices *= flicker[:, None, None]
    return Colours(
        matrices,
        kernel=_motion_blur(rng) if rng.random() < settings.blur else None,
        blurred=draw_frames(rng, frames),
        noise=float(rng.uniform(2, 12)) if rng.random() < settings.noise else 0.0,
        seed=int(rng.integers(2**31)),
    )


def _motion_blur(rng: np.random.Generator) -> Float[np.ndarray, "S S"]:
    """Kernel of a motion blur in a random direction, 3 to 7 pixels long."""
    size = int(rng.integers(1, 4)) * 2 + 1
    kernel = np.zeros((size, size), np.float32)
    middle, angle = size // 2, rng.uniform(0, np.pi)
    half = np.array([np.cos(angle), np.sin(angle)]) * middle
    start, end = np.rint(middle - half).astype(int), np.rint(middle + half).astype(int)
    cv2.line(kernel, tuple(map(int, start)), tuple(map(int, end)), 1.0)
    return kernel / kernel.sum()
