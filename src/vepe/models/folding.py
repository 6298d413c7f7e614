"""Folds batch normalisation into the convolutions before it, for inference.

In eval mode a normalisation is a fixed scale and shift of every channel, which the convolution's
own weights can hold: same result, one pass over the memory less.
"""

from __future__ import annotations

from timm.models._efficientnet_blocks import DepthwiseSeparableConv, InvertedResidual
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_PAIRS: dict[type[nn.Module], tuple[tuple[str, str], ...]] = {
    DepthwiseSeparableConv: (("conv_dw", "bn1"), ("conv_pw", "bn2")),
    InvertedResidual: (("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3")),
}
"""Convolution and the normalisation right behind it, in timm's blocks of MobileNet's kind."""


def fold_batch_norms(model: nn.Module) -> int:
    """Folds, in place, all that is known to be safe; the model must be in eval mode.

    Returns:
        How many normalisations were folded. Their activations stay.
    """
    return sum(
        _fold(block, conv, norm)
        for block in model.modules()
        for conv, norm in _PAIRS.get(type(block), ())
    )


def _fold(block: nn.Module, conv_name: str, norm_name: str) -> bool:
    conv, norm = getattr(block, conv_name), getattr(block, norm_name)
    if not isinstance(conv, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d) or norm.training:
        return False
    setattr(block, conv_name, fuse_conv_bn_eval(conv, norm))
    # timm's normalisation holds its activation.
    setattr(block, norm_name, getattr(norm, "act", nn.Identity()))
    return True
