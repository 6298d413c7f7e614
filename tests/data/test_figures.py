"""The figures that other tests rely on: labels match the image, and clips are reproducible."""

from __future__ import annotations

import numpy as np
import pytest

from figures.moving import figure_clip
from vepe.data.clip import HIDDEN, VISIBLE
from vepe.skeleton import COCO17, CROWDPOSE14, POSETRACK15, Skeleton


@pytest.mark.parametrize("skeleton", [POSETRACK15, COCO17, CROWDPOSE14], ids=lambda s: s.name)
def test_labels_are_inside_the_image_and_the_boxes(skeleton: Skeleton) -> None:
    hidden = 0
    for seed in range(20):
        clip = figure_clip(seed, frames=4, size_wh=(96, 64), people=(1, 4), skeleton=skeleton)
        for people in clip.people:
            points, boxes = people.keypoints_px, people.boxes_xyxy_px[:, None]
            assert ((points >= boxes[..., :2]) & (points <= boxes[..., 2:])).all()
            assert (boxes >= 0).all()
            assert (boxes[..., 2:] <= (96, 64)).all()
            hidden += int((people.visibility == HIDDEN).sum())
            assert (people.visibility[-1] == VISIBLE).all()  # the last figure is in front
    assert hidden > 50


def test_figures_move_and_are_reproducible() -> None:
    first, second = (figure_clip(3, frames=8, people=(2, 2)) for _ in range(2))
    assert np.array_equal(first.images, second.images)
    path = np.array([p.keypoints_px for p in first.people])  # (T, N, K, 2)
    assert (np.abs(path[-1] - path[0]).max(axis=(1, 2)) > 3).all()
    assert np.abs(np.diff(path, axis=0)).max() < 8
    assert [p.track_ids.tolist() for p in first.people] == [[0, 1]] * 8
