"""Placements are within bounds; images and labels are warped alike."""

from __future__ import annotations

import numpy as np
import pytest

from figures.dots import grid_points, max_error_px, still_clip_of
from vepe.data.clip import Clip
from vepe.data.transforms.affine import ClipWarp, draw_motion, draw_placement
from vepe.data.transforms.tv_tensors import as_tv, from_tv
from vepe.skeleton import POSETRACK15

BOX = np.array([[60.0, 20, 120, 180]])


def drawn(seed: int, **options: float) -> np.ndarray:
    calm = {"turn_rad": 0.0, "aspect": 0.0} | options
    rng = np.random.default_rng(seed)
    return draw_placement(rng, BOX, (200, 200), (160, 160), person_scale=(0.5, 1.5), **calm)  # type: ignore[arg-type]


def test_person_scale_is_within_bounds() -> None:
    sides = np.array([160 * drawn(seed)[1, 1] / 160 for seed in range(200)])
    assert sides.min() >= 0.5 - 1e-9
    assert sides.max() <= 1.5 + 1e-9
    assert sides.max() > 1.3


@pytest.mark.parametrize(("flip", "share"), [(0.0, 0.0), (1.0, 1.0), (0.5, 0.5)])
def test_flip_is_a_probability(flip: float, share: float) -> None:
    mirrored = [np.linalg.det(drawn(seed, flip=flip)[:2, :2]) < 0 for seed in range(200)]
    assert np.mean(mirrored) == pytest.approx(share, abs=0.1)


def test_aspect_and_rotation_have_their_sigmas() -> None:
    calm = np.array([drawn(seed)[:2, :2] for seed in range(50)])
    assert np.allclose(calm[:, 0, 1], 0)
    assert np.allclose(calm[:, 0, 0], calm[:, 1, 1])
    squeezed = np.array([drawn(seed, aspect=0.1)[:2, :2] for seed in range(300)])
    assert np.log(squeezed[:, 0, 0] / squeezed[:, 1, 1]).std() == pytest.approx(0.1, rel=0.2)
    turned = np.array([drawn(seed, turn_rad=0.3)[:2, :2] for seed in range(300)])
    assert np.abs(np.arctan2(turned[:, 1, 0], turned[:, 0, 0])).max() > 0.3


def test_camera_motion_starts_at_identity_and_is_smooth() -> None:
    motion = draw_motion(np.random.default_rng(3), 300, 1.0)
    centre = np.array([150.0, 150.0])
    assert np.allclose(motion.at(0.0, centre), np.eye(3))
    path = np.array([motion.at(t, centre)[:2] @ (40, 60, 1) for t in np.arange(0, 1, 1 / 30)])
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert steps.max() < 30
    assert np.abs(np.diff(steps)).max() < 10


BLOB = np.array([203.3, 196.6])


def matrices(mirror: bool, angle: float = 0.3) -> np.ndarray:
    """Three different maps of turn, scale and shift; the image stays on a canvas of 300."""
    result = np.zeros((3, 3, 3))
    for t in range(3):
        a, scale = angle * (1 + 0.1 * t), 1.1 - 0.05 * t
        linear = scale * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
        if mirror:
            linear = linear @ np.diag([-1.0, 1.0])
        result[t] = np.eye(3)
        result[t, :2, :2] = linear
        result[t, :2, 2] = np.array([150 + 3 * t, 150]) - linear @ (85, 95)
    return result


@pytest.mark.parametrize("mirror", [False, True])
def test_images_and_keypoints_move_together(rng: np.random.Generator, mirror: bool) -> None:
    clip = still_clip_of(grid_points(rng), 170, 190)
    warp = ClipWarp(matrices(mirror), (300, 300), POSETRACK15)
    moved = from_tv(warp(as_tv(clip)))
    error, count = max_error_px(moved)
    assert error < 0.6
    assert count == 45
    assert [p.track_ids.tolist() for p in moved.people] == [[10]] * 3
    order = POSETRACK15.flip_order() if mirror else np.arange(15)
    for t, people in enumerate(moved.people):
        m = matrices(mirror)[t]
        expected = clip.people[t].keypoints_px[0] @ m[:2, :2].T + m[:2, 2]
        np.testing.assert_allclose(people.keypoints_px[0], expected[order], atol=1e-3)
        ratio = abs(np.linalg.det(m[:2, :2]))
        assert people.areas_px[0] == pytest.approx(clip.people[t].areas_px[0] * ratio, rel=1e-5)


