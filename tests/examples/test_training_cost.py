"""`benchmarks/training_cost.py` counts a recipe without running it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from tiny_models import TINY

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "training_cost.py"


def test_a_recipe_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("training_cost", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "training_cost", module)
    spec.loader.exec_module(module)
    stage = {"size_px": 64, "batch": 2, "data": [{"kind": "coco"}]}
    stages = [{"name": "a", "steps": 5, **stage}, {"name": "b", "steps": 1, "frames": 3, **stage}]
    recipe = {"model": "tiny", "clips_per_step": 8, "stages": stages}
    models = {"tiny": TINY.model_dump(mode="json"), "recipe": recipe}
    monkeypatch.setattr(module, "read_yaml", lambda name, kind="models": models[name])
    cost = module.cost("recipe")
    assert cost.last_step > 0
    assert cost.total == pytest.approx(cost.last_step * (5 / 3 + 1))  # a frame in five steps
