"""Backbones: any timm model as a source of feature maps at several strides.

Convolutional and hierarchical models give their own stages; a plain ViT gives one map at its patch
stride, from which the pyramid makes the other levels. Names that start with `mobilenetv2_pose_`
build timm's MobileNetV2 with the width of the pose-pretrained trunks (SAME padding).
"""

from __future__ import annotations

import difflib

import timm
import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from timm.models.efficientnet import _gen_mobilenet_v2
from torch import Tensor, nn

from vepe.errors import VepeError

POSE_TRUNKS = {
    "mobilenetv2_pose_100": 1.0,
    "mobilenetv2_pose_150": 1.5,
    "mobilenetv2_pose_175": 1.75,
}
"""Width multipliers of the MobileNetV2 trunks that were trained for human pose (MoveNet's)."""


class Backbone(nn.Module):
    """Feature maps of a timm model.

    Args:
        name: a timm model name, or one of `POSE_TRUNKS`.
        strides: wanted strides, finest first; those that the model lacks are left to the pyramid.
        pretrained: let timm download its weights (needs the network).

    Attributes:
        strides: strides of the maps that come out, finest first.
        channels: their channels.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, name: str, strides: tuple[int, ...], *, pretrained: bool = False) -> None:
        super().__init__()
        self.name = name
        if name in POSE_TRUNKS:
            self.net = _gen_mobilenet_v2(
                "mobilenetv2_100", POSE_TRUNKS[name], pad_type="same", features_only=True
            )
            self.mean, self.std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
        else:
            self.net = _timm_model(name, pretrained)
            data = timm.data.resolve_model_data_config(self.net)
            self.mean, self.std = tuple(data["mean"]), tuple(data["std"])
        reductions = list(self.net.feature_info.reduction())
        if len(set(reductions)) < len(reductions):
            # A plain ViT offers several depths at one stride: its last one is the richest.
            self.indices = [len(reductions) - 1]
        else:
            self.indices = [i for i, r in enumerate(reductions) if r in strides]
        if not self.indices:
            raise VepeError(
                f"Backbone '{name}' has maps at strides {reductions}, none of them among "
                f"{list(strides)}; change `strides`."
            )
        self.strides = tuple(reductions[i] for i in self.indices)
        self.channels = tuple(self.net.feature_info.channels()[i] for i in self.indices)
        shift = torch.tensor(self.mean).view(3, 1, 1)
        self.register_buffer("shift", shift, persistent=False)
        self.register_buffer("scale", torch.tensor(self.std).view(3, 1, 1), persistent=False)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B c h w"]]:
        """Maps for pictures in 0..1; H and W must be multiples of the coarsest stride."""
        normalised = (images - self.shift) / self.scale
        height, width = images.shape[-2:]
        patch = self.strides[-1]
        if height % patch or width % patch:
            # Only ViTs with odd patches (14) get here: the whole picture in whole patches, so that
            # their map covers just what the levels cover.
            whole = [-(-side // patch) * patch for side in (height, width)]
            normalised = F.interpolate(normalised, whole, mode="bilinear", align_corners=False)
        maps = self.net(normalised)
        result = []
        for i in self.indices:
            level, channels = maps[i], self.net.feature_info.channels()[i]
            if level.shape[1] != channels:  # Swin and its kin put channels last.
                level = level.permute(0, 3, 1, 2)
            result.append(level)
        return result


def _timm_model(name: str, pretrained: bool) -> nn.Module:
    """A timm model that gives feature maps of pictures of any size.

    Families name that freedom differently: plain ViTs `dynamic_img_size`, windowed ones
    `strict_img_size`, convolutional ones need nothing.
    """
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=1)
        hint = f"; did you mean '{near[0]}'" if near else ""
        raise VepeError(f"timm has no backbone '{name}'{hint}.")
    for options in ({"dynamic_img_size": True}, {"strict_img_size": False}, {}):
        try:
            return timm.create_model(name, features_only=True, pretrained=pretrained, **options)
        except TypeError as error:
            if "img_size" not in str(error):
                raise
        except RuntimeError as error:
            raise VepeError(f"Backbone '{name}' gives no feature maps ({error}).") from error
    raise AssertionError("the last options are empty")
