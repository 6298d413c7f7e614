"""Poses one after another: no jumps where they meet."""

from __future__ import annotations

import numpy as np
import pytest

from vepe_synth import rotations as rot
from vepe_synth.motions import bundled_motions, joint_places
from vepe_synth.sequence import chain, cut, direction, fitted, frame_count, held, join, placed


def test_chained_motions_have_no_jumps() -> None:
    motions = bundled_motions()
    names = ["walk", "kick", "dance_a", "walk", "getup_faceup", "jump"]
    whole = chain([cut(motions[n]) for n in names])
    places, _ = joint_places(whole)
    speed = np.linalg.norm(np.diff(places, axis=0), axis=-1) * 30
    # Without mixing, a hand or foot would be elsewhere by half a metre in one step: 15 m/s.
    assert speed.max() < 12
    parts = [joint_places(cut(motions[n]))[0] for n in names]
    fastest = max((np.linalg.norm(np.diff(p, axis=0), axis=-1) * 30).max() for p in parts)
    assert speed.max() < 1.3 * fastest


def test_next_part_goes_on_where_the_last_one_looks() -> None:
    walk = bundled_motions()["walk"]
    first = placed(cut(walk), 2.0, 1.0, -3.0)
    both = join(first, cut(walk), 8)
    assert len(both) == len(first) + len(cut(walk)) - 8
    ahead = both.root_m[-1] - both.root_m[len(first)]
    ahead = ahead[[0, 2]] / np.linalg.norm(ahead[[0, 2]])
    assert ahead @ [np.sin(2.0), np.cos(2.0)] > 0.95
    own = join(first, cut(walk), 8, aligned=False)
    ahead = own.root_m[-1] - own.root_m[len(first)]
    assert ahead[2] > 0.9 * np.linalg.norm(ahead)


def test_cut_keeps_pace_and_runs_backwards() -> None:
    jump = bundled_motions()["jump"]
    assert len(cut(jump)) == frame_count(jump.duration_s)
    assert len(cut(jump, speed=2.0)) == frame_count(jump.duration_s / 2)
    back = cut(jump, backwards=True)
    np.testing.assert_allclose(back.root_m[-1], jump.poses.root_m[0])


def test_placed_turns_about_y_then_moves() -> None:
    poses = cut(bundled_motions()["run"])
    moved = placed(poses, np.pi / 2, 3.0, -1.0)
    np.testing.assert_allclose(moved.root_m[:, 0], poses.root_m[:, 2] + 3.0, atol=1e-9)
    np.testing.assert_allclose(moved.root_m[:, 1], poses.root_m[:, 1])
    turned = rot.heading(moved.rotations[:, 0]) - rot.heading(poses.rotations[:, 0])
    np.testing.assert_allclose(np.cos(turned), 0.0, atol=1e-9)


@pytest.mark.parametrize(("pitch", "expected"), [(0.3, 0.7), (1.5, 0.7)])
def test_direction_of_upright_and_lying(pitch: float, expected: float) -> None:
    turn = rot.multiply(rot.about_y(np.array(0.7)), rot.from_rotvec(np.array([pitch, 0, 0])))
    assert direction(turn, lying=pitch > 1) == pytest.approx(expected, abs=1e-6)


def test_fitted_holds_the_last_pose() -> None:
    poses = cut(bundled_motions()["run"])
    longer = fitted(poses, len(poses) + 10, 3)
    np.testing.assert_array_equal(longer.root_m[-1], poses.root_m[-1])
    np.testing.assert_array_equal(longer.root_m[0], poses.root_m[3])
    assert len(held(poses, 0, 7)) == 7
