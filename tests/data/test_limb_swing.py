"""Swinging limbs: dots and keypoints move together, smoothly, and only where there are people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dotted_clips import grid_points, largest_miss_px, still_clip_of

from vepe.data.transforms.limb_swing import draw_body_motion
from vepe.data.transforms.tv_tensors import as_tv, from_tv
from vepe.skeleton import COCO17, POSETRACK15, Skeleton


@pytest.mark.parametrize("seed", range(4))
def test_dots_swing_with_keypoints(seed: int) -> None:
    rng = np.random.default_rng(seed)
    clip = still_clip_of(grid_points(rng, 2), 500, 190)
    motion = draw_body_motion(rng, clip.people[0], clip.time_s, POSETRACK15, 1.0)
    moved = from_tv(motion(as_tv(clip)))
    miss, seen = largest_miss_px(moved)
    assert miss < 1.5  # a dot that is stretched is not where its middle was
    assert seen == 90
    first, last = moved.people[0].keypoints_px, moved.people[2].keypoints_px
    assert np.array_equal(first, clip.people[0].keypoints_px)
    assert np.array_equal(moved.images[0], clip.images[0])
    step = np.linalg.norm(last - first, axis=-1)
    assert 0.5 < step.max() < 40
    assert np.array_equal(moved.images[2, :, -30:], clip.images[2, :, -30:])
    for people in moved.people:
        low, high = people.boxes_xyxy_px[:, None, :2], people.boxes_xyxy_px[:, None, 2:]
        assert ((people.keypoints_px > low) & (people.keypoints_px < high)).all()
        heads = people.head_boxes_xyxy_px
        inside = (people.keypoints_px[:, 0] > heads[:, :2]) & (
            people.keypoints_px[:, 0] < heads[:, 2:]
        )
        assert inside.all()


def test_the_picture_is_taken_from_where_the_map_points(rng: np.random.Generator) -> None:
    """Forward and back are inverse: what a frame shows at a moved place stood at the old one."""
    clip = still_clip_of(grid_points(rng), 170, 190)
    motion = draw_body_motion(rng, clip.people[0], clip.time_s, POSETRACK15, 1.0)
    y, x = np.mgrid[:190, :170] + 0.5
    ramp = np.zeros((3, 190, 170, 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = x, y
    moved = motion(as_tv(replace(clip, images=ramp)))["images"].numpy().transpose(0, 2, 3, 1)
    places = rng.uniform((40, 30), (130, 160), (3, 60, 2))
    new = motion.forward_px(places)
    for t in range(3):
        column, row = np.floor(new[t]).astype(int).T
        assert np.abs(moved[t, row, column, :2] + 0.5 - places[t]).max() < 1.6


@pytest.mark.parametrize("skeleton", [POSETRACK15, COCO17])
def test_the_trunk_holds_together(rng: np.random.Generator, skeleton: Skeleton) -> None:
    k = len(skeleton)
    points = rng.uniform(60, 200, (1, k, 2))
    left = [(100, 100), (70, 150), (60, 200), (110, 200), (110, 260), (110, 320)]
    points[0, k - 12 :: 2] = left
    points[0, k - 11 :: 2] = np.array([260, 0]) + np.array(left) * (-1, 1)
    points[0, : k - 12] = np.array([130, 60]) + rng.uniform(-12, 12, (k - 12, 2))
    clip = still_clip_of(points, 260, 360)
    motion = draw_body_motion(rng, clip.people[0], clip.time_s, skeleton, 1.0)
    moved = motion.forward_px(np.stack([p.keypoints_px[0] for p in clip.people]))
    trunk = [
        skeleton.index(n) for n in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
    ]
    lengths = np.linalg.norm(moved[:, trunk] - moved[:, np.roll(trunk, 1)], axis=-1)
    np.testing.assert_allclose(lengths, np.broadcast_to(lengths[0], lengths.shape), rtol=0.06)


def test_strength_nought_and_small_people_keep_still(rng: np.random.Generator) -> None:
    clip = still_clip_of(grid_points(rng), 170, 190)
    assert not draw_body_motion(rng, clip.people[0], clip.time_s, POSETRACK15, 0.0).patches
    small = still_clip_of(grid_points(rng) * 0.2, 170, 190)
    assert not draw_body_motion(rng, small.people[0], clip.time_s, POSETRACK15, 1.0).patches
