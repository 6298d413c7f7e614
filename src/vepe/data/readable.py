"""A source that goes on where a picture cannot be read."""

from __future__ import annotations

import warnings
from dataclasses import replace

from vepe.data.clip import Clip
from vepe.data.mixture import ClipSource
from vepe.data.pictures import UnreadablePictureError
from vepe.errors import VepeError, VepeWarning

TRIES = 20
"""Clips in a row that may be unreadable before it is no longer chance."""


class Readable:
    """Clip i of another source, or the next one that can be read.

    The same clips come out in every run. What was skipped stands in `Clip.unreadable`, and each
    picture is told once by every process that meets it.

    Args:
        source: where the clips come from.
        strict: whether an unreadable picture ends the run instead.
    """

    def __init__(self, source: ClipSource, *, strict: bool = False) -> None:
        self.source, self.strict = source, strict
        self._told: set[str] = set()

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Clip:
        """Clip `index`, or the nearest after it.

        Raises:
            VepeError: at the first unreadable picture where `strict`, else after `TRIES` in a row.
        """
        lost: list[str] = []
        for attempt in range(TRIES):
            try:
                clip = self.source[(index + attempt) % len(self.source)]
            except UnreadablePictureError as error:
                if self.strict:
                    raise
                lost.append(str(error))
                if str(error) not in self._told:
                    self._told.add(str(error))
                    text = f"{error} Another clip is taken instead."
                    warnings.warn(text, VepeWarning, stacklevel=2)
            else:
                return replace(clip, unreadable=tuple(lost)) if lost else clip
        raise VepeError(f"{TRIES} clips in a row could not be read; the last: {lost[-1]}")
