"""Recorded motions: reading, sampling, looping, mirroring."""

from __future__ import annotations

import json

import numpy as np
import pytest

from vepe.errors import VepeError
from vepe_synth import rotations as rot
from vepe_synth.motions import (
    BODY_JOINTS,
    CYCLIC,
    bundled_motions,
    clearance_m,
    joint_places,
    parse_motion,
)


def test_all_motions_are_there_and_upright_or_lying_as_named() -> None:
    motions = bundled_motions()
    assert len(motions) == 15
    for name, motion in motions.items():
        assert 0.5 < motion.duration_s < 6
        height = motion.poses.root_m[:, 1]
        assert (height.min() < 0.35) == (
            name in ("crawl", "roll", "getup_facedown", "getup_faceup")
        ), name


@pytest.mark.parametrize("name", ["walk", "run", "dance_b", "punch"])
def test_feet_touch_the_floor_in_the_source(name: str) -> None:
    clearance = clearance_m(bundled_motions()[name].poses)
    assert -0.05 < np.percentile(clearance, 10) < 0.03


@pytest.mark.parametrize("name", CYCLIC)
def test_cyclic_motions_run_on_without_a_jump(name: str) -> None:
    motion = bundled_motions()[name]
    times = np.arange(0, 3.2 * motion.duration_s, 1 / 60)
    poses = motion.sample(times)
    steps = np.linalg.norm(np.diff(poses.root_m, axis=0), axis=1) * 60
    turns = rot.multiply(poses.rotations[1:], rot.inverse(poses.rotations[:-1]))
    speeds = np.linalg.norm(rot.to_rotvec(turns), axis=-1).max(axis=1) * 60
    assert steps.max() < 6
    assert speeds.max() < 18  # radians a second
    travelled = motion.sample(np.array([3 * motion.duration_s])).root_m[0, 2]
    once = motion.poses.root_m[-1, 2] - motion.poses.root_m[0, 2]
    np.testing.assert_allclose(travelled, 3 * once, atol=1e-6)


def test_motion_is_held_at_its_ends_where_it_is_not_cyclic() -> None:
    motion = bundled_motions()["kick"]
    poses = motion.sample(np.array([-1.0, 0.0, motion.duration_s, motion.duration_s + 5]))
    np.testing.assert_allclose(poses.root_m[0], poses.root_m[1])
    np.testing.assert_allclose(poses.rotations[2], poses.rotations[3])


def test_recorded_poses_come_back_at_their_times() -> None:
    motion = bundled_motions()["jump"]
    poses = motion.sample(motion.time_s[:-1])
    np.testing.assert_allclose(poses.root_m, motion.poses.root_m[:-1], atol=1e-9)
    dots = np.abs((poses.rotations * motion.poses.rotations[:-1]).sum(axis=-1))
    np.testing.assert_allclose(dots, 1.0, atol=1e-9)


def test_mirroring_exchanges_left_and_right() -> None:
    motion = bundled_motions()["cartwheel"]
    places, _ = joint_places(motion.poses)
    flipped, _ = joint_places(motion.mirrored().poses)
    left, right = BODY_JOINTS.index("left_wrist"), BODY_JOINTS.index("right_wrist")
    np.testing.assert_allclose(flipped[:, left], places[:, right] * [-1, 1, 1], atol=1e-9)
    twice = motion.mirrored().mirrored()
    np.testing.assert_allclose(twice.poses.rotations, motion.poses.rotations)


def test_walk_goes_forward_with_left_at_plus_x() -> None:
    places, _ = joint_places(bundled_motions()["walk"].poses)
    left, right = BODY_JOINTS.index("left_hip"), BODY_JOINTS.index("right_hip")
    assert (places[:, left, 0] > places[:, right, 0] + 0.1).all()
    assert places[-1, 0, 2] - places[0, 0, 2] > 1.0


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "{}",
        json.dumps({"Frames": [[0.1] * 44]}),
        json.dumps({"Frames": [[0.1] * 43] * 3}),
        json.dumps({"Frames": "x"}),
    ],
)
def test_malformed_motions_are_named(text: str) -> None:
    with pytest.raises(VepeError, match="Motion 'mine'"):
        parse_motion("mine", text)
