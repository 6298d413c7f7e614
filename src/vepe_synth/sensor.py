"""What a camera's electronics do to a picture: colour, blur, noise, JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8


@dataclass(frozen=True)
class Sensor:
    """One camera, the same for a whole clip.

    Attributes:
        balance: factors of red, green and blue.
        gamma: exponent of the tone curve; 1 leaves it.
        saturation: 0 grey, 1 as it is.
        blur_px: standard deviation of the lens's blur.
        shrink: the picture is taken at this share of its size and enlarged again.
        noise: standard deviation of noise, of 255, where it is dark.
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
    """From a good camera to a poor one."""
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
    sensor: Sensor, picture: UInt8[np.ndarray, "H W 3"], rng: np.random.Generator
) -> UInt8[np.ndarray, "H W 3"]:
    """The picture as the sensor gives it, before JPEG; the noise is the generator's."""
    height, width = picture.shape[:2]
    if sensor.shrink < 1:
        small = cv2.resize(
            picture, None, fx=sensor.shrink, fy=sensor.shrink, interpolation=cv2.INTER_AREA
        )
        picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    if sensor.blur_px > 0:
        picture = cv2.GaussianBlur(picture, (0, 0), sensor.blur_px)
    picture = cv2.LUT(picture, _curves(sensor))
    if sensor.saturation != 1:
        picture = cv2.transform(picture, _saturation(sensor.saturation))
    if sensor.noise > 0:
        picture = _noisy(picture, sensor.noise, rng)
    return picture


def _curves(sensor: Sensor) -> UInt8[np.ndarray, "1 256 3"]:
    tone = (np.arange(256) / 255.0) ** sensor.gamma
    return np.clip(tone[None, :, None] * np.array(sensor.balance) * 255, 0, 255).astype(np.uint8)


def _saturation(amount: float) -> Float[np.ndarray, "3 3"]:
    grey = np.array([0.299, 0.587, 0.114])
    return np.eye(3) * amount + (1 - amount) * grey[None]


def _noisy(
    picture: UInt8[np.ndarray, "H W 3"], strength: float, rng: np.random.Generator
) -> UInt8[np.ndarray, "H W 3"]:
    """Gaussian noise: a tile of it, shifted at random, is as good as new and much quicker."""
    height, width = picture.shape[:2]
    tile = rng.standard_normal((128, 128, 3), dtype=np.float32) * strength
    grain = np.rint(np.tile(tile, (-(-height // 128), -(-width // 128), 1))[:height, :width])
    return cv2.add(picture, grain.astype(np.int16), dtype=cv2.CV_8U)
