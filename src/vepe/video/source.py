"""The interface of every source of frames, `VideoSource`, and the two rules that they share.

`Span` decides which frames of a source are read, `Clock` keeps their times increasing. To add a
source: derive from `VideoSource`, yield `Frame` values that pass both, and open it in
`reader.open_video`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Self

from vepe.errors import VepeError
from vepe.types import Frame, VideoInfo

MIN_JUMP_S = 0.5
"""Timestamps that go back by this much start a new recording; smaller steps back are faults."""


@dataclass(frozen=True)
class Span:
    """The part of a source to read: `start_s <= time_s < end_s`, every `stride`-th frame index.

    The stride counts from the source's first frame, not the span's, so that the same frames are
    chosen wherever a run starts and an interrupted run can be continued.

    Raises:
        VepeError: on a negative start, an end before the start, or a stride below 1.
    """

    start_s: float = 0.0
    end_s: float | None = None
    stride: int = 1

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_s) and self.start_s >= 0):
            raise VepeError(f"The start is {self.start_s} s; give 0 or more seconds.")
        if self.end_s is not None and not self.end_s > self.start_s:
            raise VepeError(
                f"The end at {self.end_s:g} s is not after the start at {self.start_s:g} s; "
                "give a later end."
            )
        if self.stride < 1:
            raise VepeError(
                f"The stride is {self.stride}; give 1 for every frame, 2 for every other."
            )

    def is_over(self, time_s: float) -> bool:
        """Whether a frame at this time, and so all later ones, are behind the span."""
        return self.end_s is not None and time_s >= self.end_s

    def includes(self, frame_index: int, time_s: float) -> bool:
        """Whether this frame is to be read."""
        return (
            time_s >= self.start_s and not self.is_over(time_s) and frame_index % self.stride == 0
        )

    def frame_count(self, total: int, fps: float) -> int:
        """Number of frames in the span, of `total` at a constant `fps`; an estimate under VFR."""
        # The small tolerance keeps a time that falls on a frame from being rounded past it.
        first = math.ceil(self.start_s * fps - 1e-6)
        last = total if self.end_s is None else min(total, math.ceil(self.end_s * fps - 1e-6))
        return max(0, -(-last // self.stride) - -(-first // self.stride))


class Clock:
    """Turns raw timestamps into times that always increase.

    Good timestamps pass unchanged. A missing one is put one nominal frame after the last. One that
    repeats or goes back a little moves that frame alone, into the nominal frame after the last
    good timestamp. Where timestamps jump back by `MIN_JUMP_S` or more (joined recordings, a
    restarted stream), all later ones are shifted behind the last.
    """

    def __init__(self, fps: float) -> None:
        self._step_s = 1.0 / fps
        self._last_s: float | None = None
        self._good_s = 0.0
        self._moved = 0
        self._shift_s = 0.0

    def next_time(self, raw_s: float | None) -> float:
        """Time in seconds of the next frame, from its raw timestamp in seconds or None."""
        last_s = self._last_s
        expected_s = 0.0 if last_s is None else last_s + self._step_s
        time_s = expected_s if raw_s is None else raw_s + self._shift_s
        if last_s is not None and time_s <= last_s:
            if last_s - time_s < MIN_JUMP_S:
                return self._moved_time(last_s)
            self._shift_s += expected_s - time_s
            time_s = expected_s
        self._last_s = self._good_s = time_s
        self._moved = 0
        return time_s

    def _moved_time(self, last_s: float) -> float:
        """A time after `last_s`, but before the nominal frame behind the last good timestamp."""
        self._moved += 1
        time_s = self._good_s + self._step_s * (1 - 0.5**self._moved)
        self._last_s = max(time_s, math.nextafter(last_s, math.inf))
        return self._last_s


class VideoSource(ABC):
    """Frames in order of time, from a file, a folder, a camera or a network stream.

    A context manager; iterating gives `Frame` values (RGB uint8, upright, square pixels). Files and
    folders can be iterated again, live sources only once.

    Attributes:
        info: what is known before decoding.
        time_base: unit of the source's timestamps in seconds; None if it has none.
        warning: one sentence for the user if frames are missing or were changed, else None.
            Complete once the iteration has ended.
        incomplete: whether part of the source could not be read. Final once the iteration has
            ended.
        dropped: how many frames of a live source came faster than they were taken, so far.
    """

    info: VideoInfo
    time_base: Fraction | None = None
    warning: str | None = None
    incomplete: bool = False
    dropped: int = 0

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]: ...

    @abstractmethod
    def close(self) -> None:
        """Stops reading and frees the source; may be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
