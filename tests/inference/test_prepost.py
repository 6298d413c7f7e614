"""Images to inputs (sizes, padding, coordinates and back) and outputs to people."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vepe.errors import VepeError
from vepe.inference.network import NetworkPoses
from vepe.inference.prepost import FILL, Letterbox, frame_poses, letterbox
from vepe.types import NO_TRACK


@pytest.mark.parametrize(
    ("source", "resized", "padded"),
    [
        ((1920, 1080), (384, 216), (384, 224)),
        ((1080, 1920), (216, 384), (224, 384)),
        ((384, 384), (384, 384), (384, 384)),
        ((480, 270), (384, 216), (384, 224)),
        ((100, 50), (200, 100), (224, 128)),  # enlarged by 2 at most
        ((33, 31), (66, 62), (96, 64)),
        ((1, 1), (32, 32), (32, 32)),  # slivers keep a cell of the coarsest map
        ((4000, 3), (384, 32), (384, 32)),
    ],
)
def test_sizes(source, resized, padded) -> None:
    fit = Letterbox.of(source, 384, 32)
    assert (fit.resized_wh, fit.input_wh) == (resized, padded)


@settings(max_examples=200, deadline=None)
@given(
    width=st.integers(1, 5000),
    height=st.integers(1, 5000),
    input_px=st.integers(32, 1500),
    stride=st.sampled_from([32, 64]),
)
def test_any_size_fits_and_inverts(width: int, height: int, input_px: int, stride: int) -> None:
    fit = Letterbox.of((width, height), input_px, stride)
    assert all(side % stride == 0 for side in fit.input_wh)
    assert all(0 <= p - r < stride for p, r in zip(fit.input_wh, fit.resized_wh, strict=True))
    assert max(fit.resized_wh) <= max(input_px, stride)
    corners = np.array([[0, 0], [width, height], [width / 3, height / 7], [-5, 2 * height]])
    np.testing.assert_allclose(fit.to_source(fit.to_input(corners)), corners, atol=1e-6)
    # The outer corners of the image are the outer corners of its area in the input.
    np.testing.assert_allclose(fit.to_input(corners[:2]), [[0, 0], fit.resized_wh])


@pytest.mark.parametrize(("width", "height"), [(640, 360), (150, 90), (61, 47)])
def test_pixels_and_coordinates_agree(width: int, height: int) -> None:
    """A soft spot, located by its centre of mass in the input."""
    spot = np.array([0.62 * width, 0.31 * height])
    y, x = np.mgrid[:height, :width] + 0.5
    spread = 0.06 * width
    image = 255 * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / (2 * spread**2))
    padded, fit = letterbox(image.astype(np.uint8)[..., None].repeat(3, 2), 96, 32)
    light = padded[..., 0].astype(float)
    light[fit.resized_wh[1] :], light[:, fit.resized_wh[0] :] = 0, 0
    v, u = np.mgrid[: light.shape[0], : light.shape[1]] + 0.5
    centre = np.array([(u * light).sum(), (v * light).sum()]) / light.sum()
    np.testing.assert_allclose(centre, fit.to_input(spot), atol=0.15)


def test_padding_and_values() -> None:
    image = np.full((50, 100, 3), (255, 128, 0), np.uint8)
    padded, fit = letterbox(image, 100, 32)
    assert (padded.shape, fit.resized_wh) == ((64, 128, 3), (100, 50))
    assert (padded[:50, :100] == (255, 128, 0)).all()
    assert (padded[50:] == FILL).all()
    assert (padded[:, 100:] == FILL).all()


def test_no_padding_where_the_image_fits() -> None:
    padded, fit = letterbox(np.zeros((96, 128, 3), np.uint8), 128, 32)
    assert padded.shape == (96, 128, 3)
    assert fit.resized_wh == fit.input_wh == (128, 96)


@pytest.mark.parametrize(("width", "height"), [(640, 360), (100, 400), (33, 33)])
def test_inputs_of_a_fixed_size(width: int, height: int) -> None:
    """The whole image lies in the input, with its sides in proportion."""
    padded, fit = letterbox(np.zeros((height, width, 3), np.uint8), 0, 32, (128, 96))
    assert padded.shape == (96, 128, 3)
    assert fit.resized_wh[0] <= 128
    assert fit.resized_wh[1] <= 96
    assert fit.resized_wh[0] / fit.resized_wh[1] == pytest.approx(width / height, rel=0.05)


def test_shrinking_averages_and_growing_interpolates(rng) -> None:
    image = rng.integers(0, 255, (128, 256, 3)).astype(np.uint8)
    shrunk, _ = letterbox(image, 128, 32)
    area = cv2.resize(image, (128, 64), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(shrunk, area)
    grown, _ = letterbox(image[:64, :64], 128, 32)
    linear = cv2.resize(image[:64, :64], (128, 128), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(grown, linear)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4, 3)),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_wrong_arrays(image) -> None:
    with pytest.raises(VepeError, match="An image must be a uint8 array of shape"):
        letterbox(image, 64, 32)


FIT = Letterbox.of((200, 100), 100, 32)
SCORES = [0.2, 0.9, 0.5, 0.7]


@pytest.fixture
def output(rng) -> NetworkPoses:
    points = rng.random((1, 4, 15, 2), np.float32) * 50
    points[0, 3] = points[0, 1]  # two people at one position: both stay
    return NetworkPoses(
        np.array([SCORES], np.float32),
        points,
        np.full((1, 4, 15), 0.5, np.float32),
        rng.random((1, 4, 8), np.float32),
    )


@pytest.mark.parametrize(
    ("conf", "max_people", "expected"),
    [
        (0.0, None, [1, 3, 2, 0]),
        (0.3, None, [1, 3, 2]),
        (0.3, 2, [1, 3]),
        (0.95, None, []),
    ],
)
def test_people_are_sorted_and_thresholded(output, conf, max_people, expected) -> None:
    poses = frame_poses(
        output, FIT, frame_index=7, time_s=0.25, conf=conf, max_people=max_people, embeddings=True
    )
    assert (poses.frame_index, poses.time_s) == (7, 0.25)
    np.testing.assert_allclose(poses.scores, np.array(SCORES)[expected], atol=1e-6)
    points = output.keypoints_px[0][expected] * 2
    np.testing.assert_allclose(poses.keypoints_px, points, rtol=1e-6)
    np.testing.assert_allclose(poses.keypoint_scores, 0.5)
    assert poses.keypoints_px.shape == (len(expected), 15, 2)
    assert (poses.track_ids == NO_TRACK).all()
    assert poses.embeddings is not None
    np.testing.assert_allclose(poses.embeddings, output.identities[0][expected])
    assert poses.keypoints_px.dtype == np.float32


def test_untrained_embeddings_are_not_passed_on(output) -> None:
    poses = frame_poses(output, FIT, frame_index=0, time_s=0.0, conf=0.0, embeddings=False)
    assert poses.embeddings is None
