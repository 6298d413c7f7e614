"""A stage that freezes everything but the fusion over frames trains that alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_recipe import CLIPS, checkpoint_tensors, differing, recipe

from vepe.training.fusion_step import FusionStep
from vepe.training.stage import StageLoop
from vepe.training.trainer import Trainer

PARTS = (
    "backbone pyramid spatial_encoder proposals spatial_decoder identity consistency "
    "memory_encoder pose_encoder pose_decoder"
)
FUSION: dict[str, Any] = {
    **CLIPS,
    "name": "temporal",
    "frames": 4,
    "batch": 2,
    "backbone_lr": 0,
    "steps": 2,
    "freeze": PARTS.split(),
    "lr": 1e-2,
}
OPTIONS: dict[str, Any] = {
    "stages": [FUSION],
    "checkpoint_steps": 1,
}


@pytest.fixture(autouse=True)
def _no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "_report", lambda *_: None)


def test_only_the_fusion_changes_and_a_stopped_run_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Trainer(recipe(**OPTIONS), tmp_path / "whole")
    before = {name: value.clone() for name, value in whole.model.state_dict().items()}
    whole.train()
    changed = {
        name.split(".")[0]
        for name, value in whole.model.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert changed == {"pose_fusion"}

    real, calls = StageLoop._step, []

    def second_fails(self: StageLoop, step: int, *rest: Any) -> Any:
        calls.append(step)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, step, *rest)

    monkeypatch.setattr(StageLoop, "_step", second_fails)
    with pytest.raises(KeyboardInterrupt):
        Trainer(recipe(**OPTIONS), tmp_path / "cut").train()
    monkeypatch.setattr(StageLoop, "_step", real)
    Trainer(recipe(**OPTIONS), tmp_path / "cut", resume=True).train()
    tensors = (checkpoint_tensors(tmp_path / name) for name in ("whole", "cut"))
    assert not differing(*tensors)


def test_windows_depend_on_the_clips_alone(tmp_path: Path) -> None:
    trainer = Trainer(recipe(**OPTIONS), tmp_path)
    batch = next(iter(trainer._unused_batches(1)))
    step = FusionStep(trainer.model.eval(), trainer.run.criterion())
    first, second, other = (step(batch, keys) for keys in ([(1, 2)], [(1, 2)], [(1, 3)]))
    assert {name: value.item() for name, value in first.items()} == {
        name: value.item() for name, value in second.items()
    }
    assert set(first) == {"fused/l1", "fused/oks"}
    assert any(first[name].item() != other[name].item() for name in first)
