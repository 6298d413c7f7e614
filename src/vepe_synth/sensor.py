"""Camera sensor effects: colour, blur, resolution, noise, JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8


@dataclass(frozen=True)
class Sensor:
    """Sensor parameters, constant over a clip.

    Attributes:
        balance: white balance, factors of red, green and blue.
        gamma: exponent of the tone curve; 1 is neutral.
        saturation: 0 is grey, 1 is neutral.
        blur_px: standard deviation of the lens blur.
        shrink: scale at which the image is downsampled and upsampled again.
        noise: standard deviation of the noise, in grey levels of 255.
        jpeg_quality: 1..100.
    """

    balance: tuple[float, float, float]
    gamma: float
    saturation: float
    blur_px: float
    shrink: float
    noise: float
    jpeg_quality: int


def random_sensor(rng: np.random.Generator) -> Sensor:
    """Random parameters, from a good camera to a poor one."""
    red, green, blue = (float(v) for v in np.exp(rng.normal(0, 0.06, 3)))
    return Sensor(
        balance=(red, green, blue),
        gamma=float(np.exp(rng.normal(0, 0.15))),
        saturation=float(np.clip(rng.normal(0.95, 0.2), 0, 1.4)) if rng.random() < 0.95 else 0.0,
        blur_px=float(rng.uniform(0.3, 1.2)) if rng.random() < 0.4 else 0.0,
        shrink=float(rng.uniform(0.4, 0.9)) if rng.random() < 0.25 else 1.0,
        noise=float(rng.exponential(3.0)) if rng.random() < 0.7 else 0.0,
        jpeg_quality=int(rng.integers(55, 96)),
    )


def expose(
    sensor: Sensor, image: UInt8[np.ndarray, "H W 3"], rng: np.random.Generator
) -> UInt8[np.ndarray, "H W 3"]:
    """Applies all effects except JPEG; `rng` draws the noise."""
    height, width = image.shape[:2]
    if sensor.shrink < 1:
        small = cv2.resize(
            image, None, fx=sensor.shrink, fy=sensor.shrink, interpolation=cv2.INTER_AREA
        )
        image = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    if sensor.blur_px > 0:
        image = cv2.GaussianBlur(image, (0, 0), sensor.blur_px)
    image = cv2.LUT(image, _curves(sensor))
    if sensor.saturation != 1:
        image = cv2.transform(image, _saturation(sensor.saturation))
    if sensor.noise > 0:
        image = _noisy(image, sensor.noise, rng)
    return image


def _curves(sensor: Sensor) -> UInt8[np.ndarray, "1 256 3"]:
    tone = (np.arange(256) / 255.0) ** sensor.gamma
    return np.clip(tone[None, :, None] * np.array(sensor.balance) * 255, 0, 255).astype(np.uint8)


def _saturation(amount: float) -> Float[np.ndarray, "3 3"]:
    grey = np.array([0.299, 0.587, 0.114])
    return np.eye(3) * amount + (1 - amount) * grey[None]


def _noisy(
    image: UInt8[np.ndarray, "H W 3"], strength: float, rng: np.random.Generator
) -> UInt8[np.ndarray, "H W 3"]:
    """Adds Gaussian noise; repeating a 128 x 128 tile is much faster than new noise everywhere."""
    height, width = image.shape[:2]
    tile = rng.standard_normal((128, 128, 3), dtype=np.float32) * strength
    grain = np.rint(np.tile(tile, (-(-height // 128), -(-width // 128), 1))[:height, :width])
    return cv2.add(image, grain.astype(np.int16), dtype=cv2.CV_8U)
