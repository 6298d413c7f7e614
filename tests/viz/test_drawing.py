"""Poses are drawn at their position, in sizes that suit the person, as the options say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vepe.errors import VepeError
from vepe.skeleton import COCO17, POSETRACK15, Skeleton
from vepe.types import FramePoses
from vepe.viz.colours import person_colour
from vepe.viz.drawing import PoseRenderer, draw_poses
from vepe.viz.options import DrawingOptions

NO_LABELS = DrawingOptions(ids=False)

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
    drawn = draw_poses(grey_image(100, 100), poses, skeleton, DrawingOptions(line_width_px=6))
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
    low = draw_poses(grey_image(), poses, POSETRACK15, DrawingOptions(min_keypoint_score=0.05))
    assert changed(low)[y, x]


def test_track_keeps_its_colour_in_any_order() -> None:
    a, b = standing(90, 60), standing(230, 60)
    first = frame(a, b, ids=(7, 3))
    second = frame(b, a, ids=(3, 7))
    at = middle_of(first, "left_hip", "right_hip")
    options = DrawingOptions(ids=False, line_width_px=4)
    one = draw_poses(grey_image(), first, POSETRACK15, options)
    two = draw_poses(grey_image(), second, POSETRACK15, options)
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one[at], person_colour(7))
    other = middle_of(first, "left_hip", "right_hip", person=1)
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
    unlabelled = draw_poses(image, frame(person, ids=(12,)), POSETRACK15, NO_LABELS)
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


@pytest.mark.parametrize("scale", [0.3, 0.6, 1.0, 2.0, 8.0])
def test_figure_covers_a_small_part_of_the_person(scale: float) -> None:
    """A small person must not become a blob: the drawing leaves most of the body visible."""
    person = standing(450, 40, scale)
    drawn = draw_poses(grey_image(1000, 900), frame(person), POSETRACK15)
    box = np.ptp(person, axis=0)
    share = changed(drawn).sum() / (box[0] * box[1])
    assert share < (0.65 if scale < 0.5 else 0.4)


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0, 8.0])
def test_label_is_no_larger_than_the_head(scale: float) -> None:
    poses = frame(standing(450, 120, scale), ids=(3,))
    image = grey_image(1100, 900)
    unlabelled = draw_poses(image, poses, POSETRACK15, NO_LABELS)
    label = (draw_poses(image, poses, POSETRACK15) != unlabelled).any(axis=-1)
    rows = np.flatnonzero(label.any(axis=1))
    head = 1.3 * np.hypot(0, 20 * scale)  # head_top to head_bottom, and the hair
    assert 10 <= np.ptp(rows) + 1 <= max(head, 10)
    assert rows.max() <= 120, "it stands above the head"


def test_labels_show_names_in_place_of_ids() -> None:
    poses = frame(standing(160, 80), ids=(12,))
    options = DrawingOptions(names={12: "Ada Lovelace"})
    wide = (draw_poses(grey_image(), poses, POSETRACK15, options)[:74] != GREY).any(axis=(0, 2))
    narrow = (draw_poses(grey_image(), poses, POSETRACK15)[:74] != GREY).any(axis=(0, 2))
    assert wide.sum() > 2 * narrow.sum()


def test_only_some_ids() -> None:
    poses = frame(standing(90, 60), standing(230, 60), ids=(1, 2))
    drawn = draw_poses(grey_image(), poses, POSETRACK15, DrawingOptions(only_ids=frozenset({2})))
    assert not changed(drawn)[:, :160].any()
    assert changed(drawn)[:, 160:].any()


def test_fade_makes_low_scores_transparent() -> None:
    sure, unsure = frame(standing(160, 60)), frame(standing(160, 60))
    unsure.keypoint_scores[:] = 0.35
    options = DrawingOptions(fade=True)
    plain = draw_poses(grey_image(), sure, POSETRACK15)
    strong = draw_poses(grey_image(), sure, POSETRACK15, options).astype(int)
    weak = draw_poses(grey_image(), unsure, POSETRACK15, options).astype(int)
    assert np.abs(strong - plain).mean() < 0.1, "a score of 0.9 is opaque"
    ratio = np.abs(weak - GREY).sum() / np.abs(strong - GREY).sum()
    assert 0.2 < ratio < 0.45


def test_boxes_enclose_the_keypoints() -> None:
    poses = frame(standing(160, 60))
    options = DrawingOptions(skeleton=False, boxes=True)
    x1, y1, x2, y2 = poses.boxes_xyxy_px()[0].round().astype(int)
    box = changed(draw_poses(grey_image(), poses, POSETRACK15, options))
    assert box[y1, x1:x2].all()
    assert box[y1:y2, x2].all()
    assert not box[y1 + 5 : y2 - 5, x1 + 5 : x2 - 5].any()


def test_trails_show_the_way_of_the_last_seconds() -> None:
    renderer = PoseRenderer(POSETRACK15, DrawingOptions(skeleton=False, ids=False, trail_s=1.0))
    for i in range(31):
        poses = replace(frame(standing(20 + 5 * i, 60), ids=(1,)), time_s=i / 10)
        drawn = renderer.draw(grey_image(), poses)
    hips = slice(115, 126)
    columns = np.flatnonzero(changed(drawn)[hips].any(axis=0))
    assert columns.min() == pytest.approx(120, abs=4)
    assert columns.max() == pytest.approx(170, abs=4)
    again = renderer.draw(grey_image(), replace(poses, time_s=0.0))
    assert not changed(again).any(), "another video starts without a trail"


def test_trails_end_where_a_person_was_away() -> None:
    renderer = PoseRenderer(POSETRACK15, DrawingOptions(skeleton=False, ids=False, trail_s=1.0))
    for time_s, x in ((0.0, 50), (0.1, 60), (5.0, 250), (5.1, 260)):
        drawn = renderer.draw(
            grey_image(), replace(frame(standing(x, 60), ids=(1,)), time_s=time_s)
        )
    assert not changed(drawn)[:, :240].any()


def test_background_and_side_by_side() -> None:
    poses = frame(standing(160, 60), ids=(1,))
    noise = np.random.default_rng(3).integers(0, 256, (240, 320, 3), np.uint8)
    black = draw_poses(noise, poses, POSETRACK15, DrawingOptions(background="black"))
    assert not black[:, :100].any()
    blurred = draw_poses(noise, poses, POSETRACK15, DrawingOptions(background="blur", ids=False))
    assert blurred[:, :100].std() < 0.4 * noise[:, :100].std()
    np.testing.assert_array_equal(blurred[100, 150:156], noise[100, 150:156])  # within the person
    options = DrawingOptions(side_by_side=True)
    both = draw_poses(noise, poses, POSETRACK15, options)
    assert both.shape[1::-1] == options.output_size(320, 240) == (640, 240)
    np.testing.assert_array_equal(both[:, :320], noise)
    np.testing.assert_array_equal(both[:, 320:], draw_poses(noise, poses, POSETRACK15))


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
