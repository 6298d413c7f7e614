"""Wrong arguments of the public functions have a message that names them."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from vepe.errors import VepeError
from vepe.inference.arguments import as_array, number, whole_number


@pytest.mark.parametrize("value", [1, 0.5, np.float32(0.5), np.int64(3), Fraction(1, 2)])
def test_numbers_of_any_type(value) -> None:
    assert number(value, "conf") == float(value)


@pytest.mark.parametrize("value", ["0.3", None, True, 1j, [0.3], np.zeros(2), float("nan")])
def test_what_is_no_number(value) -> None:
    with pytest.raises(VepeError, match=r"^conf "):
        number(value, "conf")


@pytest.mark.parametrize("value", [1.0, "1", None, True, np.float32(2)])
def test_what_is_no_whole_number(value) -> None:
    with pytest.raises(VepeError, match=r"^stride must be a whole number"):
        whole_number(value, "stride")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (None, "The image is None, which is what cv2.imread returns"),
        ([[0, 0, 0]], "one at a time; got list"),
        ([np.zeros((4, 4, 3), np.uint8)], "got list"),
        (torch.zeros(3, 4, 4), "got torch.Tensor"),
        (b"jpeg", "got bytes"),
        (cv2.VideoCapture(), "got cv2.VideoCapture"),
        ((i for i in range(3)), "got generator"),
        (4, "got int"),
    ],
)
def test_wrong_types_are_named(image, message) -> None:
    with pytest.raises(VepeError) as caught:
        as_array(image)
    assert message in str(caught.value)


def test_pil_images_are_converted_and_turned_upright(rng) -> None:
    pixels = rng.integers(0, 255, (4, 6, 3)).astype(np.uint8)
    np.testing.assert_array_equal(as_array(Image.fromarray(pixels)), pixels)
    grey = as_array(Image.fromarray(pixels[..., 0]))
    np.testing.assert_array_equal(grey, pixels[..., :1].repeat(3, axis=2))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored rotated by 90 degrees
    stored = Image.fromarray(np.rot90(pixels).copy())
    file = BytesIO()
    stored.save(file, "PNG", exif=exif)
    np.testing.assert_array_equal(as_array(Image.open(file)), pixels)
