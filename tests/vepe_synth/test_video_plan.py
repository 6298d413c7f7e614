"""Cameras, surroundings, light, sensors: what holds for whatever is invented."""

from __future__ import annotations

import numpy as np
import pytest

from vepe.errors import VepeError
from vepe_synth.avatars import open_library
from vepe_synth.background import background_images, random_light, temperature
from vepe_synth.camera import plan_camera
from vepe_synth.clutter import plan_occluders
from vepe_synth.loaded_clip import contact_spots
from vepe_synth.scene import Crowd
from vepe_synth.sensor import Sensor, expose, random_sensor
from vepe_synth.surfaces import Surface, box, join, quad
from vepe_synth.textures import MATERIALS, palette, plant
from vepe_synth.video_plan import plan_video
from vepe_synth.view import View, look_at

WHITE = np.full((8, 8, 4), 255, np.uint8)


def people(count: int, seed: int = 0) -> Crowd:
    """Upright lines of joints that walk."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(-2, 2, (count, 1, 3)) * [1, 0, 1]
    way = rng.uniform(-1, 1, (count, 1, 3)) * [1, 0, 1]
    body = np.stack([np.zeros(12), np.linspace(0.05, 1.7, 12), np.zeros(12)], axis=1)
    return Crowd(
        tuple(tuple(p) for p in (start + way * t + body for t in np.linspace(0, 1, 5))), 1.0
    )


def test_projection_and_its_matrix_agree(rng) -> None:
    eye = np.array([2.0, 1.5, 4.0])
    view = View(eye, look_at(eye, np.array([0.0, 1.0, 0.0]), 0.2), 300.0, 320, 200)
    points = rng.uniform(-1, 1, (20, 3))
    pixels, depth = view.project(points)
    clip = np.concatenate([points, np.ones((20, 1))], 1) @ view.clip_from_world().T
    ndc = clip[:, :2] / clip[:, 3:]
    np.testing.assert_allclose((ndc + 1) / 2 * [320, 200], pixels, atol=1e-6)
    np.testing.assert_allclose(clip[:, 3], depth)
    centre, _ = view.project(np.array([0.0, 1.0, 0.0]))
    np.testing.assert_allclose(centre, [160, 100])
    above, _ = view.project(np.array([0.0, 1.3, 0.0]))
    assert above[1] < 100


@pytest.mark.parametrize("seed", range(8))
def test_cameras_see_people_and_stay_above_the_floor(seed) -> None:
    crowd = people(3, seed)
    path = plan_camera(np.random.default_rng(seed), crowd, 320, 200)
    seen = 0
    for time_s in (0.0, 0.5, 1.0):
        view = path.at(time_s)
        np.testing.assert_allclose(view.rotation @ view.rotation.T, np.eye(3), atol=1e-9)
        assert view.eye[1] >= 0.2
        pixels, depth = view.project(np.concatenate(crowd.middle))
        seen += ((pixels > 0) & (pixels < [320, 200])).all(1)[depth > 0].sum()
    assert seen > 12


@pytest.mark.parametrize("seed", range(10))
def test_nobody_walks_into_what_stands_in_front(seed) -> None:
    crowd = people(4, seed)
    rng = np.random.default_rng(seed)
    view = plan_camera(rng, crowd, 320, 200).at(0.5)
    for surface in plan_occluders(rng, palette(rng), crowd, view):
        low, high = surface.corners.reshape(-1, 3).min(0), surface.corners.reshape(-1, 3).max(0)
        for instant in crowd.joints:
            joints = np.concatenate(instant)
            assert not ((joints > low) & (joints < high)).all(1).any()


def test_boxes_face_outwards() -> None:
    corners, uv = box((1, 2, 3), (0.4, 1.0, 0.6), 0.7)
    middle = corners.mean(axis=1)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0])
    outwards = ((middle - [1, 2, 3]) * normals).sum(axis=1)
    assert (outwards > 0).all()
    assert uv.shape == (6, 4, 2)
    np.testing.assert_allclose(np.ptp(corners[..., 1]), 1.0)


def test_joined_surfaces_share_pictures_and_casters_come_first(rng) -> None:
    floor = Surface(*quad((0, 0, 0), (1, 0, 0), (0, 0, -1)), WHITE, casts_shadow=False)
    crate = Surface(*box((0, 1, 0), (1, 1, 1)), WHITE)
    leaves = Surface(*quad((0, 0, 0), (1, 0, 0), (0, 1, 0)), plant(rng)[::32, ::32])
    mesh = join([floor, crate, leaves])
    assert len(mesh.images) == 2
    assert (len(mesh.solid), mesh.solid_casters) == (14, 12)
    assert (len(mesh.cutout), mesh.cutout_casters) == (2, 2)
    heights = mesh.vertices["position"][mesh.solid[mesh.solid_casters :]][..., 1]
    assert (heights == 0).all()
    assert join([]).solid.shape == (0, 3)


@pytest.mark.parametrize("kind", range(len(MATERIALS)))
def test_textures_depend_on_the_generator_alone(kind) -> None:
    first, again, other = (MATERIALS[kind](np.random.default_rng(s)) for s in (1, 1, 2))
    assert first.shape == (256, 256, 4)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("indoors", [True, False])
def test_light_is_sound(rng, indoors) -> None:
    for _ in range(50):
        light = random_light(rng, indoors=indoors, middle_m=np.zeros(3))
        assert np.linalg.norm(light.sun_direction) == pytest.approx(1)
        assert light.sun_direction[1] > 0.3
        assert min(*light.sun, *light.sky, *light.ground, *light.lamp) >= 0
        assert 0.2 < light.exposure * np.mean(light.sky) + light.exposure * np.mean(light.sun) < 9


def test_warm_and_cold_light() -> None:
    warm, cold = temperature(2800), temperature(9000)
    assert warm[0] == 1 > 0.6 > warm[2]
    assert cold[2] == 1 > 0.9 > cold[0]


def test_spots_are_under_what_is_near_the_floor() -> None:
    spots = contact_spots(np.array([[1.0, 0.1, 2.0], [5.0, 1.4, 5.0]]), 0.5)
    assert spots.shape == (6, 5)
    np.testing.assert_allclose(spots[:, :2].mean(axis=0), [1, 2], atol=0.1)
    assert 0 < spots[0, 4] < 0.5


def test_a_plain_sensor_changes_nothing_and_noise_is_seeded(rng) -> None:
    image = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    plain = Sensor((1, 1, 1), 1.0, 1.0, 0.0, 1.0, 0.0, 95)
    np.testing.assert_array_equal(expose(plain, image, rng), image)
    poor = random_sensor(np.random.default_rng(3))
    first, again = (expose(poor, image, np.random.default_rng(8)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == image.shape


@pytest.mark.parametrize(
    ("name", "text"), [("missing", "There is no folder"), ("empty", "has no images")]
)
def test_backgrounds_that_are_not_there(tmp_path, name, text) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(VepeError, match=text):
        background_images(tmp_path / name)


def test_a_film_is_a_function_of_its_number(small_settings) -> None:
    library = open_library()
    plans = [plan_video(small_settings, library, seed=3, split="train", index=i) for i in (4, 4, 5)]
    eyes = [p.camera.at(0.05).eye for p in plans]
    np.testing.assert_array_equal(eyes[0], eyes[1])
    assert (eyes[0] != eyes[2]).any()
    assert plans[0].sensor == plans[1].sensor != plans[2].sensor
    assert plans[0].stage.light == plans[1].stage.light
