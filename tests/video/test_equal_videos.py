"""Equal frames give equal files, whatever the process did before."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from vepe.video import writer

_M_PERTURB = -6  # of glibc's mallopt: the byte that new memory is filled with


@pytest.fixture
def fill_new_memory() -> Iterator[Callable[[int], None]]:
    """Sets what memory from malloc holds, in place of what was left there."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        pytest.skip("only glibc can fill new memory")
    yield lambda byte: mallopt(_M_PERTURB, byte)
    mallopt(_M_PERTURB, 0)


def moving_video(path: Path, width: int, height: int = 96, count: int = 20) -> bytes:
    """A view that moves over a random texture, as the bytes of a file."""
    texture = np.random.default_rng(0).integers(0, 255, (height // 4, width // 4 + count, 3))
    large = texture.astype(np.uint8).repeat(4, axis=0).repeat(4, axis=1)
    with writer.VideoWriter(path, width=width, height=height, fps=25.0) as video:
        for i in range(count):
            video.write(np.ascontiguousarray(large[:, i : i + width]), i / 25)
    return path.read_bytes()


# The encoder's blocks are 16 px; its fastest code takes eight of them at a time.
@pytest.mark.parametrize("width", [128, 144, 320])
def test_what_is_left_in_memory_does_not_change_a_video(
    width: int, fill_new_memory: Callable[[int], None], tmp_path: Path
) -> None:
    videos = set()
    for byte in (85, 170, 255):
        fill_new_memory(byte)
        videos.add(moving_video(tmp_path / "a.mp4", width))
    assert len(videos) == 1


@pytest.mark.parametrize(
    ("lacks", "params"), [(None, "asm=avx2"), (writer._AVX2, None), (writer._AVX512, None)]
)
def test_code_of_the_encoder_is_chosen_only_where_the_cpu_has_it(
    lacks: int | None, params: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "checkHardwareSupport", lambda feature: feature != lacks)
    assert writer._x264_options.__wrapped__().get("x264-params") == params
