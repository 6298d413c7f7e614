"""Checkpoints: errors name the reason, a full disk leaves the old file, options may differ."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_recipe import FRAMES, TEMPORAL, recipe

from vepe.config.model import ModelConfig
from vepe.errors import VepeError
from vepe.training.checkpoint import (
    Progress,
    RunIdentity,
    changed_keys,
    load_checkpoint,
    random_state,
    save_checkpoint,
)

IDENTITY = RunIdentity(recipe(), ModelConfig(), {"frames": "abc"}, 1)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def write(folder: Path, numbers: int = 8) -> Path:
    part = torch.nn.Linear(numbers, 1)
    states = [random_state()]
    save_checkpoint(folder / "last.pt", Progress(1, 2, 3.0), {"model": part}, states, IDENTITY)
    return folder / "last.pt"


def test_round_trip(tmp_path: Path) -> None:
    path = write(tmp_path)
    checkpoint = load_checkpoint(path, IDENTITY)
    assert checkpoint.progress == Progress(1, 2, 3.0)
    assert set(checkpoint.parts["model"]) == {"weight", "bias"}
    assert names(tmp_path) == ["last.pt"]
    elsewhere = recipe(data_root="/moved", workers=3)
    assert load_checkpoint(path, replace(IDENTITY, config=elsewhere)).progress.step == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": recipe(seed=9)}, "'seed' differs"),
        ({"config": recipe(seed=9, ema=0.5)}, "'ema', 'seed' differ"),
        ({"model": ModelConfig(queries=7)}, "'model.queries' differs"),
        ({"data": {"frames": "other"}}, "data have changed"),
        ({"processes": 2}, "'stages.0.batch'"),
    ],
)
def test_other_runs_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = write(tmp_path)
    with pytest.raises(VepeError, match=message):
        load_checkpoint(path, replace(IDENTITY, **change))


def with_state(path: Path, **changes: Any) -> None:
    torch.save({**torch.load(path, weights_only=True), **changes}, path)


@pytest.mark.parametrize("kind", ["cut", "text", "pickle", "empty", "keys", "list", "json"])
def test_damaged_files(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path)
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    elif kind == "text":
        path.write_text("half a file")
    elif kind == "pickle":
        torch.save({"a": Progress}, path)  # code is never loaded
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "keys":
        torch.save({"format": 2}, path)
    elif kind == "list":
        torch.save([1], path)
    else:
        with_state(path, config="{")
    with pytest.raises(VepeError, match="is damaged"):
        load_checkpoint(path, IDENTITY)


@pytest.mark.parametrize(
    "changes",
    [
        {"progress": {"stage": "1"}},
        {"progress": {"stage": 9, "step": 0, "elapsed_s": 0.0}},
        {"progress": {"stage": 0, "step": -1, "elapsed_s": 0.0}},
        {"progress": {"stage": 0, "step": 2**80, "elapsed_s": 0.0}},
        {"progress": {"stage": 0, "step": 0, "elapsed_s": float("nan")}},
        {"progress": [1, 2]},
        {"config": "[]"},
        {"config": '{"stages": 3}'},
        {"config": '{"stages": [{"batch": "x"}], "accumulate": []}'},
        {"config": "[" * 2000 + "]" * 2000},
        {"model": "1" * 5000},
        {"data": 3},
        {"parts": 3},
        {"random": None},
        {"random": []},
        {"processes": "x"},
    ],
)
def test_edited_values_are_damage(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = write(tmp_path)
    with_state(path, **changes)
    with pytest.raises(VepeError, match="is damaged"):
        load_checkpoint(path, IDENTITY)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"format": torch.zeros(3), "versions": [1]}, "an older version"),
        ({"format": 99, "versions": {"vepe": "9.0"}}, "VEPE 9.0 in another format"),
        ({"progress": {}, "parts": {}, "config": "{}"}, "an older version"),
    ],
)
def test_other_formats(tmp_path: Path, state: dict[str, Any], message: str) -> None:
    torch.save(state, tmp_path / "last.pt")
    with pytest.raises(VepeError, match=message):
        load_checkpoint(tmp_path / "last.pt", IDENTITY)


def test_options_of_other_versions_are_named(tmp_path: Path) -> None:
    path = write(tmp_path)
    old = recipe().model_dump(mode="json")
    old["warmup"] = 5
    with_state(path, config=json.dumps(old))
    with pytest.raises(VepeError, match="'warmup' differs"):
        load_checkpoint(path, IDENTITY)


def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = write(tmp_path).read_bytes()

    def full_disk(state: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(VepeError, match=r"No space left on device.*Free some disk space"):
        write(tmp_path)
    assert (tmp_path / "last.pt").read_bytes() == good
    assert names(tmp_path) == ["last.pt"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB, if this machine allows it."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(tmp_path)]
    try:
        allowed = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        allowed = False
    if not allowed:
        pytest.skip("no file system can be mounted here")
    yield tmp_path
    # torch's writer of the failed file lives as long as the error.
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def test_full_disk(small_disk: Path) -> None:
    good = write(small_disk).read_bytes()
    with pytest.raises(VepeError, match="Free some disk space"):
        write(small_disk, 100_000)
    assert (small_disk / "last.pt").read_bytes() == good
    assert names(small_disk) == ["last.pt"]
    assert load_checkpoint(small_disk / "last.pt", IDENTITY).progress.step == 2


@pytest.mark.parametrize(
    ("changes", "processes", "named"),
    [
        ({}, 1, []),
        ({"data_root": "/elsewhere", "workers": 8, "checkpoint_minutes": 1}, 1, []),
        ({"logging": ["wandb"], "image_every_steps": 7, "device": "auto"}, 1, []),
        ({"seed": 4}, 1, ["seed"]),
        ({"losses": {"oks": 1}, "ema": 0.9}, 1, ["ema", "losses.oks"]),
        ({"stages": [{**FRAMES, "steps": 9}, TEMPORAL]}, 1, ["stages.0.steps"]),
        ({"accumulate": 2}, 1, ["stages.0.batch", "stages.1.batch"]),
        ({}, 2, ["stages.0.batch", "stages.1.batch"]),
        # The same clips per optimiser step, split differently.
        ({"stages": [{**FRAMES, "batch": 1}, {**TEMPORAL, "batch": 1}]}, 2, ["stages.1.batch"]),
        ({"stages": [{**FRAMES, "batch": 1}, TEMPORAL], "accumulate": 2}, 1, ["stages.1.batch"]),
        ({"clips_per_step": FRAMES["batch"]}, 1, ["stages.1.batch"]),
    ],
)
def test_changed_keys(changes: dict[str, Any], processes: int, named: list[str]) -> None:
    old = recipe().model_dump(mode="json")
    new = recipe(**changes).model_dump(mode="json")
    assert changed_keys(old, new, 1, processes) == named


def test_moved_data_can_be_resumed() -> None:
    def at(root: str, strict: bool) -> dict[str, Any]:
        data = {"kind": "posetrack", "root": root, "strict": strict}
        return recipe(stages=[{**FRAMES, "data": [data]}]).model_dump(mode="json")

    assert changed_keys(at("a", False), at("/b", True), 1, 1) == []
