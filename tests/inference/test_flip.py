"""The flip test: what both views show, what one of them shows, and thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from tiny_models import tiny_predictor
from vepe.inference.flip import ONE_VIEW, merge_views, poses_with_flip, unmirrored
from vepe.skeleton import POSETRACK15
from vepe.types import NO_TRACK, FramePoses

K = len(POSETRACK15)


def people(centres_px, scores, seed: int = 0) -> FramePoses:
    """People of 60 px around the centres, all of one posture."""
    posture = np.random.default_rng(seed).uniform(-30, 30, (K, 2))
    points = np.asarray(centres_px, np.float32).reshape(-1, 1, 2) + posture.astype(np.float32)
    count = len(points)
    return FramePoses(
        frame_index=0,
        time_s=0.0,
        keypoints_px=points,
        keypoint_scores=np.full((count, K), 0.5, np.float32),
        scores=np.asarray(scores, np.float32),
        track_ids=np.full(count, NO_TRACK),
    )


def test_a_mirror_image_of_a_mirror_image_is_the_image() -> None:
    poses = people([[50, 40], [120, 60]], [0.9, 0.8])
    once = unmirrored(poses, 200, POSETRACK15)
    left, right = (POSETRACK15.index(f"{side}_ankle") for side in ("left", "right"))
    x, y = poses.keypoints_px[0, left]
    np.testing.assert_allclose(once.keypoints_px[0, right], [200 - x, y], atol=1e-4)
    twice = unmirrored(once, 200, POSETRACK15)
    np.testing.assert_allclose(twice.keypoints_px, poses.keypoints_px, atol=1e-4)


def test_who_is_in_both_views_is_their_mean() -> None:
    poses, other = people([[50, 40]], [0.8]), people([[52, 40]], [0.5])
    other.keypoint_scores[0, 0] = 0.25
    merged = merge_views(poses, other)
    assert len(merged) == 1
    # Equal confidences: the middle. 0.5 to 0.25: squared, a share of one in five.
    shift = merged.keypoints_px[0] - poses.keypoints_px[0]
    np.testing.assert_allclose(shift[1:], np.tile([1.0, 0.0], (K - 1, 1)), atol=1e-4)
    np.testing.assert_allclose(shift[0], [0.4, 0.0], atol=1e-4)
    np.testing.assert_allclose(merged.keypoint_scores[0, :2], [0.375, 0.5])
    np.testing.assert_allclose(merged.scores, [2 / 3], atol=1e-5)  # the middle of the logits
    assert merged.keypoints_px.dtype == poses.keypoints_px.dtype == np.float32


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        ([[50, 40]], [[150, 40]], [0.9 * ONE_VIEW, 0.9 * ONE_VIEW]),  # two people, one in each
        ([[50, 40], [150, 40]], [[150, 40]], [0.9, 0.9 * ONE_VIEW]),
        ([[50, 40]], [], [0.9 * ONE_VIEW]),
        ([], [[50, 40]], [0.9 * ONE_VIEW]),
        ([], [], []),
        # The second one on the person is a duplicate: each person merges once.
        ([[50, 40], [50, 41]], [[50, 40]], [0.9, 0.9 * ONE_VIEW]),
    ],
)
def test_who_is_in_one_view_counts_less(own, other, expected) -> None:
    merged = merge_views(people(own, [0.9] * len(own)), people(other, [0.9] * len(other)))
    np.testing.assert_allclose(merged.scores, expected, atol=1e-5)


def test_of_two_poses_on_a_person_the_surer_one_merges() -> None:
    poses, other = people([[50, 40], [50, 40]], [0.2, 0.9]), people([[50, 40]], [0.9])
    np.testing.assert_allclose(merge_views(poses, other).scores, [0.9, 0.2 * ONE_VIEW], atol=1e-5)


def test_the_mirror_image_gives_the_mirrored_poses(frames) -> None:
    """The merged poses do not depend on which of the views is the image."""
    predictor = tiny_predictor(conf=0.0)
    image = np.ascontiguousarray(frames[0])
    there = predictor.predict(image, flip=True).poses
    back = unmirrored(
        predictor.predict(np.ascontiguousarray(image[:, ::-1]), flip=True).poses,
        image.shape[1],
        POSETRACK15,
    )
    assert len(there) == len(back) >= len(predictor.predict(image))
    np.testing.assert_allclose(there.scores, back.scores, atol=1e-4)


def test_settings_apply_to_the_merged_poses(frames) -> None:
    everyone = tiny_predictor(conf=0.0).predict(frames[0], flip=True)
    threshold = float(everyone.scores[2])
    few = tiny_predictor(conf=threshold, max_people=2).predict([frames[0], frames[1]], flip=True)
    np.testing.assert_array_equal(few[0].scores, everyone.scores[:2])
    assert few[1].frame_index == 1
    batch = tiny_predictor(conf=0.0).predict([frames[0], frames[1]], batch=2, flip=True)
    np.testing.assert_allclose(batch[0].keypoints_px, everyone.keypoints_px, atol=1e-3)


def test_every_image_is_seen_twice() -> None:
    seen = []

    def poses_of(images):
        seen.extend(images)
        return [people([[50, 40]], [0.9]) for _ in images]

    images = [np.arange(24, dtype=np.uint8).reshape(2, 4, 3)] * 2
    assert len(poses_with_flip(images, poses_of, POSETRACK15)) == 2
    assert len(seen) == 4
    assert sum(np.array_equal(image, images[0][:, ::-1]) for image in seen) == 2
