"""Backbones: strides, channels and maps of every family that a preset names."""

from __future__ import annotations

import pytest
import torch

from vepe.errors import VepeError
from vepe.models.backbone import Backbone

STRIDES = (8, 16, 32, 64)


@pytest.mark.parametrize(
    ("name", "strides", "channels"),
    [
        ("resnet50", (8, 16, 32), (512, 1024, 2048)),
        ("hrnet_w48", (8, 16, 32), (256, 512, 1024)),
        # The small one of vepe-swin-l's family.
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
    assert not torch.allclose(maps[-1], other[-1])  # the picture gets through


def test_pictures_are_normalised_as_the_weights_expect() -> None:
    backbone = Backbone("resnet10t", (8, 16, 32)).eval()
    seen = []
    backbone.net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    white = torch.ones(1, 3, 32, 32)
    with torch.inference_mode():
        backbone(white)
    wanted = [(1 - m) / s for m, s in zip(backbone.mean, backbone.std, strict=True)]
    assert seen[0][0, :, 0, 0].tolist() == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("name", "strides", "message"),
    [
        ("resnet_50", STRIDES, "did you mean 'resnet"),
        ("resnet10t", (64,), "none of them among"),
    ],
)
def test_what_cannot_be_is_told(name: str, strides: tuple[int, ...], message: str) -> None:
    with pytest.raises(VepeError, match=message):
        Backbone(name, strides)
