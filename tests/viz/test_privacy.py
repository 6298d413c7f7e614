"""What is hidden cannot be recognised: heads and people are covered, of everyone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vepe.skeleton import COCO17, CROWDPOSE14, POSETRACK15, Skeleton
from vepe.types import FramePoses
from vepe.viz.drawing import PoseRenderer, draw_poses
from vepe.viz.options import DrawingOptions

# A person of 170 px who faces the camera, head from 30 to 56; all skeletons' keypoints.
BODY = {
    **{"head_top": (0, 30), "head": (0, 30), "nose": (0, 46), "head_bottom": (0, 58)},
    **{"neck": (0, 60), "left_eye": (4, 42), "left_ear": (8, 44)},
    **{"left_shoulder": (22, 66), "left_elbow": (30, 95), "left_wrist": (32, 122)},
    **{"left_hip": (15, 115), "left_knee": (16, 155), "left_ankle": (17, 195)},
}
HEAD_ROWS, HEAD_COLUMNS = slice(30, 57), slice(150, 170)  # of a person in the middle, at x = 160
PLAIN = {"skeleton": False, "ids": False}


def person(skeleton: Skeleton, x: float = 160.0) -> np.ndarray:
    points = []
    for name in skeleton.keypoints:
        mirrored = name.startswith("right_")
        dx, y = BODY[name.replace("right_", "left_")]
        points.append((x - dx if mirrored else x + dx, y))
    return np.asarray(points, np.float32)


def frame(people: list[np.ndarray], scores: np.ndarray, time_s: float = 0.0) -> FramePoses:
    count = len(people)
    return FramePoses(
        0, time_s, np.stack(people), np.stack([scores] * count), np.ones(count),
        np.arange(1, count + 1),
    )  # fmt: skip


def noise() -> np.ndarray:
    """An image whose pixels all differ from their neighbours, so that any sharp one shows."""
    return np.random.default_rng(7).integers(0, 256, (240, 320, 3), np.uint8)


def kept(before: np.ndarray, after: np.ndarray) -> float:
    """Share of pixels that are as before."""
    return float((before == after).all(axis=-1).mean())


@pytest.mark.parametrize("skeleton", [POSETRACK15, COCO17, CROWDPOSE14], ids=lambda s: s.name)
@pytest.mark.parametrize("by", ["blur", "pixelate"])
@pytest.mark.parametrize(
    "confident",
    [
        "all",
        "nose",
        "left_ear",
        "right_eye",
        "head_top",
        "head_bottom",
        "neck",
        "shoulders",
        "none",
    ],
)
def test_head_is_covered_whatever_is_confident(skeleton: Skeleton, by: str, confident: str) -> None:
    head = [n for n in BODY if "shoulder" not in n and BODY[n][1] < 62]
    scores = np.full(len(skeleton), 0.9)
    for k, name in enumerate(skeleton.keypoints):
        base = name.replace("right_", "left_")
        if confident == "none" or (confident != "all" and base in head and name != confident):
            scores[k] = 0.05
    image = noise()
    options = DrawingOptions(hide="faces", hide_by=by, **PLAIN)  # type: ignore[arg-type]
    hidden = draw_poses(image, frame([person(skeleton)], scores), skeleton, options)
    head_box = (HEAD_ROWS, HEAD_COLUMNS)
    assert kept(image[head_box], hidden[head_box]) < 0.02
    assert hidden[head_box].std() < 0.45 * image[head_box].std(), "only means are left"
    assert kept(image[120:], hidden[120:]) == 1.0, "the rest of the body is not hidden"


def test_people_are_covered_with_hands_and_feet() -> None:
    image, skeleton = noise(), COCO17
    poses = frame([person(skeleton)], np.full(17, 0.9))
    hidden = draw_poses(image, poses, skeleton, DrawingOptions(hide="people", **PLAIN))
    assert kept(image[28:208, 130:190], hidden[28:208, 130:190]) < 0.02
    assert kept(image[:, :80], hidden[:, :80]) == 1.0


def test_those_who_are_not_drawn_are_hidden_too() -> None:
    image, skeleton = noise(), COCO17
    poses = frame([person(skeleton), person(skeleton, 60.0)], np.full(17, 0.9))
    options = DrawingOptions(hide="faces", only_ids=frozenset({2}), side_by_side=True)
    both = draw_poses(image, poses, skeleton, options)
    for half in (both[:, :320], both[:, 320:]):
        assert kept(image[HEAD_ROWS, HEAD_COLUMNS], half[HEAD_ROWS, HEAD_COLUMNS]) < 0.02


@pytest.mark.parametrize(("gap_s", "covered"), [(0.1, True), (1.0, True), (1.3, False)])
def test_heads_stay_hidden_over_short_misses(gap_s: float, covered: bool) -> None:
    image, skeleton = noise(), COCO17
    renderer = PoseRenderer(skeleton, DrawingOptions(hide="faces", **PLAIN))
    renderer.draw(image, frame([person(skeleton)], np.full(17, 0.9), 1.0))
    later = renderer.draw(image, FramePoses.empty(1, 1.0 + gap_s, 17))
    assert (kept(image[HEAD_ROWS, HEAD_COLUMNS], later[HEAD_ROWS, HEAD_COLUMNS]) < 0.02) is covered
    earlier = renderer.draw(image, FramePoses.empty(0, 0.0, 17))
    assert kept(image, earlier) == 1.0, "another video"


@pytest.mark.parametrize("hide", ["faces", "people"])
def test_odd_poses_do_not_fail(hide: str) -> None:
    skeleton = COCO17
    far, single = person(skeleton) + 1e6, np.full((17, 2), np.nan, np.float32)
    single[3] = (5, 5)
    nowhere = np.full((17, 2), np.nan, np.float32)
    poses = frame([far, single, nowhere, person(skeleton, 0.0)], np.full(17, 0.9))
    poses = replace(poses, track_ids=np.full(4, -1))
    options = DrawingOptions(hide=hide, background="blur")  # type: ignore[arg-type]
    assert draw_poses(noise(), poses, skeleton, options).shape == (240, 320, 3)
    tiny = Skeleton("hands", ("a", "b"), ((0, 1),), (), (0.1, 0.1))
    points = [np.array([[10, 10], [30, 40]], np.float32)]
    assert draw_poses(noise(), frame(points, np.ones(2)), tiny, options).shape == (240, 320, 3)
