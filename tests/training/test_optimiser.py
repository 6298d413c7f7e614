"""Parameter groups, learning rate schedules, and the EMA of the weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_recipe import FRAMES, recipe

from vepe.config.load import parse
from vepe.config.training import ScheduleConfig
from vepe.errors import VepeError
from vepe.training.optimiser import (
    FRAME_PARTS,
    Ema,
    build_optimiser,
    freeze,
    load_optimiser,
    lr_by_group,
    lr_factor,
    set_lr,
)
from vepe.training.start import build_start


def test_parameter_groups() -> None:
    stage = recipe(stages=[{**FRAMES, "lr": 1e-3, "sampling_lr_factor": 0.1}]).stages[0]
    _, model = build_start(recipe())
    freeze(model, stage)
    optimiser = build_optimiser(model, stage, 1e-4)
    name_of = {id(p): n for n, p in model.named_parameters()}
    groups = {}
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            groups[name_of[id(parameter)]] = (group["name"], group["weight_decay"])
    assert set(groups) == set(name_of.values())
    for name, (group, decay) in groups.items():
        expected = "backbone" if name.startswith("backbone.") else "rest"
        assert group == ("sampling" if ".to_offsets." in name else expected)
        plain = model.get_parameter(name).ndim < 2 or "embedding" in name
        assert decay == (0.0 if plain else 1e-4), name
    set_lr(optimiser, 0.5)
    assert lr_by_group(optimiser) == {"backbone": 5e-5, "sampling": 5e-5, "rest": 5e-4}


def test_part_of_a_part_can_be_frozen() -> None:
    early = ["backbone.net.conv_stem", "backbone.net.bn1", "backbone.net.blocks.0"]
    stage = recipe(stages=[{**FRAMES, "backbone_lr": 1e-4, "freeze": early}]).stages[0]
    _, model = build_start(recipe())
    assert not freeze(model, stage)
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad != name.startswith(tuple(early)), name
    whole = [part for part in FRAME_PARTS if part != "fine_map"]  # the tiny model has none
    assert freeze(model, stage.model_copy(update={"freeze": whole}))


STEPS: dict[str, Any] = {"kind": "step", "milestones": [0.5, 0.9], "gamma": 0.1}


@pytest.mark.parametrize(
    ("options", "step", "progress", "expected"),
    [
        ({}, 0, 0.0, 0.01),
        ({}, 49, 0.0, 0.5),
        ({}, 99, 0.0, 1.0),
        ({}, 500, 0.5, 0.505),
        ({}, 900, 1.0, 0.01),
        ({"floor": 0.0}, 900, 1.2, 0.0),
        (STEPS, 49, 0.1, 0.5),
        (STEPS, 400, 0.49, 1.0),
        (STEPS, 400, 0.5, 0.1),
        (STEPS, 900, 0.95, 0.01),
        ({"kind": "constant"}, 49, 0.0, 0.5),
        ({"kind": "constant"}, 900, 0.99, 1.0),
    ],
)
def test_lr_factor(options: dict[str, Any], step: int, progress: float, expected: float) -> None:
    schedule = parse(ScheduleConfig, options, "test")
    assert lr_factor(schedule, step, progress, 100) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "step"}, "milestones"),
        ({"milestones": [0.5]}, "go together"),
        ({"kind": "step", "milestones": [0.9, 0.5]}, "rising"),
        ({"kind": "step", "milestones": [1000]}, "fractions of the stage"),
    ],
)
def test_invalid_schedules(options: dict[str, Any], message: str) -> None:
    with pytest.raises(VepeError, match=message):
        parse(ScheduleConfig, options, "test")


def test_ema_follows() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    ema = Ema(model, 0.9)
    torch.nn.init.ones_(model.weight)
    values = []
    for _ in range(100):
        ema.update(model)
        values.append(ema.model.weight.item())
    assert values == sorted(values)
    assert values[0] == pytest.approx(9 / 11)
    assert values[-1] == pytest.approx(1.0)


def test_ema_resumes_exactly() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
    whole, first = Ema(model, 0.99), Ema(model, 0.99)

    def change() -> None:
        with torch.no_grad():
            for tensor in model.state_dict().values():
                tensor.add_(1)

    for _ in range(3):
        change()
        whole.update(model)
        first.update(model)
    second = Ema(model, 0.99)
    second.load_state_dict(first.state_dict())
    change()
    whole.update(model)
    second.update(model)
    assert second.steps == whole.steps == 4
    for a, b in zip(
        whole.model.state_dict().values(), second.model.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b)
    assert int(whole.model[1].num_batches_tracked) == 4  # integers are copied
    assert not any(p.requires_grad for p in whole.model.parameters())


def test_state_of_another_optimiser_is_refused() -> None:
    def optimiser(width: int, lr: float) -> torch.optim.AdamW:
        weight = torch.nn.Parameter(torch.ones(width))
        made = torch.optim.AdamW([weight], lr=lr)
        weight.sum().backward()
        made.step()
        return made

    state, target = optimiser(3, 0.5).state_dict(), optimiser(3, 0.1)
    load_optimiser(target, state)
    assert target.param_groups[0]["lr"] == 0.1
    with pytest.raises(ValueError, match="other shapes"):
        load_optimiser(optimiser(4, 0.1), state)
    for broken in ({}, {**state, "state": {0: {"step": 3}}}, {**state, "param_groups": []}):
        with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
            load_optimiser(optimiser(3, 0.1), broken)
