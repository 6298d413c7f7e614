"""Fixtures of the commands: a tiny model, a small clip, and `vepe track` with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A folder with `tiny.safetensors` and `clip.mp4` of the module's `CLIP_FRAMES` frames."""
    import torch

    from tiny_models import moving_frames, tiny_weights_file, write_video

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("place")
    tiny_weights_file(folder)
    write_video(folder / "clip.mp4", moving_frames(request.module.CLIP_FRAMES))
    return folder


@pytest.fixture
def track(place: Path, tmp_path: Path) -> Callable[..., int]:
    """Runs `vepe track` into `tmp_path/out` with the tiny model, or another --model."""
    from vepe.cli import app as cli

    def call(*words: object) -> int:
        options = ["-o", tmp_path / "out", "--model", place / "tiny.safetensors"]
        return cli.run([str(word) for word in ["track", *options, *words]])

    return call
