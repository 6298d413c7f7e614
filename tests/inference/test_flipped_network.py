"""The flip test: what both views show, what one of them shows, images, videos and padding."""

from __future__ import annotations

import numpy as np
import pytest

from tiny_models import TINY, moving_frames, tiny_model, tiny_predictor
from vepe.inference.flipped_network import (
    ONE_VIEW,
    FlippedNetwork,
    merge_views,
    mirror_flows,
    mirror_images,
    unmirrored,
)
from vepe.inference.network import NetworkPoses
from vepe.inference.predictor import Predictor
from vepe.inference.torch_network import TorchNetwork
from vepe.models.optical_flow import FLOW_SCALE, dense_flow, grey_image
from vepe.skeleton import POSETRACK15

K = len(POSETRACK15)
ORDER = POSETRACK15.flip_order()


def people(centres_px, scores) -> NetworkPoses:
    """People of 60 px around the centres, all of one posture."""
    posture = np.random.default_rng(0).uniform(-30, 30, (K, 2))
    points = (np.asarray(centres_px, float).reshape(1, -1, 1, 2) + posture).astype(np.float32)
    count = points.shape[1]
    return NetworkPoses(
        scores=np.asarray([scores], np.float32),
        keypoints_px=points,
        confidences=np.full((1, count, K), 0.5, np.float32),
        identities=np.eye(count, 4, dtype=np.float32)[None],
    )


def flipped(**options: object) -> Predictor:
    return Predictor(FlippedNetwork(TorchNetwork(tiny_model()), POSETRACK15), TINY, **options)


def test_a_mirror_image_of_a_mirror_image_is_the_image() -> None:
    poses = people([[50, 40], [120, 60]], [0.9, 0.8])
    once = unmirrored(poses, np.array([200]), ORDER)
    left, right = (POSETRACK15.index(f"{side}_ankle") for side in ("left", "right"))
    x, y = poses.keypoints_px[0, 0, left]
    np.testing.assert_allclose(once.keypoints_px[0, 0, right], [200 - x, y], atol=1e-4)
    twice = unmirrored(once, np.array([200]), ORDER)
    np.testing.assert_allclose(twice.keypoints_px, poses.keypoints_px, atol=1e-4)


def test_the_padding_stays_at_the_right() -> None:
    images = np.arange(2 * 2 * 8 * 3, dtype=np.uint8).reshape(2, 2, 8, 3)
    mirrored = mirror_images(images, [5, 8])
    np.testing.assert_array_equal(mirrored[0, :, :5], images[0, :, 4::-1])
    np.testing.assert_array_equal(mirrored[0, :, 5:], images[0, :, 5:])
    np.testing.assert_array_equal(mirrored[1], images[1, :, ::-1])


