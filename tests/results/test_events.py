"""Callbacks: each track starts and ends once, in order, whatever the gaps."""

from __future__ import annotations

import numpy as np
import pytest

from vepe.results.events import TrackEvents
from vepe.results.frame import FrameResult
from vepe.skeleton import POSETRACK15
from vepe.types import NO_TRACK, FramePoses


def frame(time_s: float, ids: list[int]) -> FrameResult:
    count = len(ids)
    poses = FramePoses(
        round(time_s * 10),
        time_s,
        np.zeros((count, 15, 2)),
        np.ones((count, 15)),
        np.ones(count),
        np.array(ids, np.int64),
    )
    return FrameResult.of(poses, POSETRACK15)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([[1], [1], [1]], ["start 1 @0.0", "end 1 @0.2"]),
        ([[], [2, 1], []], ["start 1 @0.1", "start 2 @0.1", "end 1 @0.1", "end 2 @0.1"]),
        # A gap of 0.2 s is none; one of 0.4 s ends the track where it began.
        ([[1], [], [1]], ["start 1 @0.0", "end 1 @0.2"]),
        ([[1], [], [], [], [2]], ["start 1 @0.0", "end 1 @0.0", "start 2 @0.4", "end 2 @0.4"]),
        ([[NO_TRACK], [NO_TRACK]], []),
        ([], []),
    ],
)
def test_starts_and_ends(seen: list[list[int]], expected: list[str]) -> None:
    calls: list[str] = []
    events = TrackEvents(
        0.25,
        on_track_start=lambda i, result: calls.append(f"start {i} @{result.time_s:.1f}"),
        on_track_end=lambda i, result: calls.append(f"end {i} @{result.time_s:.1f}"),
    )
    for index, ids in enumerate(seen):
        events.push(frame(index / 10, ids))
    events.finish()
    assert calls == expected


def test_every_frame_after_the_starts_in_it() -> None:
    calls: list[object] = []
    events = TrackEvents(
        1.0, on_frame=calls.append, on_track_start=lambda i, result: calls.append(i)
    )
    frames = [frame(0.0, [1]), frame(0.1, []), frame(0.2, [1, 2])]
    for item in frames:
        events.push(item)
    assert calls == [1, frames[0], frames[1], 2, frames[2]]


def test_only_tracks_that_can_come_back_are_remembered() -> None:
    events = TrackEvents(0.25)
    for index in range(100):
        events.push(frame(index / 10, [index]))
        assert len(events._last) <= 4
