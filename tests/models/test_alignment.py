"""Optical flow carries points between frames, and its round-trip error shows where it fails."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch

from vepe.models.alignment import FrameMotion, grey_images, optical_flow
from vepe.models.memory_encoder import carry_to_key

HEIGHT, WIDTH = 96, 128


def texture(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).uniform(0, 255, (HEIGHT, WIDTH)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def shifted(image: np.ndarray, x: float, y: float) -> torch.Tensor:
    matrix = np.array([[1, 0, x], [0, 1, y]], dtype=np.float64)
    moved = cv2.warpAffine(image, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
    return torch.from_numpy(moved)[None]


POINTS = torch.tensor([[[[40.0, 40.0], [70.0, 50.0], [60.0, 30.0]]]])  # (1, 1, 3, 2)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (3.0, -2.0), (-5.5, 1.25)])
@pytest.mark.parametrize("reverse", [False, True])
def test_points_follow_a_shift(shift: tuple[float, float], reverse: bool) -> None:
    image = texture()
    frames = shifted(image, 0, 0), shifted(image, *shift)
    motion = optical_flow(*frames)
    carried, error_px = motion.carry(POINTS, reverse=reverse)
    expected = POINTS + (-1 if reverse else 1) * torch.tensor(shift)
    assert (carried - expected).abs().max() < 0.5
    assert error_px.max() < 0.5


def test_unrelated_frames_have_a_large_round_trip_error() -> None:
    motion = optical_flow(shifted(texture(0), 0, 0), shifted(texture(1), 0, 0))
    same = optical_flow(shifted(texture(0), 0, 0), shifted(texture(0), 2, 0))
    assert motion.carry(POINTS)[1].mean() > 3 * same.carry(POINTS)[1].mean()


def test_points_outside_the_image_are_carried_by_the_border() -> None:
    flow = torch.ones(1, 2, 4, 4)
    motion = FrameMotion(flow, -flow, torch.tensor([16.0, 16.0]))
    carried, error_px = motion.carry(torch.tensor([[[[-50.0, 200.0]]]]))
    torch.testing.assert_close(carried, torch.tensor([[[[-49.0, 201.0]]]]))
    assert error_px.max() < 1e-5


def test_points_are_carried_over_several_frames_in_both_directions() -> None:
    image = texture()
    frames = [shifted(image, 2.0 * t, 0) for t in range(4)]
    motions = [optical_flow(a, b) for a, b in pairwise(frames)]
    for frame, key in ((0, 3), (3, 0), (1, 1)):
        carried, _ = carry_to_key(POINTS, motions, frame, key)
        expected = POINTS + torch.tensor([2.0 * (key - frame), 0.0])
        assert (carried - expected).abs().max() < 0.8, (frame, key)


def test_frames_of_a_batch_are_aligned_on_their_own() -> None:
    image = texture()
    earlier = torch.cat([shifted(image, 0, 0), shifted(image, 4, 0)])
    later = torch.cat([shifted(image, 3, 0), shifted(image, 2, 0)])
    both = optical_flow(earlier, later)
    for row in (0, 1):
        alone = optical_flow(earlier[row : row + 1], later[row : row + 1])
        torch.testing.assert_close(both.forward[row : row + 1], alone.forward, rtol=0, atol=0)


def test_grey_images_are_luma() -> None:
    colours = torch.eye(3).view(3, 3, 1, 1).expand(3, 3, 2, 2)
    assert grey_images(colours)[:, 0, 0].tolist() == [76, 150, 29]
