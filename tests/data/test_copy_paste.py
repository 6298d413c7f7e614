"""A pasted person has one track id, covers people behind and is covered by people in front."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vepe.data.clip import HIDDEN, VISIBLE, Clip, People
from vepe.data.transforms.affine import repeated
from vepe.data.transforms.copy_paste import paste_person
from vepe.skeleton import POSETRACK15

FIGURE = np.array(
    [(0, 25), (0, 35), (0, 10), (-20, 40), (20, 40), (-30, 70), (30, 70), (-35, 95), (35, 95),
     (-12, 100), (12, 100), (-14, 140), (14, 140), (-15, 180), (15, 180)], float
)  # fmt: skip


def clip_of(grey: int, *offsets: tuple[float, float], frames: int = 2) -> Clip:
    points = np.array([FIGURE + offset for offset in offsets]).reshape(-1, 15, 2).astype(np.float32)
    low, high = points.min(axis=1) - 8, points.max(axis=1) + 8
    people = People(
        keypoints_px=points,
        visibility=np.full(points.shape[:2], VISIBLE),
        boxes_xyxy_px=np.concatenate([low, high], axis=1),
        areas_px=np.full(len(points), 5000, np.float32),
        track_ids=np.arange(len(points)) + 3,
        ignore_boxes_xyxy_px=np.zeros((0, 4), np.float32),
    )
    image = np.full((240, 300, 3), grey, np.uint8)
    return Clip(repeated(image, frames), np.arange(frames) / 10.0, (people,) * frames,
                tuple(range(frames)), 1.0, "clip")  # fmt: skip


def pasted(target: Clip, other: Clip) -> Clip:
    return paste_person(target, other, POSETRACK15, np.random.default_rng(0))


def test_nearer_person_covers_people_behind() -> None:
    target = clip_of(50, (150, 0), (50, 0))
    clip = pasted(target, clip_of(200, (185, 50)))
    assert [p.track_ids.tolist() for p in clip.people] == [[3, 4, 5]] * 2
    for image, people in zip(clip.images, clip.people, strict=True):
        assert (people.visibility[1] == VISIBLE).all()  # far from it
        assert (people.visibility[2] == VISIBLE).all()  # in front
        hidden = people.visibility[0] == HIDDEN
        assert 0 < hidden.sum() < 11
        x, y = people.keypoints_px[0].astype(int).T
        assert (image[y[hidden], x[hidden], 0] > 120).all()  # the pasted one's grey
        assert (image[y[~hidden], x[~hidden], 0] < 130).all()
        trunk = people.keypoints_px[2][[3, 4, 9, 10]].mean(axis=0).astype(int)
        assert image[trunk[1], trunk[0], 0] == 200
    assert (target.images == 50).all()


def test_farther_person_is_covered() -> None:
    clip = pasted(clip_of(50, (150, 50)), clip_of(200, (170, 0)))
    for people in clip.people:
        assert (people.visibility[0] == VISIBLE).all()
        assert (people.visibility[1] == HIDDEN).any()


def test_mostly_covered_people_become_ignore_boxes() -> None:
    target = clip_of(50, (150, 0))
    clip = pasted(target, clip_of(200, (151, 20)))
    for people in clip.people:
        assert people.track_ids.tolist() == [4]
        assert np.array_equal(people.ignore_boxes_xyxy_px, target.people[0].boxes_xyxy_px)


@pytest.mark.parametrize("lost", ["hip", "ankle in one frame", "second frame"])
def test_only_people_who_can_be_cut_out_are_pasted(lost: str) -> None:
    other = clip_of(200, (150, 0))
    people = list(other.people)
    if lost == "hip":
        visibility = people[0].visibility.copy()
        visibility[0, POSETRACK15.index("left_hip")] = 0
        people = [replace(p, visibility=visibility) for p in people]
    elif lost == "second frame":
        people[1] = People.empty(15)
    else:
        visibility = people[1].visibility.copy()
        visibility[0, POSETRACK15.index("left_ankle")] = 0
        people[1] = replace(people[1], visibility=visibility)
    target = clip_of(50, (100, 0))
    assert pasted(target, replace(other, people=tuple(people))) is target


def test_unlabelled_frames_get_the_image_without_labels() -> None:
    target = clip_of(50, frames=2)
    target = replace(target, key_indices=(0,))
    clip = pasted(target, clip_of(200, (150, 20)))
    assert [len(p) for p in clip.people] == [1, 0]
    assert (clip.images[1] == 200).any()


def test_without_edges_nobody_is_pasted() -> None:
    target = clip_of(50, (100, 0))
    skeleton = replace(POSETRACK15, edges=())
    rng = np.random.default_rng(0)
    assert paste_person(target, clip_of(200, (185, 50)), skeleton, rng) is target
