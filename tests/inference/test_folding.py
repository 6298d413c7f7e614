"""Folded normalisations change nothing but the time it takes."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from tiny_models import tiny_model
from vepe.models.backbone import Backbone
from vepe.models.folding import fold_batch_norms


def lived_in(model: nn.Module) -> nn.Module:
    """The model with normalisations as if it had been trained."""
    generator = torch.Generator().manual_seed(3)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.bias):
                tensor.data = 0.3 * torch.randn(tensor.shape, generator=generator)
            for tensor in (module.running_var, module.weight):
                tensor.data = 0.5 + torch.rand(tensor.shape, generator=generator)
    return model.eval()


@pytest.mark.parametrize("name", ["mobilenetv2_035", "mobilenetv2_pose_100", "resnet18"])
@torch.inference_mode()
def test_maps_agree(name: str) -> None:
    plain = lived_in(Backbone(name, (8, 16, 32)))
    folded = deepcopy(plain)
    count = fold_batch_norms(folded)
    assert (count > 40) == name.startswith("mobilenet")
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(5))
    for a, b in zip(plain(images), folded(images), strict=True):
        assert float((a - b).abs().max()) < 1e-4 * max(1.0, float(a.abs().max()))


def test_a_model_in_training_is_left_alone() -> None:
    assert fold_batch_norms(tiny_model().train()) == 0
