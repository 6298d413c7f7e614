"""Heads of the pose decoder under autocast."""

from __future__ import annotations

import torch

from vepe.models.decoder_layer import PoseHeads


def test_scores_are_exact_in_bf16() -> None:
    """Also if the score's weights are large and nearly cancel its bias, as in older files."""
    torch.manual_seed(0)
    heads = PoseHeads(32)
    queries = torch.randn(1, 1, 1, 32) + 0.05 * torch.randn(1, 6, 4, 32)  # much alike
    with torch.no_grad():
        heads.score.weight.mul_(300)
        heads.score.bias.sub_(heads(queries)[0].mean())
        exact = heads(queries)[0]
        with torch.autocast("cpu", torch.bfloat16):
            score, delta, confidence = heads(queries)
    assert heads.score.bias.abs() > 50
    torch.testing.assert_close(score, exact, atol=1e-3, rtol=1e-4)
    assert {score.dtype, delta.dtype, confidence.dtype} == {torch.float32}
