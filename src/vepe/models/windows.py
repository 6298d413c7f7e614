"""Which frames a key frame reads: the same rules for clips and for streams.

No torch: whatever runs the network follows them.
"""

from __future__ import annotations

from collections.abc import Sequence

OFFSETS = (1, 2, 4)
"""How far the frames that a key frame reads are from it, nearest first, in memory before it and
among the frames after it. Errors of near frames are alike, far frames are aligned less well."""

MEMORY = ("score_logits", "keypoints_px", "confidence_logits", "identity")
"""Names of the tensors that a stream keeps of a frame: its poses before `sigmoid`, see
`vepe.models.decoder_layer.PoseOutput`."""


def window_reads(key: int, available: int, window: int, lookahead: int) -> list[int]:
    """Indices of the frames that the key frame at index `key` reads, among `available` frames.

    Of the `window - 1` frames, those after it lie up to `lookahead` frames ahead, the rest before
    it, both at `OFFSETS`. What does not exist is left out.
    """
    ahead, before = _offsets(window, lookahead)
    past = (key - offset for offset in reversed(before))
    future = (key + offset for offset in ahead)
    return [*(i for i in past if i >= 0), *(i for i in future if i < available)]


def frames_in_memory(window: int, lookahead: int) -> int:
    """How many frames before the key frame are kept in memory."""
    _, before = _offsets(window, lookahead)
    return before[-1] if before else 0


def _offsets(window: int, lookahead: int) -> tuple[Sequence[int], Sequence[int]]:
    """The offsets of a window's frames after and before its key frame."""
    ahead = [offset for offset in OFFSETS if offset <= lookahead][: window - 1]
    return ahead, OFFSETS[: window - 1 - len(ahead)]


def keep_in_memory(gap_s: float, memory_interval_s: float) -> bool:
    """Whether a frame `gap_s` after the last one in memory is kept for later windows.

    The tolerance of 0.1 ms is for rounded timestamps.
    """
    return gap_s >= memory_interval_s - 1e-4


def window_indices(
    times_s: Sequence[float], key: int, window: int, lookahead: int, memory_interval_s: float
) -> tuple[list[int], int, list[int]]:
    """The window of frame `key` of a clip.

    Frames before the key frame are thinned by `keep_in_memory`, then `window_reads` applies.

    Returns:
        frames: indices of its successive frames, from the first to the last that is read.
        key: index of the key frame among them.
        reads: indices of the frames that it reads among them.
    """
    line: list[int] = []
    for index in range(key):
        if not line or keep_in_memory(times_s[index] - times_s[line[-1]], memory_interval_s):
            line.append(index)
    place = len(line)
    line += range(key, len(times_s))
    reads = window_reads(place, len(line), window, lookahead)
    first, end = min([place, *reads]), max([place, *reads]) + 1
    return line[first:end], place - first, [index - first for index in reads]
