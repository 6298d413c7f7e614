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


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 6, 3)), "got float64 (4, 6, 3); for values in 0..1 use (image * 255)"),
        (np.full((4, 6, 3), 200.0), "for values in 0..255 use image.round().astype('uint8')"),
        (np.zeros((4, 6, 3), np.uint16), "(image // 256).astype('uint8')"),
        (np.zeros((4, 6, 3), np.int64), "image.astype('uint8') if its values are 0..255"),
        (np.zeros((4, 6, 3), bool), "image.astype('uint8')"),
        (np.zeros((3, 40, 60), np.uint8), "use image.transpose(1, 2, 0)"),
        (np.zeros((2, 4, 6, 3), np.uint8), "one image at a time"),
        (np.zeros((4, 6, 2), np.uint8), "got uint8 (4, 6, 2)"),
        (np.zeros((0, 6, 3), np.uint8), "which is empty"),
        (torch.zeros(5, 6, 3), "got float32 (5, 6, 3); use permute(2, 0, 1)"),
        (torch.zeros(2, 3, 4, 6), "must be an RGB image (C, H, W)"),
        (torch.full((3, 4, 6), 2.0), "floats must hold RGB values in 0..1"),
        (torch.full((3, 4, 6), -0.1), "got -0.1 to -0.1. Undo a normalisation"),
        (torch.full((3, 4, 6), float("nan")), "must hold RGB values in 0..1"),
        (torch.zeros(3, 4, 6, dtype=torch.int32), "uint8, or floats in 0..1; got int32"),
    ],
)
def test_wrong_arrays_and_tensors_say_what_to_do(image, message) -> None:
    with pytest.raises(VepeError) as caught:
        as_array(image)
    assert message in str(caught.value)


def test_what_can_only_be_meant_in_one_way_is_converted(rng) -> None:
    pixels = rng.integers(0, 255, (4, 6, 3)).astype(np.uint8)
    grey = pixels[..., 0]
    same = [
        (pixels, pixels),
        (pixels[:, ::-1], pixels[:, ::-1]),
        (np.dstack([pixels, grey]), pixels),  # RGBA
        (grey, np.dstack([grey] * 3)),
        (grey[..., None], np.dstack([grey] * 3)),
        (torch.from_numpy(pixels).permute(2, 0, 1), pixels),
        (torch.from_numpy(pixels).permute(2, 0, 1) / 255, pixels),
        (torch.from_numpy(pixels).permute(2, 0, 1).half() / 255, pixels),
        (torch.from_numpy(grey)[None], np.dstack([grey] * 3)),
    ]
    for image, expected in same:
        result = as_array(image)
        assert result.dtype == np.uint8
        assert min(result.strides) > 0  # as OpenCV needs it
        np.testing.assert_array_equal(result, expected)
    assert as_array(pixels) is pixels  # without a copy


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
