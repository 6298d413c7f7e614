"""People of a frame: selection, and no people."""

from __future__ import annotations

import numpy as np
import pytest

from vepe.data.clip import People


def three_people() -> People:
    return People(
        keypoints_px=np.arange(12, dtype=np.float32).reshape(3, 2, 2),
        visibility=np.array([[2, 1], [0, 2], [2, 2]]),
        boxes_xyxy_px=np.arange(12, dtype=np.float32).reshape(3, 4),
        areas_px=np.array([1, 2, 3], np.float32),
        track_ids=np.array([5, 6, -1]),
        ignore_boxes_xyxy_px=np.ones((2, 4), np.float32),
    )


@pytest.mark.parametrize(
    ("index", "ids"),
    [(np.array([2, 0]), [-1, 5]), (np.array([False, True, False]), [6]), (np.array([], int), [])],
)
def test_select_applies_to_every_field(index: np.ndarray, ids: list[int]) -> None:
    people = three_people()
    chosen = people.select(index)
    assert chosen.track_ids.tolist() == ids
    assert len(chosen) == len(ids)
    for n, track in enumerate(ids):
        old = people.track_ids.tolist().index(track)
        np.testing.assert_array_equal(chosen.keypoints_px[n], people.keypoints_px[old])
        np.testing.assert_array_equal(chosen.visibility[n], people.visibility[old])
        np.testing.assert_array_equal(chosen.boxes_xyxy_px[n], people.boxes_xyxy_px[old])
        assert chosen.areas_px[n] == people.areas_px[old]
    assert chosen.ignore_boxes_xyxy_px.shape == (2, 4)


def test_empty_people_have_the_right_shapes() -> None:
    empty = People.empty(17)
    assert len(empty) == 0
    assert empty.keypoints_px.shape == (0, 17, 2)
    assert empty.visibility.shape == (0, 17)
    assert empty.boxes_xyxy_px.shape == (0, 4) == empty.ignore_boxes_xyxy_px.shape
