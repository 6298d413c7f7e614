"""Backbones: strides, channels and maps of all families that presets name; folding."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from tiny_networks import lively_model
from vepe.errors import VepeError
from vepe.models.backbone import (
    POSE_TRUNKS,
    Backbone,
    SplitResidual,
    fix_padding,
    fold_batch_norms,
    split_early_blocks,
)

STRIDES = (8, 16, 32, 64)


@pytest.mark.parametrize(
    ("name", "strides", "channels"),
    [
        ("resnet50", (8, 16, 32), (512, 1024, 2048)),
        ("hrnet_w48", (8, 16, 32), (256, 512, 1024)),
        # The small model of vepe-swin-l's family.
        ("swin_tiny_patch4_window7_224", (8, 16, 32), (192, 384, 768)),
        ("vit_small_patch14_dinov2", (14,), (384,)),
        ("mobilenetv2_pose_100", (8, 16, 32), (32, 96, 320)),
    ],
)
def test_maps_of_every_family(
    name: str, strides: tuple[int, ...], channels: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    backbone = Backbone(name, STRIDES).eval()
    assert (backbone.strides, backbone.channels) == (strides, channels)
    image = torch.rand(1, 3, 64, 128)
    with torch.inference_mode():
        maps = backbone(image)
        other = backbone(image.flip(3))
    for stride, count, level in zip(strides, channels, maps, strict=True):
        wide = -(-128 // stride)
        assert level.shape == (1, count, -(-64 // stride), wide)
        assert torch.isfinite(level).all()
    assert not torch.allclose(maps[-1], other[-1])  # the image has an effect


def test_images_are_normalised_as_the_weights_expect() -> None:
    backbone = Backbone("resnet10t", (8, 16, 32)).eval()
    received = []
    backbone.net.register_forward_pre_hook(lambda _, inputs: received.append(inputs[0]))
    white = torch.ones(1, 3, 32, 32)
    with torch.inference_mode():
        backbone(white)
    expected = [(1 - m) / s for m, s in zip(backbone.mean, backbone.std, strict=True)]
    assert received[0][0, :, 0, 0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "strides", "message"),
    [
        ("resnet_50", STRIDES, "did you mean 'resnet"),
        ("resnet10t", (64,), "none of them among"),
    ],
)
def test_impossible_backbones_raise(name: str, strides: tuple[int, ...], message: str) -> None:
    with pytest.raises(VepeError, match=message):
        Backbone(name, strides)


@pytest.mark.parametrize("name", POSE_TRUNKS)
def test_pose_backbones_are_what_their_weights_need(name: str) -> None:
    """Contract with timm's private builder: stem, channels, and TensorFlow's SAME padding."""
    backbone = Backbone(name, (4, *STRIDES))
    width = POSE_TRUNKS[name]
    assert backbone.strides == (4, 8, 16, 32)
    stem = backbone.net.conv_stem.weight.shape[0]
    unscaled = (32, 24, 32, 96, 320)
    for channels, plain in zip((stem, *backbone.channels), unscaled, strict=True):
        assert channels % 8 == 0
        assert abs(channels - plain * width) <= 4
    strided = [m for m in backbone.net.modules() if isinstance(m, nn.Conv2d) and m.stride[0] == 2]
    assert len(strided) == 5
    assert all(type(m).__name__ == "Conv2dSame" for m in strided)


def randomise_norms(model: nn.Module) -> nn.Module:
    """The model in evaluation mode with normalisations as if it had been trained."""
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
def test_folding_changes_no_map(name: str) -> None:
    plain = randomise_norms(Backbone(name, (8, 16, 32)))
    folded = deepcopy(plain)
    count = fold_batch_norms(folded)
    assert (count > 40) == name.startswith("mobilenet")
    split = [m for m in folded.modules() if isinstance(m, SplitResidual)]
    assert len(split) == (3 if name.startswith("mobilenet") else 0)
    assert {m.residual for m in split} == ({True, False} if split else set())
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(5))
    for a, b in zip(plain(images), folded(images), strict=True):
        assert float((a - b).abs().max()) < 1e-4 * max(1.0, float(a.abs().max()))


@pytest.mark.parametrize("name", ["mobilenetv2_035", "mobilenetv2_pose_100"])
@torch.inference_mode()
def test_splitting_changes_no_map_and_no_weight(name: str) -> None:
    plain = randomise_norms(Backbone(name, (4, 8, 16, 32)))
    split = deepcopy(plain)
    assert split_early_blocks(split) == 3
    assert split_early_blocks(split) == 0
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(5))
    for a, b in zip(plain(images), split(images), strict=True):
        assert float((a - b).abs().max()) < 1e-4 * max(1.0, float(a.abs().max()))
    block, pieces = plain.net.blocks[1][0], split.net.blocks[1][0].pieces
    for index, layer in enumerate((block.conv_pw, block.bn1, block.conv_dw, block.bn2)):
        assert torch.equal(torch.cat([piece[index].weight for piece in pieces]), layer.weight)
    assert split_early_blocks(plain.train()) == 0


def test_folding_leaves_a_model_in_training_mode_alone() -> None:
    assert fold_batch_norms(lively_model().train()) == 0


def test_fixed_padding_changes_nothing_for_whole_cells() -> None:
    torch.manual_seed(0)
    backbone = Backbone("mobilenetv2_pose_100", STRIDES).eval()
    fixed = deepcopy(backbone)
    assert fix_padding(fixed) == 5  # one per halving of the resolution
    image = torch.rand(1, 3, 96, 160)
    with torch.inference_mode():
        for left, right in zip(backbone(image), fixed(image), strict=True):
            torch.testing.assert_close(left, right)
