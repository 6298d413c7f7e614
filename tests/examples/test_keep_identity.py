"""The identity head of further trained weights can be fitted to the embeddings of the old ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from vepe.models.decoder_layer import PoseOutput
from vepe.models.instance_consistency import IdentityHead

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
from keep_identity import People, fit, same_people


def poses(corners: list[float], scores: list[float]) -> PoseOutput:
    """People of 40 px at these corners."""
    shape = torch.tensor([[0.0, 0.0], [40.0, 40.0], [20.0, 30.0]])
    keypoints = torch.stack([shape + corner for corner in corners])[None]
    logits = torch.tensor([scores]).logit()
    identity = F.normalize(torch.ones(1, len(corners), 4), dim=-1)
    return PoseOutput(logits, keypoints, torch.zeros(keypoints.shape[:3]), identity)


@pytest.mark.parametrize(
    ("corners", "scores", "pairs"),
    [
        ([101.0, 1.0], [0.9, 0.9], [(0, 1), (1, 0)]),
        ([1.0, 130.0], [0.9, 0.9], [(0, 0)]),  # the second one moved too far
        ([1.0, 101.0], [0.9, 0.1], [(0, 0)]),  # the second one is no person of the new model
    ],
)
def test_people_of_both_models(
    corners: list[float], scores: list[float], pairs: list[tuple[int, int]]
) -> None:
    assert same_people(poses([0.0, 100.0], [0.8, 0.8]), poses(corners, scores)) == pairs


def test_the_head_learns_the_old_embeddings() -> None:
    torch.manual_seed(0)
    old, new = IdentityHead(16, 8), IdentityHead(16, 8)
    queries, turn = torch.randn(400, 16), torch.linalg.qr(torch.randn(16, 16))[0]
    with torch.no_grad():
        people = People(queries @ turn, None, old(queries))
    before, after = fit(new, people)
    assert before < 0.5
    assert after > 0.85
