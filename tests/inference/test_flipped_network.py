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
from vepe.inference.network import KEY_PLACE, NetworkPoses
from vepe.inference.predictor import Predictor
from vepe.inference.torch_network import TorchNetwork
from vepe.models.optical_flow import FLOW_SCALE, dense_flow, grey_image
from vepe.skeleton import POSETRACK15

K = len(POSETRACK15)
ORDER = POSETRACK15.flip_order()

# Of `MarkNetwork`:
SIDES = [name.split("_")[0] for name in POSETRACK15.keypoints]
CONFIDENCES = np.array([{"left": 0.75, "right": 0.25}.get(side, 0.5) for side in SIDES], np.float32)
VALUES = 200, 180, 100
LAST_COLUMN = 30
ERROR_PX = 0.25


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


class MarkNetwork:
    """A stub of a network: a person is two marks of one value, both among the first columns.

    People look into the camera: the mark further right is on their left side. Everyone is reported
    `ERROR_PX` too far right.
    """

    backend, device, stride, future = "torch", "cpu", 32, None
    fixed_wh, blank_wh, aligned = None, (32, 32), True

    def __init__(self) -> None:
        self.flows: list[np.ndarray | None] = []

    def step(self, images, sizes_px, memory, windows, flows):
        self.flows.append(flows)
        frames = [*memory, *images]
        shape = len(windows), len(VALUES)
        scores, points_px = np.zeros(shape, np.float32), np.zeros((*shape, K, 2), np.float32)
        for row, key in enumerate(windows[:, KEY_PLACE]):
            for person, value in enumerate(VALUES):
                y, x = np.nonzero(frames[key][:, :LAST_COLUMN, 0] == value)
                if len(x) == 2:
                    left, right = np.argsort(-x)
                    marks_px = np.stack([x, y], axis=1) + 0.5
                    scores[row, person] = value / 255
                    points_px[row, person] = posture(marks_px[left], marks_px[right])
        points_px[..., 0] += ERROR_PX
        confidences = np.broadcast_to(CONFIDENCES, points_px.shape[:-1])
        identities = np.broadcast_to(np.eye(len(VALUES)), (*shape, len(VALUES)))
        return NetworkPoses(scores, points_px, confidences, identities), list(images)


def posture(left_px: np.ndarray, right_px: np.ndarray) -> np.ndarray:
    """(K, 2): below each mark the keypoints of its side, and the rest between them."""
    sides = {"left": left_px, "right": right_px}
    middle = (left_px + right_px) / 2
    points_px = np.stack([sides.get(side, middle) for side in SIDES])
    points_px[:, 1] += np.minimum(np.arange(K), ORDER)
    return points_px


def draw_person(image: np.ndarray, columns: tuple[int, int], value: int) -> np.ndarray:
    """Draws the marks of the left and the right side; returns the person's keypoints."""
    marks = np.stack([columns, (30, 20)], axis=1)
    image[marks[:, 1], marks[:, 0]] = value
    return posture(*(marks + 0.5))


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
    # Equal confidences: the middle. 0.5 to 0.25: squared, a weight of one in five.
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


def test_it_does_not_matter_which_view_is_the_image() -> None:
    """A third of the keypoints agree; one view has low confidences in the others."""
    own, other = people([[50, 40]], [0.9]), people([[50, 40]], [0.9])
    other.keypoints_px[0, 0, 5:, 1] += 100
    other.confidences[0, 0, 5:] = 0.01
    there, back = merge_views(own, other), merge_views(other, own)
    np.testing.assert_allclose(there.scores, [[0.9, 0.0]], atol=1e-5)
    for name in ("scores", "keypoints_px", "confidences"):
        row, other_row = getattr(there, name)[0, 0], getattr(back, name)[0, 0]
        np.testing.assert_allclose(row, other_row, atol=1e-4)


