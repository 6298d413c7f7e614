"""OKS against COCO's formula."""

from __future__ import annotations

import torch
from labels import SIGMAS

from vepe.losses.oks import oks


def test_oks_equals_cocos_formula() -> None:
    """pycocotools' formula, written out for one person."""
    generator = torch.Generator().manual_seed(4)
    target = torch.rand(5, 2, generator=generator) * 100
    pred = target + torch.randn(5, 2, generator=generator) * 4
    labelled = torch.tensor([True, True, False, True, False])
    area = torch.tensor(900.0)
    d2 = ((pred - target) ** 2).sum(-1)
    e = d2 / (2 * SIGMAS) ** 2 / area / 2
    expected = torch.exp(-e)[labelled].mean()
    torch.testing.assert_close(oks(pred, target, labelled, area, SIGMAS), expected)