@pytest.mark.parametrize("width", [64, 57, 50])
def test_mirrored_flows_are_those_of_mirror_images(width: int) -> None:
    """Within the content, and as far as DIS itself gives the same for both."""
    first, second = (grey_image(frame) for frame in moving_frames(2, 64, 48))
    first[:, width:], second[:, width:] = 128, 128
    pair = np.stack([first, second])[..., None].repeat(3, axis=-1)
    mirrored = mirror_images(pair, [width, width])[..., 0]
    flow = dense_flow(first, second)
    expected = dense_flow(*mirrored)
    result = mirror_flows(flow[None, None], np.array([width]))[0, 0]
    inside = np.s_[..., 2 : width // FLOW_SCALE - 2]
    assert np.abs(flow[inside]).max() > 0.5
    assert np.median(np.abs(result - expected)[inside]) < 0.25
    again = mirror_flows(result[None, None], np.array([width]))[0, 0]
    np.testing.assert_allclose(again[inside], flow[inside], atol=1.5)


def test_who_is_in_both_views_is_their_mean() -> None:
    own, other = people([[50, 40]], [0.8]), people([[52, 40]], [0.5])
    other.confidences[0, 0, 0] = 0.25
    merged = merge_views(own, other)
    # Equal confidences: the middle. 0.5 to 0.25: squared, a share of one in five.
    shift = merged.keypoints_px[0, 0] - own.keypoints_px[0, 0]
    np.testing.assert_allclose(shift[1:], np.tile([1.0, 0.0], (K - 1, 1)), atol=1e-4)
    np.testing.assert_allclose(shift[0], [0.4, 0.0], atol=1e-4)
    np.testing.assert_allclose(merged.confidences[0, 0, :2], [0.375, 0.5])
    # The middle of the logits, and no second person.
    np.testing.assert_allclose(merged.scores, [[2 / 3, 0.0]], atol=1e-5)
    assert all(getattr(merged, name).dtype == np.float32 for name in ("scores", "keypoints_px"))


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        ([[50, 40]], [[150, 40]], [0.9 * ONE_VIEW, 0.9 * ONE_VIEW]),  # two people, one in each
        ([[50, 40], [150, 40]], [[150, 40], [90, 90]], [0.9 * ONE_VIEW, 0.9, 0, 0.9 * ONE_VIEW]),
        # The second one on the person is a duplicate: each person merges once.
        ([[50, 40], [50, 41]], [[50, 40], [150, 40]], [0.9, 0.9 * ONE_VIEW, 0, 0.9 * ONE_VIEW]),
    ],
)
def test_who_is_in_one_view_counts_less(own, other, expected) -> None:
    merged = merge_views(people(own, [0.9] * len(own)), people(other, [0.9] * len(other)))
    np.testing.assert_allclose(merged.scores[0], expected, atol=1e-5)


def test_of_two_poses_on_a_person_the_surer_one_merges() -> None:
    own, other = people([[50, 40]] * 2, [0.2, 0.9]), people([[50, 40], [150, 40]], [0.9, 0.1])
    merged = merge_views(own, other)
    expected = [0.2 * ONE_VIEW, 0.9, 0, 0.1 * ONE_VIEW]
    np.testing.assert_allclose(merged.scores[0], expected, atol=1e-5)


@pytest.mark.parametrize("width", [48, 41])
def test_the_mirror_image_gives_the_mirrored_people(width: int) -> None:
    """The merged people do not depend on which of the views is the image, padded or not."""
    predictor = flipped(conf=0.0)
    image = np.ascontiguousarray(moving_frames(1, width)[0])
    there = predictor.predict(image)
    back = predictor.predict(np.ascontiguousarray(image[:, ::-1]))
    assert len(there) == len(back) >= len(tiny_predictor(conf=0.0).predict(image))
    np.testing.assert_allclose(there.scores, back.scores, atol=1e-4)


def test_streams_are_their_clips_and_batches(frames) -> None:
    """Two streams at a time give what each gives alone, with a window and lookahead."""
    predictor = flipped(conf=0.0, window=4, lookahead=1)
    others = [frame[:, ::-1].copy() for frame in frames]
    alone = [list(_run(predictor.stream(25.0, tracking=False), f)) for f in (frames, others)]
    group = predictor.streams(2, 25.0, tracking=False)
    together: list[list] = [[], []]
    for pair in zip(frames, others, strict=True):
        for result, new in zip(together, group.push(list(pair)), strict=True):
            result += new
    for result, rest in zip(together, group.finish(), strict=True):
        result += rest
    for expected, result in zip(alone, together, strict=True):
        assert len(expected) == len(result) == len(frames)
        for a, b in zip(expected, result, strict=True):
            np.testing.assert_allclose(a.keypoints_px, b.keypoints_px, atol=1e-3)
    single = flipped(conf=0.0).predict(frames[0])
    assert not np.array_equal(single.keypoints_px, alone[0][0].keypoints_px)  # the window counts


def _run(stream, frames):
    for frame in frames:
        yield from stream.push(frame)
    yield from stream.finish()


def test_settings_apply_to_the_merged_poses(frames) -> None:
    everyone = flipped(conf=0.0).predict(frames[0])
    assert (everyone.scores > 0).all()
    few = flipped(conf=float(everyone.scores[2]), max_people=2).predict([frames[0], frames[1]])
    np.testing.assert_array_equal(few[0].scores, everyone.scores[:2])