def test_a_person_of_both_views_and_those_of_one() -> None:
    """In a padded image of odd width; where the error of both views is the same, it cancels out."""
    image = np.zeros((57, 41, 3), np.uint8)
    columns = (27, 17), (9, 2), (39, 33)
    expected = np.stack([draw_person(image, *pair) for pair in zip(columns, VALUES, strict=True)])
    predictor = Predictor(FlippedNetwork(MarkNetwork(), POSETRACK15), TINY, conf=0, input_px=57)
    result = predictor.predict(image)

    squared = np.square(CONFIDENCES), np.square(CONFIDENCES[ORDER])
    expected[0, :, 0] += ERROR_PX * (squared[0] - squared[1]) / (squared[0] + squared[1])
    expected[1, :, 0] += ERROR_PX
    expected[2, :, 0] -= ERROR_PX
    np.testing.assert_allclose(result.keypoints_px, expected, atol=1e-4)
    scores = np.array(VALUES) / 255 * [1, ONE_VIEW, ONE_VIEW]
    np.testing.assert_allclose(result.scores, scores, atol=1e-5)
    confidences = [(CONFIDENCES + CONFIDENCES[ORDER]) / 2, CONFIDENCES, CONFIDENCES[ORDER]]
    np.testing.assert_allclose(result.keypoint_scores, confidences, atol=1e-5)

    mirrored = predictor.predict(np.ascontiguousarray(image[:, ::-1]))
    back_px = [41, 0] + [-1, 1] * mirrored.keypoints_px[:, ORDER]
    np.testing.assert_allclose(back_px, result.keypoints_px, atol=1e-4)
    np.testing.assert_allclose(mirrored.scores, result.scores, atol=1e-5)


def test_each_view_has_its_memory_and_its_flows() -> None:
    """A key frame from memory and a new one, of two widths; the flows rise and fall with x."""
    widths = np.array([41, 50])
    images = np.zeros((2, 64, 64, 3), np.uint8)
    columns = (27, 17), (28, 22)
    expected = [draw_person(*pair, VALUES[0]) for pair in zip(images, columns, strict=True)]
    sizes_px = np.stack([widths, [57, 57]], axis=1)
    windows = np.full((2, KEY_PLACE + 1), -1)
    windows[:, KEY_PLACE] = [0, 1]
    x_px = (np.arange(64 // FLOW_SCALE) + 0.5) * FLOW_SCALE
    flows = np.empty((2, KEY_PLACE, 2, 2, len(x_px), len(x_px)), np.float32)
    flows[:, :, 0] = np.stack([1 + 0.1 * x_px, 2 - 0.1 * x_px])[:, None]
    flows[:, :, 1] = -flows[:, :, 0]

    views = MarkNetwork()
    network = FlippedNetwork(views, POSETRACK15)
    _, memory = network.step(images[:1], sizes_px[:1], [], windows[:1], flows[:1])
    poses, _ = network.step(images[1:], sizes_px[1:], memory, windows, flows)

    middle = [POSETRACK15.index(name) for name in ("nose", "head_top")]
    expected_px = np.stack(expected)[:, middle]
    np.testing.assert_allclose(poses.keypoints_px[:, 0, middle], expected_px, atol=1e-4)
    np.testing.assert_allclose(poses.scores[:, 0], VALUES[0] / 255, atol=1e-5)
    own, mirrored = views.flows[-2:]
    np.testing.assert_array_equal(own, flows)
    for row, width in zip(mirrored, widths, strict=True):
        source_px = width - x_px[: width // FLOW_SCALE]
        expected_flow = np.stack([-1 - 0.1 * source_px, 2 - 0.1 * source_px])
        result = row[-1, :, :, 0, : len(source_px)]
        np.testing.assert_allclose(result, [expected_flow, -expected_flow], atol=1e-5)


@pytest.mark.parametrize("width", [48, 41])
def test_the_mirror_image_gives_the_mirrored_people(width: int) -> None:
    """Both views of a model of PyTorch know their padding. This one merges nobody."""
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
