"""What a model costs: parameters, and floating-point operations a frame of a video."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from vepe.config.model import ModelConfig
from vepe.inference.prepost import Letterbox
from vepe.models.build import build_model


@dataclass(frozen=True)
class ModelCost:
    """Size and work of a model.

    Attributes:
        parameters: all of them, trunk included.
        backbone_parameters: those of the trunk.
        flops: of one frame of a running video: encoding it, and reading its window.
        input_wh: for which input.
    """

    parameters: int
    backbone_parameters: int
    flops: int
    input_wh: tuple[int, int]


def model_cost(config: ModelConfig, aspect: float = 16 / 9) -> ModelCost:
    """Counts a model's cost without making its weights or running it.

    Operations are those of convolutions and matrix products, a multiplication and an addition
    counting as two (PyTorch's `FlopCounterMode`); sampling and activations are not counted.

    Args:
        config: the model.
        aspect: width over height of the picture whose longer side is `config.input_px`.
    """
    with torch.device("meta"), torch.no_grad():
        model = build_model(config).eval()
        source = (config.input_px, max(1, round(config.input_px / aspect)))
        width, height = Letterbox.of(source, config.input_px, model.stride).input_wh
        with FlopCounterMode(display=False) as counter:
            features = model.encode_frame(torch.zeros(1, 3, height, width))
            window = config.temporal.window
            model.fuse([features] * window, torch.zeros(1, window), window - 1)
    parts = {name: sum(p.numel() for p in m.parameters()) for name, m in model.named_children()}
    return ModelCost(
        parameters=sum(parts.values()),
        backbone_parameters=parts["backbone"],
        flops=counter.get_total_flops(),
        input_wh=(width, height),
    )
