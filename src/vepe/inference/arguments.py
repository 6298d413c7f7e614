"""Arguments of the public functions, checked: each wrong one is a `VepeError` that names it."""

from __future__ import annotations

import math
import numbers

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from vepe.errors import VepeError


def number(value: object, name: str) -> float:
    """The value as a float. Raises VepeError where it is no number, or NaN."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise VepeError(f"{name} must be a number; got {value!r} ({describe(value)}).")
    if math.isnan(value):
        raise VepeError(f"{name} is not a number (NaN).")
    return float(value)


def whole_number(value: object, name: str) -> int:
    """The value as an int. Raises VepeError where it is no whole number."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise VepeError(f"{name} must be a whole number; got {value!r} ({describe(value)}).")
    return int(value)


def as_array(image: object) -> UInt8[np.ndarray, "H W 3"]:
    """An image in memory as a checked RGB array; PIL images are converted and turned upright.

    Raises:
        VepeError: where it is neither, or an array of another shape or type.
    """
    if isinstance(image, Image.Image):
        return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    check_image(image)
    assert isinstance(image, np.ndarray)
    return image


def check_image(image: object) -> None:
    """Raises VepeError where `image` is not a uint8 array (H, W, 3)."""
    if image is None:
        raise VepeError(
            "The image is None, which is what cv2.imread returns for a file that it cannot read; "
            "check the path."
        )
    if not isinstance(image, np.ndarray):
        raise VepeError(
            "An image must be a uint8 array (H, W, 3) in RGB, a PIL image or a file, one at a "
            f"time; got {describe(image)}."
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise VepeError(
            "An image must be a uint8 array of shape (H, W, 3) in RGB; "
            f"got {image.dtype} {image.shape}."
        )


def describe(value: object) -> str:
    """A wrong argument in an error message: its type with the module's name."""
    kind = type(value)
    if kind.__module__ == "builtins":
        return kind.__name__
    return f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
