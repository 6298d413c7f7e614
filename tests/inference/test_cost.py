"""Cost of a model, counted without running it, against a run that is counted."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tiny_models import TINY, tiny_model
from vepe.config.load import parse, read_yaml
from vepe.config.model import ModelConfig
from vepe.inference.cost import model_cost


def test_the_count_is_that_of_a_real_run() -> None:
    model, cost = tiny_model(), model_cost(TINY)
    assert cost.input_wh == (64, 64)  # 64x36, filled up
    assert cost.parameters == sum(p.numel() for p in model.parameters())
    assert 0 < cost.backbone_parameters < cost.parameters
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        features = model.encode_frame(torch.zeros(1, 3, 64, 64))
        model.fuse([features] * 3, torch.tensor([[0.0, 0.1, 0.2]]), 2)
    assert cost.flops == counter.get_total_flops()


def test_the_small_preset_stays_small() -> None:
    cost = model_cost(parse(ModelConfig, read_yaml("vepe-n"), "vepe-n"))
    assert cost.input_wh == (448, 256)
    assert 1e6 < cost.parameters < 12.5e6  # 25 MB in fp16
    assert 1e9 < cost.flops < 6e9


@pytest.mark.parametrize(("window", "more"), [(1, False), (5, True)])
def test_the_window_costs(window: int, more: bool) -> None:
    temporal = TINY.temporal.model_copy(update={"window": window})
    cost = model_cost(TINY.model_copy(update={"temporal": temporal}))
    assert (cost.flops > model_cost(TINY).flops) is more
