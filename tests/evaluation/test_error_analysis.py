"""Timelines and worst frames of small made-up sequences."""

from __future__ import annotations

import numpy as np
from evaluation_scenes import one_sequence

from vepe.evaluation.error_analysis import timelines, worst_frames


def test_timeline_marks_switches_and_fragmentations() -> None:
    match = one_sequence([[1, 5], [1, 6], [None, 6], [1, 6], [2, 5], [2, 5]])
    (line,) = timelines(match)
    assert line.present.shape == (2, 5)  # the last labelled frame is not tracked
    assert np.argwhere(line.switch).tolist() == [[0, 4], [1, 1], [1, 4]]
    assert np.argwhere(line.fragment).tolist() == [[0, 3]]
    assert line.partner[0, 2] == -1


def test_first_match_after_misses_is_no_fragment() -> None:
    (line,) = timelines(one_sequence([[None], [None], [3], [3], [3]]))
    assert not line.fragment.any()
    assert not line.switch.any()


def test_worst_frame_comes_first() -> None:
    match = one_sequence([[1, 5], [1, None], [None, None], [1, 5]])
    frames = worst_frames(match, 5)
    assert [(f.position, f.missed, f.wrong) for f in frames] == [(2, 30, 0), (1, 15, 0)]
