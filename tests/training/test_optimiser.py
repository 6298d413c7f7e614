"""Groups of parameters: rates of their own, and no decay of norms, biases and embeddings."""

from __future__ import annotations

from tiny_recipe import FRAMES, recipe

from vepe.training.optimiser import FRAME_PARTS, build_optimiser, freeze, rates_by_group, set_rate
from vepe.training.start import build_start


def test_groups() -> None:
    stage = recipe(stages=[{**FRAMES, "lr": 1e-3, "sampling_lr": 0.1}]).stages[0]
    _, model = build_start(recipe())
    freeze(model, stage)
    optimiser = build_optimiser(model, stage, 1e-4)
    name_of = {id(p): n for n, p in model.named_parameters()}
    found = {}
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            found[name_of[id(parameter)]] = (group["name"], group["weight_decay"])
    assert set(found) == set(name_of.values())
    for name, (group, decay) in found.items():
        wanted = "backbone" if name.startswith("backbone.") else "rest"
        assert group == ("sampling" if ".to_offsets." in name else wanted)
        plain = model.get_parameter(name).ndim < 2 or "embedding" in name
        assert decay == (0.0 if plain else 1e-4), name
    set_rate(optimiser, 0.5)
    assert rates_by_group(optimiser) == {"backbone": 5e-5, "sampling": 5e-5, "rest": 5e-4}


def test_a_part_of_a_part_can_be_frozen() -> None:
    early = ["backbone.net.conv_stem", "backbone.net.bn1", "backbone.net.blocks.0"]
    stage = recipe(stages=[{**FRAMES, "backbone_lr": 1e-4, "freeze": early}]).stages[0]
    _, model = build_start(recipe())
    assert not freeze(model, stage)
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad != name.startswith(tuple(early)), name
    whole = [part for part in FRAME_PARTS if part != "fine_map"]  # the tiny model has none
    assert freeze(model, stage.model_copy(update={"freeze": whole}))
