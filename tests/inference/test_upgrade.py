"""Weights files of version 0.1: attention over a window of one becomes one linear map."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vepe.inference.upgrade import upgrade_config, upgrade_tensors
from vepe.models.attention import Attention
from vepe.models.pose_encoder import PoseEncoder

LAYER = "pose_encoder.layers.0"


def test_attention_over_one_frame_becomes_a_linear_map() -> None:
    torch.manual_seed(0)
    part = PoseEncoder(8, 16, 1).eval()
    attention, motion, time = Attention(8, 2), nn.Linear(24, 8), nn.Linear(16, 8, bias=False)
    present = {f"pose_encoder.{name}": tensor for name, tensor in part.state_dict().items()}
    old = {name: tensor for name, tensor in present.items() if ".mix." not in name}
    for name, module in (("attention", attention), ("motion", motion), ("time.project", time)):
        old |= {f"{LAYER}.{name}.{key}": value for key, value in module.state_dict().items()}
    old["memory_encoder.layers.0.time.project.weight"] = torch.zeros(8, 16)
    upgraded = upgrade_tensors(old)
    assert upgraded.keys() == present.keys()
    part.load_state_dict({k.removeprefix("pose_encoder."): v for k, v in upgraded.items()})
    queries = torch.randn(1, 3, 4, 8)  # (B, N, J, C)
    layer = part.layers[0]
    with torch.inference_mode():
        token = layer.norm(queries).view(-1, 1, 8) + motion.bias
        read = attention(token, token, token).view_as(queries)
        torch.testing.assert_close(part(queries), layer.feed_forward(queries + read))


def test_present_files_are_left_as_they_are() -> None:
    tensors = {f"{LAYER}.mix.weight": torch.ones(2, 2), "backbone.conv.weight": torch.ones(1)}
    assert upgrade_tensors(tensors) == tensors
    config = {"temporal": {"window": 3, "alignment": "none"}, "tracker": {}}
    assert upgrade_config(config) == config


@pytest.mark.parametrize("key", ["spacing_s", "memory_interval_s"])
def test_windows_without_alignment_get_the_present_ones(key: str) -> None:
    upgraded = upgrade_config({"temporal": {"window": 3, "lookahead": 0, key: 0.2, "x": 1}})
    assert upgraded["temporal"] == {"x": 1}
    assert upgraded["tracker"]["max_gap_s"] == 10.0
