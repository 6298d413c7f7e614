"""Angles of figures drawn by hand: each value is read off the drawing, not computed."""

from __future__ import annotations

import numpy as np
import pytest

from vepe.formats.openpose import BODY_25
from vepe.measures.angles import facing, joint_angles, segment_angles, turn_deg
from vepe.skeleton import COCO17, CROWDPOSE14, POSETRACK15, Skeleton

# A person who stands upright and faces right, in pixels with y down.
UPRIGHT = {
    **{"head_top": (100, 0), "nose": (112, 12), "head_bottom": (100, 30), "neck": (100, 35)},
    **{"left_ear": (100, 12), "right_ear": (100, 12), "left_shoulder": (100, 40)},
    **{"left_elbow": (100, 70), "left_wrist": (100, 100), "left_hip": (100, 100)},
    **{"left_knee": (100, 150), "left_ankle": (100, 200), "left_heel": (95, 206)},
    **{"left_big_toe": (120, 206)},
}


def figure(skeleton: Skeleton, mirrored: bool = False, **moved: tuple[float, float]) -> np.ndarray:
    """(1, K, 2); both sides alike. `mirrored` faces left."""
    at = {**UPRIGHT, **moved}
    points = np.full((1, len(skeleton), 2), np.nan)
    for k, name in enumerate(skeleton.keypoints):
        key = name if name in at else name.replace("right_", "left_")
        if key in at:
            points[0, k] = at[key]
    if mirrored:
        points[..., 0] = 500 - points[..., 0]
    return points


# Which joint is moved where, and what its angle then is.
POSES = [
    ("knee_flexion", {}, 0.0),
    ("knee_flexion", {"left_ankle": (50, 150)}, 90.0),  # heel behind
    ("knee_flexion", {"left_ankle": (135.355, 185.355)}, -45.0),  # overstretched
    ("hip_flexion", {}, 0.0),
    ("hip_flexion", {"left_knee": (150, 100)}, 90.0),  # thigh forwards
    ("hip_flexion", {"left_knee": (64.645, 135.355)}, -45.0),  # thigh backwards
    ("shoulder_flexion", {}, 0.0),
    ("shoulder_flexion", {"left_elbow": (130, 40)}, 90.0),  # arm forwards
    ("shoulder_flexion", {"left_elbow": (100, 10)}, 180.0),  # overhead
    ("shoulder_flexion", {"left_elbow": (70, 10)}, 225.0),  # overhead and back
    ("shoulder_flexion", {"left_elbow": (70, 40)}, -90.0),  # backwards
    ("elbow_flexion", {}, 0.0),
    ("elbow_flexion", {"left_wrist": (130, 70)}, 90.0),
    ("elbow_flexion", {"left_wrist": (121.213, 48.787)}, 135.0),
    ("ankle_dorsiflexion", {}, 0.0),
    ("ankle_dorsiflexion", {"left_heel": (100, 200), "left_big_toe": (120, 180)}, 45.0),
    ("ankle_dorsiflexion", {"left_heel": (100, 200), "left_big_toe": (100, 220)}, -90.0),
]


@pytest.mark.parametrize("mirrored", [False, True], ids=["right", "left"])
@pytest.mark.parametrize(("angle", "moved", "expected"), POSES)
def test_joint_angles_of_figures(
    angle: str, moved: dict[str, tuple[float, float]], expected: float, mirrored: bool
) -> None:
    points = figure(BODY_25, mirrored, **moved)
    side = np.array([-1 if mirrored else 1])
    angles = joint_angles(points, BODY_25, side)
    assert angles[f"left_{angle}"][0] == pytest.approx(expected, abs=0.01)
    assert angles[f"right_{angle}"][0] == pytest.approx(expected, abs=0.01)
    turned = points[..., ::-1] * (-1, 1)  # the person lies on the floor: nothing changes
    lying = joint_angles(turned, BODY_25, side)[f"left_{angle}"][0]
    assert lying == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("angle", "moved", "expected"), POSES)
def test_without_a_known_side_angles_have_no_sign(
    angle: str, moved: dict[str, tuple[float, float]], expected: float
) -> None:
    angles = joint_angles(figure(BODY_25, **moved), BODY_25, np.array([0]))
    beyond = 360 - expected if expected > 180 else expected
    unsigned = expected if "ankle" in angle else abs(beyond)
    assert angles[f"left_{angle}"][0] == pytest.approx(unsigned, abs=0.01)


