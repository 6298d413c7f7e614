"""The whole augmentation: one draw per clip, all labels together, reproducible."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from torchvision.transforms import v2

from figures.dots import grid_points, max_error_px, still_clip_of
from vepe.config.augmentation import PLAIN, AugmentationConfig
from vepe.data.clip import HIDDEN, Clip
from vepe.data.transforms.clip_transform import ClipTransform
from vepe.data.transforms.occlusion import draw_occluder
from vepe.data.transforms.tv_tensors import as_tv, from_tv
from vepe.skeleton import POSETRACK15

SHAPES = PLAIN.model_copy(update={"flip": 0.5, "turn_rad": 0.2, "aspect": 0.1})


def transform(settings: AugmentationConfig, motion: float = 0.0) -> ClipTransform:
    return ClipTransform(
        settings, POSETRACK15, canvas_wh=(256, 256), person_scale=(0.7, 1.1), motion=motion
    )


def clips_equal(a: Clip, b: Clip) -> bool:
    return np.array_equal(a.images, b.images) and all(
        np.array_equal(p.keypoints_px, q.keypoints_px)
        for p, q in zip(a.people, b.people, strict=True)
    )


@pytest.mark.parametrize("seed", range(6))
def test_labels_match_the_images(seed: int) -> None:
    rng = np.random.default_rng(seed)
    clip = still_clip_of(grid_points(rng), 170, 190)
    placed = transform(SHAPES, motion=0.5).place(clip, rng, fill=(0, 0, 0))
    error, count = max_error_px(placed)
    assert count > 8
    assert error < 1.0
    assert {i for p in placed.people for i in p.track_ids.tolist()} == {10}


def test_parameters_are_drawn_once_per_clip() -> None:
    rng = np.random.default_rng(5)
    clip = still_clip_of(grid_points(rng), 170, 190, frames=4)
    placed = transform(SHAPES).place(clip, rng)
    assert all(np.array_equal(placed.images[0], image) for image in placed.images)
    moved = transform(SHAPES, motion=1.0).place(clip, rng)
    assert not np.array_equal(moved.images[0], moved.images[3])
    coloured = transform(SHAPES.model_copy(update={"colour": 1.0})).colour(placed, rng)
    assert all(np.array_equal(coloured.images[0], image) for image in coloured.images)
    assert not np.array_equal(coloured.images, placed.images)
    flickering = transform(PLAIN.model_copy(update={"flicker": 0.1})).colour(placed, rng)
    assert not np.array_equal(flickering.images[0], flickering.images[1])


def test_mirrors_swap_left_and_right() -> None:
    rng = np.random.default_rng(1)
    clip = still_clip_of(grid_points(rng), 170, 190)
    always = PLAIN.model_copy(update={"flip": 1.0})
    plain, mirrored = (
        ClipTransform(s, POSETRACK15, canvas_wh=(256, 256), person_scale=(0.6, 0.7))
        .place(clip, np.random.default_rng(2))
        .people[0]
        for s in (PLAIN, always)
    )
    assert plain.visibility.all()
    assert mirrored.visibility.all()
    left, right = POSETRACK15.index("left_knee"), POSETRACK15.index("right_knee")
    was = plain.keypoints_px[0, left, 0] - plain.keypoints_px[0, right, 0]
    now = mirrored.keypoints_px[0, right, 0] - mirrored.keypoints_px[0, left, 0]
    assert now == pytest.approx(-was, rel=1e-3)
    assert abs(was) > 5


def test_result_depends_on_the_generator_only() -> None:
    clip = still_clip_of(grid_points(np.random.default_rng(0)), 170, 190)
    every = AugmentationConfig(occluders=1, blur=1, noise=1, grey=0)
    first, again, other = (
        transform(every, motion=1.0)(clip, np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    assert clips_equal(first, again)
    assert not clips_equal(first, other)


def test_occluders_hide_what_they_cover_and_move_with_the_scene() -> None:
    hidden = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        clip = still_clip_of(grid_points(rng), 170, 190)
        scene = np.broadcast_to(np.eye(3), (3, 3, 3)).copy()
        scene[:, 0, 2] = [0, 10, 20]
        sample = as_tv(clip)
        result = from_tv(draw_occluder(rng, sample["images"], scene)(sample))
        changed = (result.images != clip.images).any(axis=-1)
        for t, people in enumerate(result.people):
            assert np.array_equal(people.keypoints_px, clip.people[t].keypoints_px)
            for point, value in zip(people.keypoints_px[0], people.visibility[0], strict=True):
                x, y = point.astype(int)
                if value == HIDDEN:
                    hidden += 1
                    assert changed[t, y - 1 : y + 2, x - 1 : x + 2].any()
                else:
                    assert (
                        not changed[t, y, x] or changed[t, y - 3 : y + 4, x - 3 : x + 4].mean() < 1
                    )
    assert hidden > 5


def test_occluders_and_blur_may_be_in_some_frames_only() -> None:
    """What one frame lacks another shows: the temporal parts learn from the difference."""
    clip = still_clip_of(grid_points(np.random.default_rng(0)), 170, 190)
    grain = np.random.default_rng(1).integers(0, 256, clip.images[0].shape, np.uint8)
    clip = replace(clip, images=np.stack([grain] * len(clip)))
    covered, blurred = set(), set()
    scene = np.broadcast_to(np.eye(3), (3, 3, 3)).copy()
    blur = PLAIN.model_copy(update={"blur": 1.0})
    for seed in range(40):
        rng = np.random.default_rng(seed)
        sample = as_tv(clip)
        hidden = from_tv(draw_occluder(rng, sample["images"], scene)(sample))
        soft = transform(blur).colour(clip, rng)
        for frames, result in ((covered, hidden), (blurred, soft)):
            frames.add(tuple((result.images != clip.images).any(axis=(1, 2, 3)).tolist()))
        for t, people in enumerate(hidden.people):
            if (people.visibility != clip.people[t].visibility).any():
                assert (hidden.images[t] != clip.images[t]).any()
    for frames in (covered, blurred):
        assert (True, True, True) in frames
        assert {sum(f) for f in frames} >= {1, 2, 3}


def test_torchvision_transforms_apply_to_a_clip() -> None:
    """Transforms of torchvision itself can be applied to the images."""
    clip = still_clip_of(grid_points(np.random.default_rng(0)), 170, 190)
    clip = replace(clip, key_indices=(1,))
    inverted = from_tv(v2.RandomInvert(p=1.0)(as_tv(clip)))
    assert np.array_equal(inverted.images, 255 - clip.images)
    assert inverted.key_indices == (1,)
    assert np.array_equal(inverted.people[0].boxes_xyxy_px, clip.people[0].boxes_xyxy_px)
