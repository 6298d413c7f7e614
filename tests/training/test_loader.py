"""The loader of a stage: errors of workers are one sentence, and the default number of workers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from tiny_recipe import recipe

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
    config = recipe(workers=workers, data_root=str(tmp_path))
    one = SimpleNamespace(index=0, count=1, device=torch.device("cpu"))
    batches = loader.StageLoader(config, config.stages[0], 0, 0, POSETRACK15, one)
    with pytest.raises(VepeError, match=r"^Image 'a.jpg' is damaged; replace it.$"):
        next(iter(batches))


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
