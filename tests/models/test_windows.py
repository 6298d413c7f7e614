"""Which frames a key frame reads."""

from __future__ import annotations

import pytest

from vepe.models.windows import window_indices, window_reads


@pytest.mark.parametrize(
    ("key", "available", "window", "lookahead", "reads"),
    [
        (0, 9, 3, 0, []),
        (1, 9, 3, 0, [0]),
        (5, 9, 3, 0, [3, 4]),
        (5, 9, 9, 0, [1, 3, 4]),  # no more than three past frames
        (0, 9, 3, 1, [1]),
        (5, 9, 3, 1, [4, 6]),
        (8, 9, 3, 1, [7]),
        (5, 9, 6, 2, [1, 3, 4, 6, 7]),
        (4, 9, 7, 4, [0, 2, 3, 5, 6, 8]),
        (4, 9, 7, 3, [0, 2, 3, 5, 6]),  # the third frame ahead is not among the offsets
        (6, 9, 7, 4, [2, 4, 5, 7, 8]),
        (4, 9, 3, 4, [5, 6]),
        (5, 9, 1, 4, []),  # a window of one has no future
    ],
)
def test_window_reads(
    key: int, available: int, window: int, lookahead: int, reads: list[int]
) -> None:
    assert window_reads(key, available, window, lookahead) == reads


@pytest.mark.parametrize(
    ("key", "lookahead", "memory_interval_s", "frames", "index", "reads"),
    [
        (5, 0, 0.0, [3, 4, 5], 2, [0, 1]),
        (5, 0, 0.1, [0, 3, 5], 2, [0, 1]),
        (6, 0, 0.1, [3, 5, 6], 2, [0, 1]),
        (6, 0, 0.08, [4, 5, 6], 2, [0, 1]),
        (2, 0, 0.08, [0, 2], 1, [0]),
        (3, 0, 0.08, [0, 2, 3], 2, [0, 1]),
        (5, 1, 0.1, [3, 5, 6], 1, [0, 2]),
        (0, 2, 0.1, [0, 1, 2], 0, [1, 2]),
        (0, 0, 0.0, [0], 0, []),
    ],
)
def test_window_indices(
    key: int,
    lookahead: int,
    memory_interval_s: float,
    frames: list[int],
    index: int,
    reads: list[int],
) -> None:
    times = [0.0, 0.04, 0.08, 0.15, 0.16, 0.31, 0.5]
    assert window_indices(times, key, 3, lookahead, memory_interval_s) == (frames, index, reads)
