"""Several processes or micro-batches equal one process with all clips; stop signals."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from loop_probe import ENVIRONMENT, PROGRAM, Probe, farthest
from tiny_recipe import CLIPS, recipe

from vepe.errors import VepeError
from vepe.training import distributed
from vepe.training.distributed import StopSignal, start_processes

WARM = {**CLIPS, "warmup_steps": 1000}
"""Small steps, so that rounding errors have not grown by the second one."""


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
    done = subprocess.run(
        [sys.executable, *words], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, Any] = torch.load(folder / "probe.pt", weights_only=True)
    return result


def test_two_processes_equal_one(tmp_path: Path, alone: Probe) -> None:
    """Gradients agree within 1e-5, samples are the same, and both processes have equal weights."""
    result = launched(tmp_path, {"stages": [{**WARM, "batch": 2}]}, 2)
    first, second = result["samples"]
    assert not first.keys() & second.keys()
    assert {**first, **second} == alone.samples
    for step, (ours, theirs) in enumerate(zip(result["gradients"], alone.gradients, strict=True)):
        absolute, relative = farthest(ours, theirs)
        print(f"step {step}: gradients differ by {absolute:.1e}, {relative:.1e} of the largest")
        assert relative < 1e-5
    one, other = result["weights"]
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
def test_missing_devices(
    options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(VepeError, match=message):
        start_processes(recipe(**options))


def test_second_run_of_a_process_may_have_another_precision() -> None:
    """accelerate has no public call for it; this fails when its private one is gone."""
    assert start_processes(recipe()).accelerator.mixed_precision == "no"
    assert start_processes(recipe(precision="bf16")).accelerator.mixed_precision == "bf16"
    assert start_processes(recipe()).accelerator.mixed_precision == "no"


def test_half_an_environment_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    half = {"WORLD_SIZE": "8", "RANK": "0", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    environ = {k: v for k, v in os.environ.items() if not k.startswith("MASTER_")}
    monkeypatch.setattr(os, "environ", environ | half)  # accelerate adds to it
    with pytest.raises(VepeError, match="MASTER_ADDR is not; start the processes with torchrun"):
        start_processes(recipe(device="cpu"))


@pytest.mark.parametrize(("capability", "warns"), [("AVX2", True), ("AVX512", False)])
def test_bf16_on_a_cpu_without_its_instructions_is_a_warning(
    capability: str, warns: bool, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    start_processes(recipe(precision="bf16", device="cpu"))
    assert any("emulates bf16" in str(w.message) for w in recwarn) == warns


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_stop_signals(first: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(first)
    now = 100.0
    monkeypatch.setattr(distributed.time, "monotonic", lambda: now)
    with StopSignal() as stop:
        assert not stop.requested
        os.kill(os.getpid(), first)
        assert stop.requested
        now += 0.5
        os.kill(os.getpid(), signal.SIGINT)  # forwarded by a launcher
        now += 1.0
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(first) == before
