"""Labels, predictions and matches in one image."""

from __future__ import annotations

import numpy as np
import pytest

from vepe.skeleton import POSETRACK15
from vepe.types import NO_TRACK, FramePoses
from vepe.viz.colours import WHITE, person_colour
from vepe.viz.matches import YELLOW, Labels, caption, draw_matches

GREY = 128
LINE = np.column_stack([np.full(15, 60.0), np.linspace(40, 180, 15)]).astype(np.float32)


def shifted(x: float) -> np.ndarray:
    return LINE + np.asarray([x, 0], np.float32)


def poses(*people: np.ndarray, scores: tuple[float, ...]) -> FramePoses:
    count = len(people)
    return FramePoses(
        0,
        0.0,
        np.stack(people),
        np.full((count, 15), 0.01, np.float32),
        np.asarray(scores, np.float32),
        np.full(count, NO_TRACK),
    )


def labels(*people: np.ndarray) -> Labels:
    return Labels(np.stack(people), np.ones((len(people), 15), bool))


def drawn(pred: FramePoses, gt: Labels, pairs: list[tuple[int, int]]) -> np.ndarray:
    image = np.full((220, 320, 3), GREY, np.uint8)
    result = draw_matches(image, pred, gt, np.asarray(pairs, np.int64).reshape(-1, 2), POSETRACK15)
    assert (image == GREY).all(), "the input image is not changed"
    return result


def near(image: np.ndarray, colour: tuple[int, int, int], tolerance: int = 40) -> np.ndarray:
    """Columns in which the colour occurs."""
    close = (np.abs(image.astype(int) - colour) < tolerance).all(axis=-1)
    return np.flatnonzero(close.any(axis=0))


def test_label_is_white_and_prediction_coloured() -> None:
    image = drawn(poses(shifted(100), scores=(0.9,)), labels(LINE), [(0, 0)])
    white, colour = near(image, WHITE), near(image[60:], person_colour(0))
    assert white.min() < 62 < 63 < colour.min()
    assert 155 < colour.mean() < 165
    yellow = near(image, YELLOW)
    assert yellow.min() < 75
    assert yellow.max() > 145


@pytest.mark.parametrize(("score", "shown"), [(0.9, True), (0.1, False)])
def test_unmatched_prediction_is_faded_or_left_out(score: float, shown: bool) -> None:
    pred = poses(LINE, shifted(150), scores=(0.9, score))
    image = drawn(pred, labels(LINE), [(0, 0)])
    other = image[:, 190:230]
    assert (other != GREY).any() == shown
    assert len(near(other, (16, 18, 22), 20)) == 0, "no dark outline: it is faded"


def test_unlabelled_keypoints_are_not_drawn() -> None:
    gt = labels(shifted(150))
    hidden = Labels(gt.keypoints_px, np.zeros_like(gt.labelled))
    image = drawn(poses(LINE, scores=(0.9,)), hidden, [(0, 0)])
    assert (image[:, 180:] == GREY).all()
    assert len(near(image, YELLOW, 20)) == 0


def test_no_predictions_and_no_labels() -> None:
    nobody = FramePoses.empty(0, 0.0, 15)
    gt = Labels(np.zeros((0, 15, 2), np.float32), np.zeros((0, 15), bool))
    assert (drawn(nobody, gt, []) == GREY).all()


def test_caption_is_above_the_image() -> None:
    image = caption(np.full((20, 100, 3), GREY, np.uint8), ["loss 1.00"])
    assert image.shape == (44, 100, 3)
    assert (image[24:] == GREY).all()
    assert (image[:24] == 255).any()
