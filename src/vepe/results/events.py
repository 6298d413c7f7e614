"""Callbacks of a tracked video: frames, and people who appear and leave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from vepe.results.frame import FrameResult
from vepe.types import NO_TRACK

OnFrame = Callable[[FrameResult], None]
OnTrack = Callable[[int, FrameResult], None]


@dataclass
class TrackEvents:
    """Calls functions as results come; the state belongs to one video.

    Attributes:
        max_gap_s: a track unseen for longer is over: its id never comes back.
        on_frame: called with every frame.
        on_track_start: called with a new id and its first frame.
        on_track_end: called with an id and the last frame that it was seen in, once it is over or
            the video ended.
    """

    max_gap_s: float
    on_frame: OnFrame | None = None
    on_track_start: OnTrack | None = None
    on_track_end: OnTrack | None = None
    _last: dict[int, FrameResult] = field(default_factory=dict)

    def push(self, result: FrameResult) -> None:
        """Takes the next frame; starts and ends are called before the frame itself."""
        over = [
            track_id
            for track_id, last in self._last.items()
            if result.time_s - last.time_s > self.max_gap_s
        ]
        for track_id in over:
            self._end(track_id)
        for track_id in sorted(set(result.track_ids.tolist()) - {NO_TRACK}):
            is_new = track_id not in self._last
            self._last[track_id] = result
            if is_new and self.on_track_start is not None:
                self.on_track_start(track_id, result)
        if self.on_frame is not None:
            self.on_frame(result)

    def finish(self) -> None:
        """Ends all tracks, after the last frame."""
        for track_id in sorted(self._last):
            self._end(track_id)

    def _end(self, track_id: int) -> None:
        last = self._last.pop(track_id)
        if self.on_track_end is not None:
            self.on_track_end(track_id, last)
