"""Backbones: any timm model as a source of feature maps at several strides.

Convolutional and hierarchical models give their own stages; a plain ViT gives one map at its patch
stride, from which the neck makes the other levels. To add a backbone, name any timm model in the
config; weights that no timm model matches need a builder here, as `POSE_TRUNKS` has.

`fold_batch_norms` speeds up inference on timm's MobileNet-like backbones.
"""

from __future__ import annotations

import copy
import difflib
from typing import Any

import timm
import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vepe.errors import VepeError, one_line

POSE_TRUNKS = {
    "mobilenetv2_pose_100": 1.0,
    "mobilenetv2_pose_150": 1.5,
    "mobilenetv2_pose_175": 1.75,
}
"""Width multipliers of the MobileNetV2 backbones pretrained for human pose (MoveNet's)."""


class Backbone(nn.Module):
    """Feature maps of a timm model.

    Args:
        name: a timm model name, or one of `POSE_TRUNKS`.
        strides: requested strides, finest first; the neck makes those that the model lacks.
        pretrained: let timm download ImageNet weights (needs the network).

    Attributes:
        strides: strides of the maps that `forward` returns, finest first.
        channels: their channels.

    Raises:
        VepeError: if timm has no such model, or the model has no map at any requested stride.
    """

    net: Any  # timm's feature extractor
    shift: Tensor
    scale: Tensor

    def __init__(self, name: str, strides: tuple[int, ...], *, pretrained: bool = False) -> None:
        super().__init__()
        self.name = name
        if name in POSE_TRUNKS:
            self.net = _pose_trunk(POSE_TRUNKS[name])
            self.mean, self.std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
        else:
            self.net = _timm_model(name, pretrained)
            data = timm.data.resolve_model_data_config(self.net)
            self.mean, self.std = tuple(data["mean"]), tuple(data["std"])
        reductions = list(self.net.feature_info.reduction())
        if len(set(reductions)) < len(reductions):
            # A plain ViT has several depths at one stride; the last one is the richest.
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
        self.register_buffer("shift", _by_colour(self.mean), persistent=False)
        self.register_buffer("scale", _by_colour(self.std), persistent=False)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B c h w"]]:
        """One map per stride for RGB images in 0..1, finest first."""
        normalised = (images - self.shift) * self.scale.reciprocal()
        height, width = images.shape[-2:]
        patch = self.strides[-1]
        if height % patch or width % patch:
            # Only ViTs with odd patches (14): resize to whole patches, so that their map covers
            # exactly the area that the levels cover.
            whole = [-(-side // patch) * patch for side in (height, width)]
            normalised = F.interpolate(normalised, whole, mode="bilinear", align_corners=False)
        maps = self.net(normalised)
        result = []
        for i in self.indices:
            level, channels = maps[i], self.net.feature_info.channels()[i]
            if level.shape[1] != channels:  # Swin and its relatives put channels last
                level = level.permute(0, 3, 1, 2)  # (B, c, h, w)
            result.append(level)
        return result


def _by_colour(values: tuple[float, ...]) -> Tensor:
    """Values for the colours of an image; one where they are equal, which runtimes apply faster."""
    return torch.tensor(values if len(set(values)) > 1 else values[:1]).view(-1, 1, 1)


def _pose_trunk(width: float) -> nn.Module:
    """timm's MobileNetV2 of any width with SAME padding, as MoveNet's weights need it.

    timm registers no MobileNetV2 of these widths, so this calls its private builder. `pyproject`
    bounds timm's version; `tests/models/test_backbone.py` checks strides, channels and padding.
    """
    from timm.models.efficientnet import _gen_mobilenet_v2

    return _gen_mobilenet_v2("mobilenetv2_100", width, pad_type="same", features_only=True)


def _timm_model(name: str, pretrained: bool) -> nn.Module:
    """A timm model that returns feature maps of images of any size.

    Families name the option for that differently: plain ViTs `dynamic_img_size`, windowed ones
    `strict_img_size`; convolutional ones need none.
    """
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=1)
        hint = f"; did you mean '{near[0]}'?" if near else "; see timm.list_models()."
        raise VepeError(f"timm has no backbone '{name}'{hint}")
    for options in ({"dynamic_img_size": True}, {"strict_img_size": False}, {}):
        try:
            return timm.create_model(name, features_only=True, pretrained=pretrained, **options)
        except TypeError as error:
            if "img_size" not in str(error):
                raise
        except RuntimeError as error:
            reason = one_line(error)
            raise VepeError(f"Backbone '{name}' gives no feature maps ({reason}).") from error
    raise AssertionError("the last options are empty")


FOLDABLE: dict[str, tuple[tuple[str, str], ...]] = {
    "DepthwiseSeparableConv": (("conv_dw", "bn1"), ("conv_pw", "bn2")),
    "InvertedResidual": (("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3")),
}
"""Each convolution and the normalisation right after it, by the class name of timm's blocks."""
EARLY_STRIDE = 4
"""Blocks that read maps of this stride or finer are split; behind them maps fit into caches."""
PIECE = 16
"""Hidden channels of a piece, times the stride of the block's input (measured: 12 to 24 are alike
in PyTorch, ONNX Runtime and OpenVINO)."""


def fold_batch_norms(model: nn.Module, *, split: bool = True) -> int:
    """Folds batch normalisation into the convolution before it, in place, for faster inference.

    In evaluation mode a normalisation scales and shifts each channel by constants, which the
    convolution's weights can absorb. Outputs change by rounding only. Normalisations in training
    mode and blocks that are not listed in `FOLDABLE` stay as they are. Then `split_early_blocks`,
    unless `split` is false.

    Returns:
        The number of folded normalisations. Their activations stay.
    """
    count = sum(
        _fold(block, conv, norm)
        for block in model.modules()
        for conv, norm in FOLDABLE.get(type(block).__name__, ())
    )
    if split:
        split_early_blocks(model)
    return count


def split_early_blocks(model: nn.Module) -> int:
    """Runs the first inverted residual blocks of timm's MobileNets in pieces, in place.

    For inference: see `SplitResidual`. Outputs change by rounding only, and every weight keeps its
    value, if normalisations have not been folded before. In training mode nothing happens.

    Returns:
        The number of blocks that run in pieces.
    """
    nets: list[Any] = [m for m in model.modules() if hasattr(m, "conv_stem") and not m.training]
    count = 0
    for net in nets:
        stride = net.conv_stem.stride[0]
        places = [(stage, i) for stage in net.blocks for i in range(len(stage))]
        for blocks, i in places:
            block = blocks[i]
            if isinstance(block, SplitResidual) or not hasattr(block, "conv_dw"):
                break
            if stride <= EARLY_STRIDE and _is_splittable(block):
                blocks[i] = SplitResidual(block, PIECE * stride)
                count += 1
            stride *= block.conv_dw.stride[0]
    return count


def _is_splittable(block: Any) -> bool:
    whole = (getattr(block, name, None) for name in ("aa", "se"))
    return (
        type(block).__name__ == "InvertedResidual"
        and block.conv_s2d is None
        and all(isinstance(part, nn.Identity) for part in whole)
    )


def _fold(block: nn.Module, conv_name: str, norm_name: str) -> bool:
    conv, norm = getattr(block, conv_name), getattr(block, norm_name)
    if not isinstance(conv, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d) or norm.training:
        return False
    setattr(block, conv_name, fuse_conv_bn_eval(conv, norm))
    # timm's normalisation layers contain the activation.
    setattr(block, norm_name, getattr(norm, "act", nn.Identity()))
    return True


def fix_padding(model: nn.Module) -> int:
    """Makes padding that depends on the input's size constant, in place, for exported models.

    TensorFlow's SAME padding of a strided convolution is a function of the input's size. The
    network's inputs are multiples of its stride, for which it is a constant that runtimes merge
    into the convolution.

    Returns:
        The number of convolutions that were changed.
    """
    count = 0
    for block in list(model.modules()):
        for name, conv in block.named_children():
            if type(conv).__name__ == "Conv2dSame":
                setattr(block, name, _with_fixed_padding(conv))
                count += 1
    return count


def _with_fixed_padding(conv: Any) -> nn.Module:
    plain = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        conv.stride,
        groups=conv.groups,
        bias=conv.bias is not None,
    )
    plain.weight, plain.bias = conv.weight, conv.bias
    (down, right) = (max(k - s, 0) for k, s in zip(conv.kernel_size, conv.stride, strict=True))
    before_after = (right // 2, right - right // 2, down // 2, down - down // 2)
    return nn.Sequential(nn.ZeroPad2d(before_after), plain)


class SplitResidual(nn.Module):
    """A folded inverted residual block of timm's as a sum of blocks with fewer hidden channels.

    The widest maps of a MobileNet are the hidden ones of its first blocks: 22 MB of vepe-n's at
    448 x 256 px, more than caches hold, so that these blocks wait for memory. No hidden channel
    reads another one, so thin blocks whose maps stay in the cache add up to the same output.

    Args:
        block: the block, with or without its normalisations.
        channels: hidden channels of a piece, a multiple of 8.
    """

    def __init__(self, block: Any, channels: int) -> None:
        super().__init__()
        self.residual = bool(block.has_skip)
        hidden = block.conv_dw.out_channels
        self.pieces = nn.ModuleList(
            nn.Sequential(
                _rows(block.conv_pw, part),
                _rows(block.bn1, part),
                _rows(block.conv_dw, part),
                _rows(block.bn2, part),
                _columns(block.conv_pwl, part),
                _share(block.bn3, first=part.start == 0),
            )
            for part in (slice(i, min(i + channels, hidden)) for i in range(0, hidden, channels))
        )

    def forward(self, level: Float[Tensor, "B c h w"]) -> Float[Tensor, "B d h w"]:
        """The block's output."""
        first, *rest = self.pieces
        total = first(level)
        for piece in rest:
            total = total + piece(level)
        return total + level if self.residual else total


def _rows(layer: Any, part: slice) -> nn.Module:
    """A convolution or normalisation with some of its output channels."""
    piece = copy.deepcopy(layer)
    for name in ("weight", "bias", "running_mean", "running_var"):
        if getattr(piece, name, None) is not None:
            getattr(piece, name).data = getattr(layer, name).data[part].clone()
    count = part.stop - part.start
    if isinstance(piece, nn.Conv2d):
        piece.out_channels = count
        if piece.groups > 1:
            piece.groups = piece.in_channels = count
    elif isinstance(piece, nn.BatchNorm2d):
        piece.num_features = count
    return piece


def _columns(conv: Any, part: slice) -> nn.Module:
    """A convolution with some of its input channels; the bias belongs to the first ones."""
    piece = copy.deepcopy(conv)
    piece.weight.data = conv.weight.data[:, part].clone()
    piece.in_channels = part.stop - part.start
    if part.start:
        piece.bias = None
    return piece


def _share(norm: Any, *, first: bool) -> nn.Module:
    """What a piece adds to a normalisation of the sum: all scale, only the first one shifts."""
    piece = copy.deepcopy(norm)
    if isinstance(piece, nn.BatchNorm2d) and not first:
        for shift in (piece.bias, piece.running_mean):
            if shift is not None:
                nn.init.zeros_(shift)
    return piece
