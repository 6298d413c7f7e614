"""The loader of a stage: errors of workers are one sentence, and the default number of workers."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from tiny_recipe import recipe

from vepe.config.training import TrainConfig
from vepe.errors import VepeError
from vepe.skeleton import POSETRACK15
from vepe.training import loader


class Broken:
    """A source without a readable clip."""

    def __len__(self) -> int:
        return 100

    def __getitem__(self, index: int) -> None:
        raise VepeError("Image 'a.jpg' is damaged; replace it.")


@pytest.mark.parametrize("workers", [0, 1])
def test_error_in_a_worker_is_one_sentence(
    workers: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(loader, "build_mixture", lambda *_: Broken())
    _use_opencv_threads()
    batches = _batches(recipe(workers=workers, data_root=str(tmp_path)))
    with pytest.raises(VepeError, match=r"^Image 'a.jpg' is damaged; replace it.$"):
        next(iter(batches))


class Killed(Broken):
    """A source whose worker is killed, as by the system when memory runs out."""

    def __getitem__(self, index: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_lost_worker_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(loader, "build_mixture", lambda *_: Killed())
    batches = _batches(recipe(workers=1, data_root=str(tmp_path)))
    says = r"was lost, .* --resume .*workers=1, or 0\.$"
    with pytest.raises(VepeError, match=says), loader.explained_losses():
        next(iter(batches))
    with pytest.raises(RuntimeError, match="of another kind"), loader.explained_losses():
        raise RuntimeError("of another kind")


def test_too_little_shared_memory_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(tensor: torch.Tensor) -> torch.Tensor:
        raise RuntimeError(
            "unable to allocate shared memory(shm) for file </t>: No space left (28)"
        )

    monkeypatch.setattr(torch.Tensor, "share_memory_", full)
    config = recipe(workers=1)
    with pytest.raises(VepeError, match=r"/dev/shm \(No space left \(28\)\); enlarge it .*\.$"):
        next(iter(_batches(config)))
    monkeypatch.undo()
    (_, batch), *_ = next(iter(_batches(config)))
    assert batch.images.is_shared()
    assert batch.targets.keypoints_px.is_shared()


def _batches(config: TrainConfig) -> loader.StageLoader:
    one = SimpleNamespace(index=0, count=1, device=torch.device("cpu"))
    return loader.StageLoader(config, config.stages[0], 0, 0, POSETRACK15, one)


@pytest.mark.parametrize(
    ("workers", "device", "cores", "local_processes", "expected"),
    [
        (None, "cpu", 2, None, 0),  # a worker would slow down the step
        (None, "cpu", 64, None, 0),
        (None, "cuda", 4, None, 3),
        (None, "cuda", 64, "4", 8),
        (None, "cuda", 16, "8", 1),
        (None, "cuda", 1, None, 1),
        (5, "cpu", 2, None, 5),
        (0, "cuda", 64, None, 0),
    ],
)
def test_worker_count(
    workers: int | None,
    device: str,
    cores: int,
    local_processes: str | None,
    expected: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loader.os, "cpu_count", lambda: cores)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    if local_processes is not None:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", local_processes)
    assert loader.worker_count(recipe(workers=workers), torch.device(device)) == expected


def _use_opencv_threads() -> None:
    """A worker forked from a process whose OpenCV has threads must not wait for them."""
    cv2.setNumThreads(2)
    image = np.zeros((1080, 1920, 3), np.uint8)
    for _ in range(20):
        cv2.GaussianBlur(image, (31, 31), 0)
