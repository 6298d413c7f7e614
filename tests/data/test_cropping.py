"""Labels at the image border and behind other things."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from figures.dots import people_at
from vepe.data.clip import HIDDEN, VISIBLE
from vepe.data.transforms.cropping import behind, concat, in_view


def three_people() -> np.ndarray:
    return np.array([[[10.0, 10], [20, 10], [30, 10], [40, 20], [50, 20]]]).repeat(3, axis=0)


def test_keypoints_outside_the_image_become_unlabelled() -> None:
    points = three_people()
    points[1] += 200  # outside
    points[2] += (85, 0)  # one keypoint remains in view
    cropped = in_view(people_at(points), (100, 100))
    assert cropped.track_ids.tolist() == [10]
    assert cropped.visibility.tolist() == [[2, 2, 2, 2, 2]]
    assert len(cropped.ignore_boxes_xyxy_px) == 2  # its own, and the third with too little in view
    assert cropped.boxes_xyxy_px.min() >= 0


@pytest.mark.parametrize(
    ("shift", "fraction"), [((0, 0), 1.0), ((-60, 0), 0.5), ((0, 60), 0.5), ((-60, -60), 0.25)]
)
def test_area_shrinks_with_the_visible_part(shift: tuple[int, int], fraction: float) -> None:
    points = np.array([[[x, y] for x in (20.0, 50, 80, 100) for y in (20.0, 50, 80, 100)]])
    people = replace(people_at(points), boxes_xyxy_px=np.array([[0.0, 0, 120, 120]], np.float32))
    moved = replace(
        people,
        keypoints_px=people.keypoints_px + np.array(shift, np.float32),
        boxes_xyxy_px=people.boxes_xyxy_px + np.tile(shift, 2).astype(np.float32),
    )
    cropped = in_view(moved, (120, 120))
    assert cropped.areas_px == pytest.approx(fraction * people.areas_px)


def test_one_keypoint_is_enough_for_a_skeleton_of_one() -> None:
    assert len(in_view(people_at(np.array([[[50.0, 50.0]]])), (99, 99))) == 1


def test_covered_keypoints_are_hidden_and_covered_people_ignored() -> None:
    people = people_at(three_people() + np.array([0, 40, 80])[:, None, None] * (0, 1))
    people = replace(people, visibility=np.array([[2, 2, 2, 2, 1]] * 3))
    cover = np.zeros((120, 100), np.float32)
    cover[:40, :25] = 1  # two of the first's five keypoints
    cover[40:80] = 1  # all of the second
    left = behind(people, cover)
    assert left.track_ids.tolist() == [10, 12]
    assert left.visibility.tolist() == [[1, 1, 2, 2, 1], [2, 2, 2, 2, 1]]
    assert np.array_equal(left.ignore_boxes_xyxy_px[1:], people.boxes_xyxy_px[1:2])
    spared = behind(people, cover, np.array([True, False, True]))
    assert spared.visibility[1].tolist() == [VISIBLE] * 4 + [HIDDEN]


def test_concat_of_parts_with_and_without_head_boxes() -> None:
    known = people_at(three_people())
    unknown = replace(known, head_boxes_xyxy_px=None)
    both = concat([unknown, known])
    assert len(both) == 6
    assert np.isnan(both.head_boxes_xyxy_px[:3]).all()
    assert np.array_equal(both.head_boxes_xyxy_px[3:], known.head_boxes_xyxy_px)