@pytest.mark.parametrize(
    ("segment", "moved", "expected"),
    [
        ("trunk", {}, 90.0),
        ("trunk", {"left_shoulder": (160, 40)}, 45.0),  # leans to the right
        ("trunk", {"left_shoulder": (40, 40)}, 135.0),
        ("left_thigh", {}, 90.0),
        ("left_shank", {"left_ankle": (50, 150)}, 0.0),
        ("left_arm", {}, -90.0),
        ("left_forearm", {"left_wrist": (130, 70)}, 0.0),
        ("left_foot", {}, 0.0),
        ("left_foot", {"left_big_toe": (120, 181)}, 45.0),
    ],
)
def test_segment_angles(
    segment: str, moved: dict[str, tuple[float, float]], expected: float
) -> None:
    angles = segment_angles(figure(BODY_25, **moved), BODY_25)
    assert angles[segment][0] == pytest.approx(expected, abs=0.01)


def test_pelvis_and_head() -> None:
    points = figure(POSETRACK15)
    points[0, POSETRACK15.index("left_hip")] += (10, -10)  # the left hip is right and higher
    angles = segment_angles(points, POSETRACK15)
    assert angles["pelvis"][0] == pytest.approx(45.0)
    assert angles["head"][0] == pytest.approx(90.0)


@pytest.mark.parametrize("skeleton", [COCO17, POSETRACK15, BODY_25], ids=lambda s: s.name)
@pytest.mark.parametrize(("mirrored", "expected"), [(False, 1), (True, -1)])
def test_facing(skeleton: Skeleton, mirrored: bool, expected: int) -> None:
    points = figure(skeleton, mirrored)
    assert facing(points, np.zeros(1), skeleton).tolist() == [expected]
    lying = points[..., ::-1] * (-1, 1)
    assert facing(lying, np.zeros(1), skeleton).tolist() == [expected]


def test_facing_the_camera_is_no_side() -> None:
    moved = {"nose": (100.5, 12)}
    assert facing(figure(COCO17, **moved), np.zeros(1), COCO17).tolist() == [0]
    assert facing(figure(CROWDPOSE14), np.zeros(1), CROWDPOSE14).tolist() == [0], "no nose"


@pytest.mark.parametrize("skeleton", [COCO17, POSETRACK15, BODY_25], ids=lambda s: s.name)
@pytest.mark.parametrize(("width", "seen_from_the_side"), [(30, True), (36, False)])
def test_a_turned_head_is_no_side(
    skeleton: Skeleton, width: float, seen_from_the_side: bool
) -> None:
    points = figure(skeleton)  # a trunk of 60, and the nose in profile
    points[0, skeleton.index("left_shoulder")] += (width / 2, 0)
    points[0, skeleton.index("right_shoulder")] -= (width / 2, 0)
    by_feet = "left_heel" in skeleton.keypoints
    expected = int(seen_from_the_side or by_feet)
    assert facing(points, np.zeros(1), skeleton).tolist() == [expected]


def test_facing_follows_the_majority_in_a_window() -> None:
    right, left = figure(COCO17), figure(COCO17, mirrored=True)
    points = np.concatenate([right] * 10 + [left] + [right] * 9 + [left] * 20)
    side = facing(points, np.arange(40) / 20, COCO17)
    assert side[:18].tolist() == [1] * 18, "a single frame changes nothing"
    assert side[-8:].tolist() == [-1] * 8


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((1, 0), (0, -1), 90.0),  # from right to up: anticlockwise
        ((1, 0), (0, 1), -90.0),
        ((1, 0), (-1, 0), 180.0),
        ((0, 0), (1, 0), np.nan),
        ((np.nan, 0), (1, 0), np.nan),
    ],
)
def test_turns(first: tuple[float, float], second: tuple[float, float], expected: float) -> None:
    turn = turn_deg(np.array([first], float), np.array([second], float))[0]
    assert abs(turn) == 180 if expected == 180 else turn == pytest.approx(expected, nan_ok=True)


def test_unknown_keypoints_are_unknown_angles() -> None:
    points = figure(COCO17)
    points[0, COCO17.index("left_knee")] = np.nan
    angles = joint_angles(points, COCO17, np.array([1]))
    assert np.isnan(angles["left_knee_flexion"][0])
    assert angles["right_knee_flexion"][0] == pytest.approx(0.0)
    assert "left_ankle_dorsiflexion" not in angles, "COCO has no feet"
