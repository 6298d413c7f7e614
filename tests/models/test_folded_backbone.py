"""The folded backbone gives the outputs and the gradients of the backbone itself."""

from __future__ import annotations

import pytest
import torch
from test_backbone import randomise_norms
from torch import Tensor

from vepe.models.backbone import Backbone
from vepe.models.folded_backbone import FoldedBackbone


def gradients(backbone: Backbone) -> dict[str, Tensor]:
    found = {n: p.grad.clone() for n, p in backbone.named_parameters() if p.grad is not None}
    backbone.zero_grad()
    return found


@pytest.mark.parametrize("size", [(64, 96), (70, 50)])
@pytest.mark.parametrize("name", ["mobilenetv2_035", "mobilenetv2_pose_100", "resnet18"])
def test_outputs_and_gradients_are_those_of_the_backbone(name: str, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    backbone = Backbone(name, (8, 16, 32)).double()
    randomise_norms(backbone).double()
    folded = FoldedBackbone(backbone)
    assert (len(folded.folded) > 40) == name.startswith("mobilenet")
    images = torch.rand(2, 3, *size, dtype=torch.double)
    results = []
    for run in (backbone, folded):
        maps = run(images)
        sum((level.square().mean() for level in maps), torch.zeros(())).backward()
        results.append((maps, gradients(backbone)))
    (maps, expected), (folded_maps, found) = results
    for a, b in zip(maps, folded_maps, strict=True):
        torch.testing.assert_close(a, b)
    assert found.keys() == expected.keys()
    for parameter, gradient in expected.items():
        torch.testing.assert_close(found[parameter], gradient, msg=parameter)


def test_it_follows_the_backbones_weights_and_adds_none() -> None:
    torch.manual_seed(0)
    backbone = Backbone("mobilenetv2_035", (8, 16, 32)).eval().double()
    folded, names = FoldedBackbone(backbone), set(backbone.state_dict())
    images = torch.rand(1, 3, 64, 64, dtype=torch.double)
    before = folded(images)[0]
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.mul_(1.1)
    after = folded(images)[0]
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, backbone(images)[0])
    assert set(backbone.state_dict()) == names
