"""Which options keep a run from going on."""

from __future__ import annotations

from typing import Any

import pytest
from tiny_recipe import FRAMES, TEMPORAL, recipe

from vepe.training.checkpoint import changed_keys


@pytest.mark.parametrize(
    ("changes", "processes", "named"),
    [
        ({}, 1, []),
        ({"data_root": "/elsewhere", "workers": 8, "checkpoint_minutes": 1}, 1, []),
        ({"logging": ["wandb"], "pictures_every": 7, "device": "auto"}, 1, []),
        ({"seed": 4}, 1, ["seed"]),
        ({"losses": {"oks": 1}, "ema": 0.9}, 1, ["ema", "losses.oks"]),
        ({"stages": [{**FRAMES, "steps": 9}, TEMPORAL]}, 1, ["stages.0.steps"]),
        ({"accumulate": 2}, 1, ["stages.0.batch", "stages.1.batch"]),
        ({}, 2, ["stages.0.batch", "stages.1.batch"]),
        # The same clips an optimiser step, cut otherwise.
        ({"stages": [{**FRAMES, "batch": 1}, {**TEMPORAL, "batch": 1}]}, 2, ["stages.1.batch"]),
        ({"stages": [{**FRAMES, "batch": 1}, TEMPORAL], "accumulate": 2}, 1, ["stages.1.batch"]),
    ],
)
def test_changed_keys(changes: dict[str, Any], processes: int, named: list[str]) -> None:
    old = recipe().model_dump(mode="json")
    new = recipe(**changes).model_dump(mode="json")
    assert changed_keys(old, new, 1, processes) == named


def test_moved_data_may_go_on() -> None:
    def at(root: str, strict: bool) -> dict[str, Any]:
        data = {"kind": "posetrack", "root": root, "strict": strict}
        return recipe(stages=[{**FRAMES, "data": [data]}]).model_dump(mode="json")

    assert changed_keys(at("a", False), at("/b", True), 1, 1) == []
