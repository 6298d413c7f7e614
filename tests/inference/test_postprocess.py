"""From the network's output to people: sorted, thresholded, in source pixels, none suppressed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vepe.inference.prepost import Letterbox, frame_poses
from vepe.models.streaming import PoseOutput
from vepe.types import NO_TRACK

FIT = Letterbox.of((200, 100), 100, 32)
SCORES = [0.2, 0.9, 0.5, 0.7]


@pytest.fixture
def output() -> PoseOutput:
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(1, 4, 15, 2, generator=generator) * 50
    points[0, 3] = points[0, 1]  # two people on one spot: both stay
    return PoseOutput(
        torch.logit(torch.tensor([SCORES])),
        points,
        torch.full((1, 4, 15), 0.0),
        torch.nn.functional.normalize(torch.rand(1, 4, 8, generator=generator), dim=-1),
        [],
    )


@pytest.mark.parametrize(
    ("conf", "max_people", "kept"),
    [
        (0.0, None, [1, 3, 2, 0]),
        (0.3, None, [1, 3, 2]),
        (0.3, 2, [1, 3]),
        (0.95, None, []),
    ],
)
def test_who_is_kept(output, conf, max_people, kept) -> None:
    poses = frame_poses(
        output, FIT, frame_index=7, time_s=0.25, conf=conf, max_people=max_people, embeddings=True
    )
    assert (poses.frame_index, poses.time_s) == (7, 0.25)
    np.testing.assert_allclose(poses.scores, np.array(SCORES)[kept], atol=1e-6)
    expected = output.keypoints_px[0].numpy()[kept] * 2
    np.testing.assert_allclose(poses.keypoints_px, expected, rtol=1e-6)
    np.testing.assert_allclose(poses.keypoint_scores, 0.5)
    assert poses.keypoints_px.shape == (len(kept), 15, 2)
    assert (poses.track_ids == NO_TRACK).all()
    assert poses.embeddings is not None
    np.testing.assert_allclose(poses.embeddings, output.identity[0].numpy()[kept])
    assert poses.keypoints_px.dtype == np.float32


def test_untrained_embeddings_are_not_passed_on(output) -> None:
    poses = frame_poses(output, FIT, frame_index=0, time_s=0.0, conf=0.0, embeddings=False)
    assert poses.embeddings is None