@pytest.mark.parametrize("mirror", [False, True])
def test_inverse_warp_restores_the_clip(rng: np.random.Generator, mirror: bool) -> None:
    clip = still_clip_of(grid_points(rng), 170, 190)
    warp = ClipWarp(matrices(mirror, angle=0.0), (300, 300), POSETRACK15)
    inverse = ClipWarp(np.linalg.inv(warp.matrices), (170, 190), POSETRACK15)
    back = from_tv(inverse(warp(as_tv(clip))))
    for old, new in zip(clip.people, back.people, strict=True):
        for field in ("keypoints_px", "boxes_xyxy_px", "head_boxes_xyxy_px", "areas_px",
                      "ignore_boxes_xyxy_px"):  # fmt: skip
            np.testing.assert_allclose(
                getattr(new, field), getattr(old, field), rtol=1e-4, atol=0.01
            )
        assert np.array_equal(new.visibility, old.visibility)
    difference = back.images[:, 20:-20, 20:-20].astype(int) - clip.images[:, 20:-20, 20:-20]
    assert np.abs(difference).mean() < 1.5


def test_boxes_follow_their_centres(rng: np.random.Generator) -> None:
    clip = still_clip_of(grid_points(rng), 170, 190)
    moved = from_tv(ClipWarp(matrices(False), (300, 300), POSETRACK15)(as_tv(clip)))
    for name in ("boxes_xyxy_px", "head_boxes_xyxy_px", "ignore_boxes_xyxy_px"):
        for t in range(3):
            m, old, new = (
                matrices(False)[t],
                *(getattr(c.people[t], name)[0] for c in (clip, moved)),
            )
            middle = m[:2, :2] @ (old[:2] + old[2:]) / 2 + m[:2, 2]
            np.testing.assert_allclose((new[:2] + new[2:]) / 2, middle, atol=0.01)


@pytest.mark.parametrize("scale", [0.2, 0.3, 0.5, 0.7, 1.0, 1.7])
def test_no_scale_shifts_the_image(scale: float) -> None:
    """A wide soft blob: its centre of mass must be where its label does, to a twentieth."""
    y, x = np.mgrid[:400, :400] + 0.5
    blob = np.exp(-((x - BLOB[0]) ** 2 + (y - BLOB[1]) ** 2) / (2 * 30.0**2)) * 255
    clip = still_clip_of(np.zeros((0, 15, 2)), 400, 400, frames=1)
    clip.images[:] = blob.astype(np.uint8)[..., None]
    side = int(400 * scale)
    warp = ClipWarp(np.diag([scale, scale, 1.0])[None], (side, side), POSETRACK15)
    assert np.abs(middle_of(from_tv(warp(as_tv(clip)))) - scale * BLOB).max() < 0.08


def middle_of(clip: Clip) -> np.ndarray:
    """Centre of mass of the first frame."""
    weight = clip.images[0, ..., 0].astype(float)
    y, x = np.mgrid[: weight.shape[0], : weight.shape[1]] + 0.5
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


def test_unknown_head_boxes_stay_unknown(rng: np.random.Generator) -> None:
    clip = still_clip_of(grid_points(rng), 170, 190)
    clip.people[0].head_boxes_xyxy_px[:] = np.nan
    moved = from_tv(ClipWarp(matrices(False), (300, 300), POSETRACK15)(as_tv(clip)))
    assert np.isnan(moved.people[0].head_boxes_xyxy_px).all()
