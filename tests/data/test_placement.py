"""Placements: a dot moves with its keypoint, mirrors swap sides, labels leave with the view."""

from __future__ import annotations

import numpy as np
import pytest

from vepe.data.clip import People
from vepe.data.placement import Region, draw_matrix, draw_motion, mirror, move_people, warp
from vepe.skeleton import POSETRACK15


def people_at(points: np.ndarray) -> People:
    """People whose boxes fit their keypoints with some room."""
    low, high = points.min(axis=1) - 6, points.max(axis=1) + 6
    boxes = np.concatenate([low, high], axis=1).astype(np.float32)
    return People(
        keypoints_px=points.astype(np.float32),
        visibility=np.full(points.shape[:2], 2),
        boxes_xyxy_px=boxes,
        areas_px=np.prod(high - low, axis=1).astype(np.float32),
        track_ids=np.arange(len(points)),
        ignore_boxes_xyxy_px=np.zeros((0, 4), np.float32),
    )


def dotted(points: np.ndarray, width: int, height: int) -> np.ndarray:
    """A black picture with a soft white dot at every keypoint."""
    image = np.zeros((height, width), np.float32)
    y, x = np.mgrid[:height, :width] + 0.5
    for px, py in points.reshape(-1, 2):
        image = np.maximum(image, np.exp(-((x - px) ** 2 + (y - py) ** 2) / 8))
    return (image * 255).astype(np.uint8)[..., None].repeat(3, axis=2)


def brightest_near(image: np.ndarray, point: np.ndarray, reach: int = 5) -> np.ndarray:
    """Centre of mass of what is bright around a point."""
    x0, y0 = (np.floor(point) - reach).astype(int)
    patch = image[max(y0, 0) : y0 + 2 * reach + 1, max(x0, 0) : x0 + 2 * reach + 1, 0].astype(float)
    y, x = np.mgrid[: patch.shape[0], : patch.shape[1]] + 0.5
    return np.array([(x * patch).sum(), (y * patch).sum()]) / patch.sum() + (max(x0, 0), max(y0, 0))


@pytest.mark.parametrize("seed", range(6))
def test_a_dot_moves_with_its_keypoint(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid([40, 80, 120], [30, 60, 90, 120, 150]), axis=-1)
    points = grid.reshape(1, 15, 2) + rng.uniform(-4, 4, (1, 15, 2))
    people = people_at(points)
    region = Region(20, 10, 200, 220)
    matrix = draw_matrix(
        rng, people, (170, 190), region, stretched=bool(seed % 2), sizes=(0.5, 1.2)
    )
    motion = draw_motion(rng, 200, 1.0)
    for time_s in (0.0, 0.3):
        moved = motion.at(time_s, np.array([120.0, 120.0])) @ matrix
        canvas = np.zeros((256, 256, 3), np.uint8)
        warp(dotted(points, 170, 190), moved, canvas, region)
        placed = move_people(people, moved, region)
        if not len(placed):
            continue
        for point, label in zip(placed.keypoints_px[0], placed.visibility[0], strict=True):
            inside = (point > (28, 18)).all() and (point < (212, 222)).all()
            if label and inside:
                assert np.abs(brightest_near(canvas, point) - point).max() < 1.0


@pytest.mark.parametrize("scale", [0.2, 0.3, 0.5, 0.7, 1.0, 1.7])
def test_no_scale_shifts_the_picture(scale: float) -> None:
    """A wide soft blob: its centre of mass must land where its label does, to a twentieth."""
    y, x = np.mgrid[:400, :400] + 0.5
    blob = np.exp(-((x - 203.3) ** 2 + (y - 196.6) ** 2) / (2 * 30.0**2)) * 255
    picture = blob.astype(np.uint8)[..., None].repeat(3, axis=2)
    matrix = np.diag([scale, scale, 1.0])
    side = int(400 * scale)
    canvas = np.zeros((side, side, 3), np.uint8)
    warp(picture, matrix, canvas, Region(0, 0, side, side))
    weight = canvas[..., 0].astype(float)
    y, x = np.mgrid[:side, :side] + 0.5
    centre = np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()
    assert np.abs(centre - scale * np.array([203.3, 196.6])).max() < 0.08


def test_one_keypoint_is_enough_where_there_is_but_one() -> None:
    placed = move_people(people_at(np.array([[[50.0, 50.0]]])), np.eye(3), Region(0, 0, 99, 99))
    assert len(placed) == 1


def test_boxes_hold_their_keypoints_and_areas_scale() -> None:
    rng = np.random.default_rng(1)
    people = people_at(rng.uniform(20, 140, (3, 15, 2)))
    matrix = np.array([[0.5, 0, 30], [0, 0.5, 40], [0, 0, 1.0]])
    placed = move_people(people, matrix, Region(0, 0, 200, 200))
    assert np.allclose(placed.areas_px, people.areas_px / 4)
    low, high = placed.boxes_xyxy_px[:, None, :2], placed.boxes_xyxy_px[:, None, 2:]
    assert ((placed.keypoints_px >= low) & (placed.keypoints_px <= high)).all()


def test_what_leaves_the_view_loses_its_label() -> None:
    points = np.array([[[10.0, 10], [20, 10], [30, 10], [40, 20], [50, 20]]]).repeat(3, axis=0)
    points[1] += 200  # outside
    points[2] += (85, 0)  # one keypoint remains in view
    placed = move_people(people_at(points), np.eye(3), Region(0, 0, 100, 100))
    assert placed.track_ids.tolist() == [0]
    assert placed.visibility.tolist() == [[2, 2, 2, 2, 2]]
    assert len(placed.ignore_boxes_xyxy_px) == 1  # too little of the third to learn from


def test_mirroring_twice_is_nothing_and_sides_swap() -> None:
    rng = np.random.default_rng(2)
    people = people_at(rng.uniform(20, 140, (2, 15, 2)))
    once = mirror(people, 160, POSETRACK15)
    left, right = POSETRACK15.index("left_wrist"), POSETRACK15.index("right_wrist")
    assert np.allclose(once.keypoints_px[:, left, 0], 160 - people.keypoints_px[:, right, 0])
    twice = mirror(once, 160, POSETRACK15)
    assert np.allclose(twice.keypoints_px, people.keypoints_px)
    assert np.allclose(twice.boxes_xyxy_px, people.boxes_xyxy_px)


def test_motion_begins_at_rest_and_is_smooth() -> None:
    motion = draw_motion(np.random.default_rng(3), 300, 1.0)
    centre = np.array([150.0, 150.0])
    assert np.allclose(motion.at(0.0, centre), np.eye(3))
    path = np.array([motion.at(t, centre)[:2] @ (40, 60, 1) for t in np.arange(0, 1, 1 / 30)])
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert steps.max() < 30
    assert np.abs(np.diff(steps)).max() < 10
