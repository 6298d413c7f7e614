"""Calibration: scores become probabilities of a correct pose, with the same ranking."""

from __future__ import annotations

import pytest
import torch

from figures.moving import figure_clips
from vepe.config.load import parse
from vepe.config.model import ModelConfig
from vepe.data.batch import collate
from vepe.losses.criterion import Criterion
from vepe.models.build import build_model
from vepe.skeleton import POSETRACK15
from vepe.training.calibration import _fit, calibrate_scores


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (2.5, -1.0), (0.4, 2.0)])
def test_known_distortion_is_recovered(scale: float, shift: float) -> None:
    generator = torch.Generator().manual_seed(0)
    true = torch.randn(100_000, generator=generator) * 2
    distorted = (true - shift) / scale
    correct = torch.bernoulli(true.sigmoid(), generator=generator)
    weights = torch.rand(100_000, generator=generator)
    fitted = _fit(distorted, correct, weights)
    assert fitted == pytest.approx((scale, shift), abs=0.05)


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_scale_and_shift_are_finite_if_no_or_all_poses_are_correct(fraction: float) -> None:
    logits = torch.linspace(-2, 2, 50)
    scale, shift = _fit(logits, torch.full((50,), fraction), torch.ones(50))
    assert 0.05 < scale < 20
    assert (logits * scale + shift).sigmoid().mean() == pytest.approx(fraction, abs=0.05)


def test_scores_are_probabilities_and_keep_their_order() -> None:
    torch.manual_seed(0)
    data = {"backbone": "mobilenetv2_035", "dim": 32, "hidden": 32, "queries": 8}
    model = build_model(parse(ModelConfig, data, "tiny")).eval()
    head = model.pose_decoder.layers[-1].heads.score
    torch.nn.init.normal_(head.weight, std=0.3)
    trained = head.weight.clone(), head.bias.clone()
    clips = figure_clips(4, seed=1, size_wh=(96, 96))
    batches = [collate([clips[0], clips[1]]), collate([clips[2], clips[3]])]
    pixels = batches[0].pixels(torch.device("cpu"))[:1].unsqueeze(1)
    times = torch.zeros(1, 1, dtype=torch.float64)
    with torch.no_grad():
        before = model(pixels, times)[0].score_logits
        calibration = calibrate_scores(model, Criterion(torch.tensor(POSETRACK15.sigmas)), batches)
        after = model(pixels, times)[0].score_logits
    assert calibration.samples == 2 * 2 * 2 * 8
    assert torch.equal(before.argsort(), after.argsort())
    torch.testing.assert_close(
        after, before * calibration.scale + calibration.shift, atol=1e-4, rtol=1e-4
    )
    assert torch.equal(head.weight, trained[0]), "what the next run trains has not grown"
    assert torch.equal(head.bias, trained[1])
    # At most two of eight predictions are correct.
    assert after.sigmoid().mean() < 0.3
