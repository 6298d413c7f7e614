"""Two processes, or two batches a step, do what one process with all of the clips does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from loop_probe import PROGRAM, Probe, farthest
from tiny_recipe import CLIPS, recipe

from vepe.errors import VepeError
from vepe.training.distributed import start_processes

WARM = {**CLIPS, "warmup_steps": 1000}
"""Small steps, so that rounding has not grown by the second one."""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Probe:
    """One process, four clips a step."""
    probe = Probe()
    probe.run(tmp_path_factory.mktemp("alone"), stages=[WARM])
    assert len(probe.samples) == 12
    assert len(set(probe.samples.values())) == 12
    return probe


def launched(folder: Path, options: dict[str, Any], processes: int) -> dict[str, Any]:
    words = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    words += [str(PROGRAM), str(folder / "run"), json.dumps(options)]
    words += ["--probe", str(folder / "probe.pt")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROGRAM.parent)}
    done = subprocess.run(
        [sys.executable, *words], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = torch.load(folder / "probe.pt", weights_only=True)
    return found


def test_two_processes_equal_one(tmp_path: Path, alone: Probe) -> None:
    """The bar: gradients within 1e-5, the same samples an epoch; and the processes stay alike."""
    found = launched(tmp_path, {"stages": [{**WARM, "batch": 2}]}, 2)
    first, second = found["samples"]
    assert not first.keys() & second.keys()
    assert {**first, **second} == alone.samples
    for step, (ours, theirs) in enumerate(zip(found["gradients"], alone.gradients, strict=True)):
        absolute, relative = farthest(ours, theirs)
        print(f"step {step}: gradients differ by {absolute:.1e}, {relative:.1e} of the largest")
        assert relative < 1e-5
    one, other = found["weights"]
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_two_batches_a_step_equal_one(tmp_path: Path, alone: Probe) -> None:
    probe = Probe()
    probe.run(tmp_path / "run", stages=[{**WARM, "batch": 2}], accumulate=2)
    assert probe.samples == alone.samples
    for ours, theirs in zip(probe.gradients, alone.gradients, strict=True):
        assert farthest(ours, theirs)[1] < 1e-5
    for ours, theirs in zip(probe.losses, alone.losses, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "fp16"}, "'fp16' needs an NVIDIA GPU"),
        ({"device": "cuda"}, "no device 'cuda'"),
    ],
)
def test_devices_that_are_not_there(
    options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(VepeError, match=message):
        start_processes(recipe(**options))
