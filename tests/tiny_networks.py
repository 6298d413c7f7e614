"""Small networks with random weights in all layers, for tests of structure."""

from __future__ import annotations

from typing import Any

import torch

from vepe.config.load import merge, parse
from vepe.config.model import ModelConfig
from vepe.models.build import build_model
from vepe.models.memory import Memory
from vepe.models.vepe import Vepe

TINY: dict[str, Any] = {
    "backbone": "mobilenetv2_035",
    "dim": 32,
    "heads": 4,
    "points": 2,
    "hidden": 32,
    "queries": 6,
    "consistency": {"dim": 16},
}


def tiny_config(**changes: Any) -> ModelConfig:
    return parse(ModelConfig, merge(TINY, changes), "tiny")


def lively_model(seed: int = 0, **changes: Any) -> Vepe:
    """Layers that start at zero get random weights, so that every part has an effect."""
    torch.manual_seed(seed)
    model = build_model(tiny_config(**changes))
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2 and not name.startswith("backbone."):
            torch.nn.init.normal_(parameter, std=0.7 / parameter.shape[1] ** 0.5)
    for layer in (*model.spatial_decoder.layers, *model.pose_decoder.layers):
        torch.nn.init.normal_(layer.heads.step[-1].weight, std=0.02)
        if layer.search is not None and layer.search.to_fine is not None:
            torch.nn.init.normal_(layer.search.to_fine.weight, std=0.3)
    return model.eval()


def encoded_memory(
    model: Vepe, images: torch.Tensor, padding: torch.Tensor | None = None
) -> Memory:
    """The output of the spatial encoder for these images."""
    outputs: list[Memory] = []
    hook = model.spatial_encoder.register_forward_hook(lambda *call: outputs.append(call[-1]))
    try:
        model.encode_frame(images, padding)
    finally:
        hook.remove()
    return outputs[0]
