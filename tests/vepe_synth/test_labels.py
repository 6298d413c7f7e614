"""Labels: keypoints are projected points; what hides them is read from the image of depths."""

from __future__ import annotations

import numpy as np
import pytest

from vepe.skeleton import POSETRACK15
from vepe_synth.avatars import open_library
from vepe_synth.body import body_keypoints, skin_vertices
from vepe_synth.labels import PosedPerson, frame_labels
from vepe_synth.stage import Backdrop, Light, Stage
from vepe_synth.surfaces import Surface, box, join
from vepe_synth.view import View, look_at

LIGHT = Light((0.0, 1.0, 0.0), (1.0, 1.0, 1.0), (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
GREY = np.full((4, 4, 3), 90, np.uint8)
WHITE = np.full((8, 8, 4), 255, np.uint8)


@pytest.fixture(scope="module")
def avatar():
    library = open_library()
    return library.load(next(n for n in library.names if "_M_" in n))


def standing(avatar, x=0.0, z=0.0, yaw=0.0, track_id=0) -> PosedPerson:
    move = np.eye(4, dtype=np.float32)
    c, s = np.cos(yaw), np.sin(yaw)
    move[:3, :3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]]
    move[:3, 3] = x, 0, z
    return PosedPerson(avatar, track_id, move @ avatar.bind_world())


def camera(settings, distance=3.5, height=1.0, target=(0.0, 0.9, 0.0), focal=150.0) -> View:
    eye = np.array([0.0, height, distance])
    rotation = look_at(eye, np.array(target))
    return View(eye, rotation, focal, settings.width, settings.height)


def look(renderer, settings, posed, view=None, things=()):
    view = view or camera(settings)
    stage = Stage(join(list(things)), Backdrop(GREY, np.eye(3), (1.0, 1.0)), LIGHT)
    renderer.load(stage, [a.avatar for a in posed], np.ones((len(posed), 3)))
    renderer.pose(view, [a.joint_world for a in posed])
    ids = renderer.ids()
    return frame_labels(view, ids, posed, settings), ids, view


def visible(person) -> set[str]:
    return {n for n, v in zip(POSETRACK15.keypoints, person.visibility, strict=True) if v == 1}


def test_keypoints_are_the_projected_points(renderer, small_settings, avatar) -> None:
    standing_person = standing(avatar)
    labels, _, view = look(renderer, small_settings, [standing_person])
    (person,) = labels.people
    vertices = skin_vertices(avatar, standing_person.joint_world)
    points = body_keypoints(avatar, standing_person.joint_world, vertices)
    local = (points - view.eye) @ view.rotation.T
    x = view.width / 2 - view.focal_px * local[:, 0] / local[:, 2]
    y = view.height / 2 + view.focal_px * local[:, 1] / local[:, 2]
    np.testing.assert_allclose(person.keypoints_px, np.stack([x, y], 1), atol=0.011)
    assert person.present.all()
    assert labels.ignore_regions_px == ()


def test_the_image_shows_the_person_where_the_labels_are(renderer, small_settings, avatar) -> None:
    labels, ids, _ = look(renderer, small_settings, [standing(avatar)])
    (person,) = labels.people
    columns, rows = person.keypoints_px.astype(int).T
    on_body = ids.person[rows, columns] == 0
    assert on_body.mean() > 0.85  # head top and nose may lie on the very edge
    x, y, w, h = person.box_xywh_px
    seen_rows, seen_columns = np.nonzero(ids.person == 0)
    low = [seen_columns.min(), seen_rows.min()]
    high = [seen_columns.max() + 1, seen_rows.max() + 1]
    np.testing.assert_allclose([*low, *high], [x, y, x + w, y + h], atol=2)
    assert abs(person.extra["area"] - (ids.person == 0).sum()) < 0.1 * (ids.person == 0).sum()


@pytest.mark.parametrize(
    ("yaw", "seen", "hidden"),
    [
        (0.0, set(POSETRACK15.keypoints), set()),
        (np.pi, set(POSETRACK15.keypoints) - {"nose"}, {"nose"}),
        (np.pi / 2, {"right_wrist", "right_hip", "nose"}, {"left_shoulder", "left_hip"}),
        (-np.pi / 2, {"left_wrist", "left_hip", "nose"}, {"right_shoulder", "right_hip"}),
    ],
    ids=["from the front", "from behind", "from its right", "from its left"],
)
def test_what_a_body_hides_of_itself(renderer, small_settings, avatar, yaw, seen, hidden) -> None:
    """Arms are stretched to the sides; seen from a side, the hand covers the shoulder."""
    labels, _, _ = look(renderer, small_settings, [standing(avatar, yaw=yaw)])
    result = visible(labels.people[0])
    assert seen <= result
    assert not hidden & result


def test_a_person_behind_another_is_hidden(renderer, small_settings, avatar) -> None:
    front, back = standing(avatar, track_id=4), standing(avatar, x=0.25, z=-1.0, track_id=7)
    labels, _, _ = look(renderer, small_settings, [front, back])
    first, second = labels.people
    assert (first.track_id, second.track_id) == (4, 7)
    assert visible(first) == set(POSETRACK15.keypoints)
    assert 0 < len(visible(second)) < 12
    assert second.extra["visible_share"] < 0.75 < first.extra["visible_share"]


@pytest.mark.parametrize(
    ("height", "hidden"), [(0.35, {"left_ankle", "right_ankle"}), (0.0, set())]
)
def test_a_box_in_front_hides_what_is_behind_it(
    renderer, small_settings, avatar, height, hidden
) -> None:
    things = [Surface(*box((0, height / 2, 0.7), (3, height, 0.1)), WHITE)] if height else []
    labels, _, _ = look(renderer, small_settings, [standing(avatar)], things=things)
    missing = set(POSETRACK15.keypoints) - visible(labels.people[0])
    assert missing >= hidden
    assert missing <= hidden | {"left_knee", "right_knee"}


def test_keypoints_outside_the_image_are_not_labelled(renderer, small_settings, avatar) -> None:
    view = camera(small_settings, distance=1.6, target=(0.0, 1.5, 0.0), height=1.5)
    labels, _, _ = look(renderer, small_settings, [standing(avatar)], view)
    (person,) = labels.people
    outside = ~person.present
    assert {"left_ankle", "right_ankle"} <= {
        n for n, o in zip(POSETRACK15.keypoints, outside, strict=True) if o
    }
    assert (person.keypoints_px[outside] == 0).all()
    assert (person.visibility[outside] == 0).all()


@pytest.mark.parametrize("reason", ["small", "hidden", "gone"])
def test_people_who_are_not_labelled(renderer, small_settings, avatar, reason) -> None:
    posed, view, things = [standing(avatar)], camera(small_settings), []
    if reason == "small":
        view = camera(small_settings, distance=16.0)
    else:
        wide = 0.34 if reason == "hidden" else 4.0
        things = [Surface(*box((0, 1, 0.6), (wide, 4, 0.1)), WHITE)]
    settings = small_settings
    if reason == "hidden":
        settings = small_settings.model_copy(update={"min_visible_share": 0.8})
    labels, _, _ = look(renderer, settings, posed, view, things)
    assert labels.people == ()
    assert len(labels.ignore_regions_px) == (0 if reason == "gone" else 1)
