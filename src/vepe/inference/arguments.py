"""Arguments of the public functions, checked: each wrong one is a `VepeError` that names it."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from vepe.errors import VepeError

Rgb = UInt8[np.ndarray, "H W 3"]


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


def as_array(image: object) -> Rgb:
    """An image in memory as a checked RGB array.

    PIL images are converted and turned upright. Arrays (H, W, 3) of uint8 pass as they are; grey
    ones, (H, W) or (H, W, 1), are repeated, and of (H, W, 4) the transparency is dropped. Torch
    tensors are (C, H, W) as in torchvision: uint8, or floats in 0..1. The order of the channels
    cannot be seen: images that OpenCV read are BGR, and must be converted by the caller.

    Raises:
        VepeError: where it is none of these; says what to do.
    """
    if isinstance(image, Image.Image):
        return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    if is_tensor(image):
        return _from_tensor(image)
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and 0 not in image.shape:
        if image.ndim == 2:
            image = image[:, :, None]
        if image.ndim == 3 and not _channels_first(image.shape):
            if image.shape[2] == 1:
                image = np.repeat(image, 3, axis=2)
            elif image.shape[2] == 4:
                image = image[:, :, :3]
    check_image(image)
    assert isinstance(image, np.ndarray)
    # OpenCV takes no view with negative strides, such as `image[..., ::-1]`.
    return np.ascontiguousarray(image) if min(image.strides) < 0 else image


def is_tensor(value: object) -> bool:
    """Whether it is a tensor of torch; torch is not imported for that."""
    return type(value).__module__.startswith("torch") and hasattr(value, "detach")


def _from_tensor(tensor: Any) -> Rgb:
    """As `as_array`, of a tensor (C, H, W)."""
    kind = str(tensor.dtype).removeprefix("torch.")
    shape = tuple(tensor.shape)
    if len(shape) != 3 or shape[0] not in (1, 3, 4) or 0 in shape:
        hint = "; use permute(2, 0, 1)" if len(shape) == 3 and shape[2] in (1, 3, 4) else ""
        raise VepeError(f"A tensor must be an RGB image (C, H, W); got {kind} {shape}{hint}.")
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point():
        low, high = float(tensor.min()), float(tensor.max())
        if not (low >= 0 and high <= 1):
            raise VepeError(
                "A tensor of floats must hold RGB values in 0..1, without normalisation; got "
                f"{low:.3g} to {high:.3g}. Undo a normalisation by mean and deviation, divide "
                "values of 0..255 by 255, or give uint8."
            )
        pixels = np.rint(tensor.float().numpy() * 255).astype(np.uint8)
    elif kind == "uint8":
        pixels = tensor.numpy()
    else:
        raise VepeError(f"A tensor must be uint8, or floats in 0..1; got {kind} {shape}.")
    return np.ascontiguousarray(as_array(pixels.transpose(1, 2, 0)))


def check_image(image: object) -> None:
    """Raises VepeError where `image` is not a uint8 array (H, W, 3); says what to do."""
    if image is None:
        raise VepeError(
            "The image is None, which is what cv2.imread returns for a file that it cannot read; "
            "check the path."
        )
    if not isinstance(image, np.ndarray):
        raise VepeError(
            "An image must be a uint8 array (H, W, 3) in RGB, a PIL image, a tensor or a file, "
            f"one at a time; got {describe(image)}."
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise VepeError(
            "An image must be a uint8 array of shape (H, W, 3) in RGB; "
            f"got {image.dtype} {image.shape}{_advice(image)}."
        )


def _advice(image: np.ndarray) -> str:
    """How to turn an array into an image, where that can be seen; begins with a semicolon."""
    if image.size == 0:
        return ", which is empty"
    if image.dtype.kind == "f":
        if image.min() >= 0 and image.max() <= 1:
            return "; for values in 0..1 use (image * 255).round().astype('uint8')"
        return "; for values in 0..255 use image.round().astype('uint8')"
    if image.dtype == np.uint16:
        return "; for 16 bits use (image // 256).astype('uint8')"
    if image.dtype.kind in "iub" and image.dtype != np.uint8:
        return "; use image.astype('uint8') if its values are 0..255"
    if image.ndim == 3 and _channels_first(image.shape):
        return "; use image.transpose(1, 2, 0)"
    if image.ndim == 4:
        return "; give one image at a time"
    return ""


def _channels_first(shape: tuple[int, ...]) -> bool:
    return shape[0] in (1, 3, 4) and shape[2] not in (1, 3, 4)


def describe(value: object) -> str:
    """A wrong argument in an error message: its type with the module's name."""
    kind = type(value)
    if kind.__module__ == "builtins":
        return kind.__name__
    return f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
