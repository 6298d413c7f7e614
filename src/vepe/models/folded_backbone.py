"""Faster training of timm's MobileNets whose batch statistics are fixed.

Small batches cannot update batch statistics, so backbones are trained in evaluation mode, where a
normalisation scales and shifts each channel by constants and two weights. `FoldedBackbone` folds
these into the convolutions' weights in every step: the same outputs and the same gradients without
passes over the maps for the normalisations.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from timm.layers import pad_same
from torch import Tensor, nn
from torch.func import functional_call

from vepe.models.backbone import FOLDABLE, Backbone, fold_batch_norms


class FoldedBackbone:
    """Runs a backbone in evaluation mode with its normalisations folded, with gradients.

    It computes with a copy that has no weights of its own: the backbone keeps its parameters and
    their names. Blocks that are not listed in `FOLDABLE` run as they are.

    Args:
        backbone: whose parameters are read in every pass. It must neither be compiled nor recompute
            activations in its backward pass, which would find the copy without its weights.
    """

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        self.folded: list[tuple[str, str]] = [
            (f"{name}.{conv}", f"{name}.{norm}")
            for name, block in backbone.named_modules()
            for conv, norm in FOLDABLE.get(type(block).__name__, ())
            if isinstance(getattr(block, norm), nn.BatchNorm2d)
        ]
        self.copy = copy.deepcopy(backbone).eval()
        fold_batch_norms(self.copy, split=False)
        for conv, _ in self.folded:
            _make_dense(self.copy.get_submodule(conv))

    def __call__(self, images: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B c h w"]]:
        """As the backbone's own pass, but for rounding."""
        weights: dict[str, Tensor] = dict(self.backbone.named_parameters())
        for conv_name, norm_name in self.folded:
            conv: Any = self.backbone.get_submodule(conv_name)
            norm: Any = self.backbone.get_submodule(norm_name)
            scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)  # (d,)
            bias = norm.bias - norm.running_mean * scale
            if conv.bias is not None:
                bias = bias + conv.bias * scale
            weights[f"{conv_name}.weight"] = conv.weight * scale[:, None, None, None]
            weights[f"{conv_name}.bias"] = bias
            del weights[f"{norm_name}.weight"], weights[f"{norm_name}.bias"]
        maps: list[Tensor] = functional_call(self.copy.to(images.device), weights, (images,))
        return maps


def _make_dense(conv: Any) -> None:
    """Makes a strided depthwise convolution compute every position, and drop what is too much.

    On CPUs alone: oneDNN's backward pass of the strided one takes five to eight times as long.
    """
    stride = conv.stride[0]
    if conv.groups == 1 or stride == 1:
        return
    strided = conv.forward
    same = type(conv).__name__ == "Conv2dSame"  # TensorFlow's padding, by the size of the input

    def forward(level: Float[Tensor, "B c h w"]) -> Float[Tensor, "B c i j"]:
        if level.device.type != "cpu":
            result: Tensor = strided(level)
            return result
        if same:
            level = pad_same(level, conv.kernel_size, conv.stride)
        padding = 0 if same else conv.padding
        dense = F.conv2d(level, conv.weight, conv.bias, 1, padding, 1, conv.groups)
        return dense[..., ::stride, ::stride]

    conv.forward = forward
