"""Poses are drawn at their position in the person's colour; colours differ and stay the same."""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np
import pytest

from vepe.errors import VepeError
from vepe.skeleton import COCO17, POSETRACK15, Skeleton
from vepe.types import FramePoses
from vepe.viz.drawing import WHITE, Colour, draw_poses, mix, person_colour, readable_on

GREY = 128
# A person who faces the camera: the left side is on the image's right.
STANDING = {
    **{"nose": (0, 12), "head_bottom": (0, 20), "head_top": (0, 0)},
    **{"shoulder": (14, 26), "elbow": (20, 44), "wrist": (22, 60)},
    **{"hip": (9, 60), "knee": (10, 82), "ankle": (11, 104)},
}


def standing(x: float, y: float, scale: float = 1.0) -> np.ndarray:
    points = []
    for name in POSETRACK15.keypoints:
        side, _, joint = name.partition("_")
        dx, dy = STANDING.get(name) or STANDING[joint]
        points.append((x + scale * dx * (-1 if side == "right" else 1), y + scale * dy))
    return np.asarray(points, np.float32)


def frame(*people: np.ndarray, ids: tuple[int, ...] | None = None) -> FramePoses:
    count = len(people)
    return FramePoses(
        frame_index=0,
        time_s=0.0,
        keypoints_px=np.stack(people),
        keypoint_scores=np.full((count, people[0].shape[0]), 0.9, np.float32),
        scores=np.full(count, 0.9, np.float32),
        track_ids=np.asarray(ids if ids is not None else [-1] * count),
    )


def grey_image(height: int = 240, width: int = 320) -> np.ndarray:
    return np.full((height, width, 3), GREY, np.uint8)


def changed(drawn: np.ndarray) -> np.ndarray:
    return (drawn != GREY).any(axis=-1)


def middle_of(poses: FramePoses, a: str, b: str, person: int = 0) -> tuple[int, int]:
    k = [POSETRACK15.index(a), POSETRACK15.index(b)]
    x, y = poses.keypoints_px[person, k].mean(axis=0)
    return int(y), int(x)


def test_input_image_is_not_changed() -> None:
    image = grey_image()
    drawn = draw_poses(image, frame(standing(160, 60)), POSETRACK15)
    assert (image == GREY).all()
    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8
    assert changed(drawn).sum() > 500


def test_no_people_returns_an_equal_copy() -> None:
    image = grey_image()
    drawn = draw_poses(image, FramePoses.empty(0, 0.0, 15), POSETRACK15)
    assert drawn is not image
    np.testing.assert_array_equal(drawn, image)


@pytest.mark.parametrize("at", [(50.5, 40.5), (50.0, 40.0), (51.25, 39.75)])
def test_keypoint_is_drawn_at_its_position(at: tuple[float, float]) -> None:
    skeleton = Skeleton("dot", ("only",), (), (), (0.1,))
    poses = frame(np.asarray([at], np.float32))
    drawn = draw_poses(grey_image(100, 100), poses, skeleton)
    weight = np.abs(drawn.astype(float) - GREY).sum(axis=-1)
    rows, columns = np.mgrid[:100, :100] + 0.5
    centre = (weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()
    assert centre == pytest.approx(at, abs=0.15)


def test_low_scoring_keypoints_and_their_limbs_are_not_drawn() -> None:
    poses = frame(standing(160, 60))
    wrist = POSETRACK15.index("left_wrist")
    poses.keypoint_scores[0, wrist] = 0.1
    drawn = draw_poses(grey_image(), poses, POSETRACK15)
    x, y = poses.keypoints_px[0, wrist].astype(int)
    assert not changed(drawn)[y - 5 : y + 6, x - 5 : x + 6].any()
    assert not changed(drawn)[middle_of(poses, "left_elbow", "left_wrist")]
    assert changed(drawn)[middle_of(poses, "right_elbow", "right_wrist")]
    low = draw_poses(grey_image(), poses, POSETRACK15, min_keypoint_score=0.05)
    assert changed(low)[y, x]


def test_track_keeps_its_colour_in_any_order() -> None:
    a, b = standing(90, 60), standing(230, 60)
    first = frame(a, b, ids=(7, 3))
    second = frame(b, a, ids=(3, 7))
    at = middle_of(first, "left_shoulder", "right_shoulder")
    one = draw_poses(grey_image(), first, POSETRACK15, labels=False)
    two = draw_poses(grey_image(), second, POSETRACK15, labels=False)
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one[at], person_colour(7))
    other = middle_of(first, "left_shoulder", "right_shoulder", person=1)
    np.testing.assert_array_equal(one[other], person_colour(3))


def test_left_limbs_are_lighter_than_right_ones() -> None:
    poses = frame(standing(160, 60))
    drawn = draw_poses(grey_image(), poses, POSETRACK15).astype(int)
    left = drawn[middle_of(poses, "left_hip", "left_knee")].sum()
    right = drawn[middle_of(poses, "right_hip", "right_knee")].sum()
    assert left > right + 100


