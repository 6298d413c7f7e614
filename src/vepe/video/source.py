"""What every source of frames offers: `VideoSource`, and the two rules they share.

`Span` says which frames of the source are wanted, `Clock` keeps their times increasing.
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


@dataclass(frozen=True)
class Span:
    """The wanted part of a source: `start_s <= time_s < end_s`, every `stride`-th frame index.

    Counting the stride from the source's first frame, not the span's, keeps the same frames
    chosen wherever a run starts, so that a broken run can be taken up again.

    Raises:
        VepeError: on a negative start, an end before the start, a stride below 1.
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
        """Whether a frame at this time, and so all later ones, lie behind the span."""
        return self.end_s is not None and time_s >= self.end_s

    def wants(self, frame_index: int, time_s: float) -> bool:
        """Whether this frame is to be read."""
        return (
            time_s >= self.start_s and not self.is_over(time_s) and frame_index % self.stride == 0
        )

    def frame_count(self, total: int, fps: float) -> int:
        """How many of `total` frames at a constant `fps` the span holds; an estimate under VFR."""
        # The small slack keeps a time that falls on a frame from being rounded past it.
        first = math.ceil(self.start_s * fps - 1e-6)
        last = total if self.end_s is None else min(total, math.ceil(self.end_s * fps - 1e-6))
        return max(0, -(-last // self.stride) - -(-first // self.stride))


class Clock:
    """Turns raw timestamps into times that always increase.

    Good timestamps pass unchanged. A missing one is put one nominal frame after the last; where
    timestamps jump back (joined recordings, a restarted stream), the rest is moved behind.
    """

    def __init__(self, fps: float) -> None:
        self._step_s = 1.0 / fps
        self._last_s: float | None = None
        self._shift_s = 0.0

    def tell(self, raw_s: float | None) -> float:
        """Time in seconds of the next frame, from its raw timestamp in seconds or None."""
        expected_s = 0.0 if self._last_s is None else self._last_s + self._step_s
        time_s = expected_s if raw_s is None else raw_s + self._shift_s
        if self._last_s is not None and time_s <= self._last_s:
            self._shift_s += expected_s - time_s
            time_s = expected_s
        self._last_s = time_s
        return time_s


class VideoSource(ABC):
    """Frames in order of time, from a file, a folder, a camera or a network stream.

    A context manager; iterating gives `Frame` values (RGB uint8, upright). Files and folders can
    be iterated again, live sources only once.

    Attributes:
        info: what is known before decoding.
        time_base: unit of the source's timestamps in seconds; None where it has none.
        warning: one sentence for the user where reading had to stop early or frames were changed,
            else None. Complete once the iteration has ended.
        dropped: how many frames of a live source came faster than they were taken, so far.
    """

    info: VideoInfo
    time_base: Fraction | None = None
    warning: str | None = None
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
