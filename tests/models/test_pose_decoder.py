"""The calibration of STPD's scores: apart from the trained weights, and in its state."""

from __future__ import annotations

import pytest
import torch

from vepe.models.decoder_layer import LayerOutput
from vepe.models.pose_decoder import PoseDecoder


@pytest.fixture
def decoder() -> PoseDecoder:
    torch.manual_seed(0)
    return PoseDecoder(dim=16, heads=2, points=2, hidden=16, layers=1, levels=2)


def test_calibrations_follow_each_other(decoder: PoseDecoder) -> None:
    trained = {name: p.clone() for name, p in decoder.named_parameters()}
    logits = torch.tensor([[-4.0, 0.0, 2.0]])
    poses = LayerOutput(logits, torch.zeros(1, 3, 15, 2), torch.zeros(1, 3, 15))
    assert torch.equal(decoder.calibrated(poses).score_logits, logits)
    decoder.calibrate(2.0, -1.0)
    decoder.calibrate(0.5, 3.0)
    torch.testing.assert_close(decoder.calibrated(poses).score_logits, 0.5 * (2 * logits - 1) + 3)
    assert all(torch.equal(p, trained[name]) for name, p in decoder.named_parameters())