def test_line_width_grows_with_the_person_within_bounds() -> None:
    widths = []
    for scale in (1.0, 3.0, 9.0):
        poses = frame(standing(500, 40, scale))
        drawn = draw_poses(grey_image(1000, 1000), poses, POSETRACK15)
        row, column = middle_of(poses, "left_hip", "left_knee")
        widths.append(
            int(changed(drawn)[row, column - int(8 * scale) : column + int(8 * scale)].sum())
        )
    assert widths[0] < widths[1] <= widths[2] <= 16


def test_only_tracked_people_get_labels() -> None:
    image, person = grey_image(), standing(160, 80)
    plain = draw_poses(image, frame(person), POSETRACK15)
    tracked = draw_poses(image, frame(person, ids=(12,)), POSETRACK15)
    unlabelled = draw_poses(image, frame(person, ids=(12,)), POSETRACK15, labels=False)
    above = slice(0, 74)
    assert not changed(plain)[above].any()
    assert not changed(unlabelled)[above].any()
    label = tracked[above]
    assert (label == person_colour(12)).all(axis=-1).sum() > 40


@pytest.mark.parametrize("corner", [(4, 4), (316, 4), (4, 130), (316, 130)])
def test_labels_stay_in_the_image(corner: tuple[int, int]) -> None:
    poses = frame(standing(*corner), ids=(88,))
    inner = draw_poses(grey_image(), frame(standing(160, 80), ids=(88,)), POSETRACK15)
    plate = (inner == person_colour(88)).all(axis=-1)[:74].sum()
    drawn = draw_poses(grey_image(), poses, POSETRACK15)
    assert (drawn == person_colour(88)).all(axis=-1).sum() >= 0.8 * plate


def test_nan_keypoints_are_not_drawn() -> None:
    poses = frame(np.full((15, 2), np.nan, np.float32), standing(160, 60))
    drawn = draw_poses(grey_image(), poses, POSETRACK15)
    alone = draw_poses(
        grey_image(), poses.select(np.array([1, 1])), POSETRACK15
    )  # twice the same person, so that the colour by index is the same
    np.testing.assert_array_equal(changed(drawn), changed(alone))


def test_keypoints_far_outside_are_not_drawn() -> None:
    poses = frame(standing(1e6, 1e6))
    np.testing.assert_array_equal(draw_poses(grey_image(), poses, POSETRACK15), grey_image())


def test_any_skeleton_can_be_drawn() -> None:
    poses = frame(np.random.default_rng(1).uniform(20, 200, (17, 2)).astype(np.float32))
    drawn = draw_poses(grey_image(), poses, COCO17)
    x, y = poses.keypoints_px[0].astype(int).T
    assert changed(drawn)[y, x].all()


@pytest.mark.parametrize(
    ("image", "skeleton", "message"),
    [
        (np.zeros((9, 9), np.uint8), POSETRACK15, "uint8 RGB"),
        (np.zeros((9, 9, 3), np.float32), POSETRACK15, "float32"),
        (np.zeros((9, 9, 3), np.uint8), COCO17, "coco17"),
    ],
)
def test_wrong_input_is_refused(image: np.ndarray, skeleton: Skeleton, message: str) -> None:
    with pytest.raises(VepeError, match=message):
        draw_poses(image, frame(standing(5, 5)), skeleton)


def lab(colour: Colour) -> np.ndarray:
    pixel = np.asarray(colour, np.float32).reshape(1, 1, 3) / 255
    return cv2.cvtColor(pixel, cv2.COLOR_RGB2LAB)[0, 0]


def luminance(colour: Colour) -> float:
    c = np.asarray(colour) / 255
    linear = np.where(c <= 0.03928, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_the_first_colours_are_far_apart() -> None:
    distances = [
        np.linalg.norm(lab(person_colour(a)) - lab(person_colour(b)))
        for a, b in combinations(range(10), 2)
    ]
    assert min(distances) > 18


def test_consecutive_numbers_always_differ_strongly() -> None:
    for first in range(0, 3000, 7):
        a, b = lab(person_colour(first)), lab(person_colour(first + 1))
        assert np.linalg.norm(a - b) > 40


def test_all_colours_are_in_range_and_stable() -> None:
    colours = [person_colour(n) for n in range(-50, 2000)]
    assert all(0 <= channel <= 255 for colour in colours for channel in colour)
    assert all(max(colour) - min(colour) > 40 for colour in colours), "no greys"
    assert colours == [person_colour(n) for n in range(-50, 2000)]


def test_text_is_readable_on_every_colour() -> None:
    for n in range(200):
        ground = person_colour(n)
        a, b = sorted((luminance(ground), luminance(readable_on(ground))))
        assert (b + 0.05) / (a + 0.05) >= 4.0


@pytest.mark.parametrize(
    ("weight", "expected"), [(0.0, (10, 20, 30)), (1.0, WHITE), (0.5, (132, 138, 142))]
)
def test_mix(weight: float, expected: Colour) -> None:
    assert mix((10, 20, 30), WHITE, weight) == expected
