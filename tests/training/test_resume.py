"""A run that is killed in the middle of a step resumes exactly."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from loop_probe import ENVIRONMENT, PROGRAM
from tiny_recipe import CLIPS, TEMPORAL, checkpoint_tensors, differing, recipe

from vepe.training.trainer import Trainer

OPTIONS: dict[str, Any] = {
    "stages": [{**CLIPS, "batch": 1, "steps": 3}, {**TEMPORAL, "steps": 1}],
    "checkpoint_steps": 1,
    "accumulate": 2,
    "workers": 1,
}


def test_killed_at_a_random_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights, optimiser, EMA, position in the data, random state: equal bit for bit."""
    monkeypatch.setattr(Trainer, "_report", lambda *_: None)
    kill_at = random.Random().randint(2, 7)  # micro-batches, of 8 in all; a checkpoint every 2
    command = [sys.executable, str(PROGRAM), str(tmp_path / "cut"), json.dumps(OPTIONS)]
    killed = subprocess.run(
        [*command, "--kill-at", str(kill_at)], env=ENVIRONMENT, capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-3000:]
    Trainer(recipe(**OPTIONS), tmp_path / "cut", resume=True).train()
    Trainer(recipe(**OPTIONS), tmp_path / "whole").train()
    whole, cut = (checkpoint_tensors(tmp_path / name) for name in ("whole", "cut"))
    for part in ("parts/model", "parts/ema", "parts/optimiser", "progress", "random/0/torch"):
        assert any(key.startswith(part) for key in whole), part
    assert not differing(whole, cut), f"killed at batch {kill_at}"
