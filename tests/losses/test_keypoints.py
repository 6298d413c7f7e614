"""Score and confidence losses of single predictions."""

from __future__ import annotations

import pytest
import torch
from labels import labelled_people

from vepe.losses.keypoints import (
    CONFIDENCE_SIGMA,
    MatchedLabels,
    confidence_loss,
    score_loss,
    score_targets,
)
from vepe.losses.matcher import Matches


def test_unknown_background_has_no_gradient() -> None:
    logits = torch.zeros(1, 3, requires_grad=True)
    score_loss(logits, torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 0.2]])).backward()
    gradient = logits.grad[0]
    assert gradient[1] == 0
    assert 0 < gradient[2] < gradient[0]


def test_score_targets_grow_with_the_quality() -> None:
    index = torch.tensor([0, 0])
    matches = Matches(index, torch.tensor([2, 0]), torch.tensor([0, 1]))
    for minimum, half in ((0.3, 0.65), (0.05, 0.525)):
        targets = score_targets(torch.zeros(1, 4), matches, torch.tensor([1.0, 0.5]), minimum)
        torch.testing.assert_close(targets, torch.tensor([[half, 0.0, 1.0, 0.0]]))


def test_confidence_converges_to_the_similarity() -> None:
    """An error of a tenth of the root of the area gives 0.61, whatever the skeleton's sigmas."""
    targets = labelled_people((50, 50))
    zero = torch.tensor([0])
    labels = MatchedLabels.of(targets, Matches(zero, zero, zero))
    error = 2 * CONFIDENCE_SIGMA * targets.areas_px[0, 0].sqrt()
    points = labels.keypoints_px + torch.stack([error, torch.zeros(())])
    logits = torch.zeros(1, 5, requires_grad=True)
    optimiser = torch.optim.SGD([logits], 5.0)
    for _ in range(200):
        optimiser.zero_grad()
        confidence_loss(logits, points, labels).backward()
        optimiser.step()
    assert logits.sigmoid()[0].tolist() == pytest.approx([0.607] * 5, abs=0.01)
