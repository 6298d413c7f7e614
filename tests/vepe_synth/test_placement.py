"""Scenes: the same for the same seed, nobody inside another, everyone within a person's size."""

from __future__ import annotations

import numpy as np
import pytest

from vepe_synth.avatars import open_library
from vepe_synth.body import body_keypoints, skin_vertices
from vepe_synth.config import ActionWeights, PeopleSettings
from vepe_synth.scene import Scene, plan_scene

LIBRARY = open_library()


def only(action: str, people: int) -> PeopleSettings:
    shares = dict.fromkeys(ActionWeights.model_fields, 0.0) | {action: 1.0}
    return PeopleSettings(
        people_min=people, people_max=people, actions=ActionWeights(**shares), recolour_share=0.0
    )


def make_scene(settings: PeopleSettings, seed: int, seconds: float = 2.0) -> Scene:
    return plan_scene(np.random.default_rng(seed), LIBRARY, settings, seconds)


def centres(scene: Scene, time_s: float) -> np.ndarray:
    """Heads, chests and hips: (P, 3, 3)."""
    names = ("Head", "Spine2", "Hips")
    return np.stack(
        [p.joint_world(time_s)[[p.avatar.joint(n) for n in names], :3, 3] for p in scene.people]
    )


def test_scene_is_a_function_of_the_seed() -> None:
    settings = PeopleSettings(people_min=3, people_max=5)
    a, b, c = make_scene(settings, 5), make_scene(settings, 5), make_scene(settings, 6)
    assert [p.avatar.name for p in a.people] == [p.avatar.name for p in b.people]
    assert a.props == b.props
    for p, q in zip(a.people, b.people, strict=True):
        np.testing.assert_array_equal(p.joint_world(0.77), q.joint_world(0.77))
        for s, t in zip(p.avatar.textures, q.avatar.textures, strict=True):
            np.testing.assert_array_equal(s, t)
    assert [p.avatar.name for p in a.people] != [p.avatar.name for p in c.people]


@pytest.mark.parametrize("people", [1, 2, 7, 12])
def test_number_and_ids(people: int) -> None:
    scene = make_scene(PeopleSettings(people_min=people, people_max=people), people, 1.0)
    assert [p.track_id for p in scene.people] == list(range(people))
    low, high = scene.bounds(0.5)
    assert (high > low).all()
    assert scene.people[0].joint_world(0.5).dtype == np.float32


@pytest.mark.parametrize("seed", range(6))
def test_nobody_is_inside_another(seed: int) -> None:
    shares = ActionWeights(fight=0)
    settings = PeopleSettings(people_min=6, people_max=8, actions=shares)
    scene = make_scene(settings, seed)
    nearest = []
    for time_s in np.linspace(0, 2, 9):
        points = centres(scene, time_s)
        for i in range(len(points)):
            for j in range(i):
                apart = np.linalg.norm(points[i][:, None] - points[j][None], axis=-1)
                nearest.append(apart.min())
    assert min(nearest) > 0.2
    assert min(nearest) < 2.0  # and yet they are near each other


def test_fighters_face_each_other_within_reach() -> None:
    scene = make_scene(only("fight", 2), 3)
    a, b = (p.poses.root_m[:, [0, 2]].mean(axis=0) for p in scene.people)
    assert 0.6 < np.linalg.norm(a - b) < 1.9


def test_group_talks_in_a_circle() -> None:
    scene = make_scene(only("talk", 4), 8)
    for p in scene.people:
        joints = p.joint_world(1.0)
        points = body_keypoints(p.avatar, joints, skin_vertices(p.avatar, joints))
        assert points[:, 1].min() > -0.02


def test_walkers_in_a_group_keep_together() -> None:
    for seed in range(4):
        scene = make_scene(only("walk", 3), seed, 3.0)
        ends = [p.poses.root_m[[0, -1]][:, [0, 2]] for p in scene.people]
        assert all(np.linalg.norm(e[1] - e[0]) > 0.8 for e in ends)


@pytest.mark.parametrize("seed", range(5))
def test_chair_is_under_the_sitter(seed: int) -> None:
    scene = make_scene(only("sit", 1), seed)
    (person,) = scene.people
    hips = person.joint_world(1.0)[person.avatar.joint("Hips"), :3, 3]
    seat = scene.props[0]
    top = seat.centre_m[1] + seat.size_m[1] / 2
    assert 0.0 < (hips[1] - top) / person.rig.metres_per_source_m < 0.25
    assert np.hypot(hips[0] - seat.centre_m[0], hips[2] - seat.centre_m[2]) < 0.35
    for prop in scene.props:
        assert prop.centre_m[1] - prop.size_m[1] / 2 > -0.01
        assert all(0 <= c <= 255 for c in prop.colour)


def test_time_between_poses_is_interpolated() -> None:
    (person,) = make_scene(only("run", 1), 0).people
    a, m, b = (person.joint_world(t)[:, :3, 3] for t in (0.5, 0.5 + 1 / 60, 0.5 + 1 / 30))
    np.testing.assert_allclose(m, (a + b) / 2, atol=0.01)
    assert np.abs(b - a).max() > 0.02
    np.testing.assert_array_equal(person.joint_world(99.0), person.joint_world(99.5))


def test_people_run_out_only_by_repeating() -> None:
    few = LIBRARY.split("val")
    settings = PeopleSettings(people_min=12, people_max=12)
    scene = plan_scene(np.random.default_rng(0), few, settings, 0.5)
    assert len(scene.people) == 12
