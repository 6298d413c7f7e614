"""Checkpoints that cannot be gone on with say why, and a full disk leaves the last good one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_recipe import recipe

from vepe.config.model import ModelConfig
from vepe.errors import VepeError
from vepe.training.checkpoint import (
    Progress,
    RunIdentity,
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
    found = load_checkpoint(path, IDENTITY)
    assert found.progress == Progress(1, 2, 3.0)
    assert set(found.parts["model"]) == {"weight", "bias"}
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
def test_another_run_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
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
        torch.save({"a": Progress}, path)  # code, which is never loaded
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
    ("state", "message"),
    [
        ({"format": 99, "versions": {"vepe": "9.0"}}, "VEPE 9.0 in another format"),
        ({"progress": {}, "parts": {}, "config": "{}"}, "an older version"),
    ],
)
def test_another_format(tmp_path: Path, state: dict[str, Any], message: str) -> None:
    torch.save(state, tmp_path / "last.pt")
    with pytest.raises(VepeError, match=message):
        load_checkpoint(tmp_path / "last.pt", IDENTITY)


def test_options_of_another_version_are_named(tmp_path: Path) -> None:
    path = write(tmp_path)
    old = recipe().model_dump(mode="json")
    old["warmup"] = 5
    with_state(path, config=json.dumps(old))
    with pytest.raises(VepeError, match="'warmup' differs"):
        load_checkpoint(path, IDENTITY)


def test_a_write_that_fails_half_way_leaves_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = write(tmp_path).read_bytes()

    def full_disk(state: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(VepeError, match=r"No space left on device.*make room"):
        write(tmp_path)
    assert (tmp_path / "last.pt").read_bytes() == good
    assert names(tmp_path) == ["last.pt"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB, where this machine lets us have one."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(tmp_path)]
    try:
        allowed = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        allowed = False
    if not allowed:
        pytest.skip("no file system may be mounted here")
    yield tmp_path
    # torch's writer of the failed file lives as long as the error that tells of it.
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    good = write(small_disk).read_bytes()
    with pytest.raises(VepeError, match="make room"):
        write(small_disk, 100_000)
    assert (small_disk / "last.pt").read_bytes() == good
    assert names(small_disk) == ["last.pt"]
    assert load_checkpoint(small_disk / "last.pt", IDENTITY).progress.step == 2
