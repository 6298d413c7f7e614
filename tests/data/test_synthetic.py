"""Made-up clips: the same for a seed, labels that fit the pictures, crossings that hide."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from vepe.data.clip import HIDDEN, UNLABELLED, VISIBLE
from vepe.data.synthetic import SyntheticClip, SyntheticClips
from vepe.data.synthetic_figures import FOREGROUND, PARTS, owner_code, owner_figure
from vepe.data.synthetic_scene import random_camera
from vepe.errors import VepeError
from vepe.skeleton import COCO17, POSETRACK15, Skeleton

LIMB_JOINTS = [
    k for k, name in enumerate(POSETRACK15.keypoints) if name.startswith(("left_", "right_"))
]


@lru_cache(maxsize=1)
def crossing_clips() -> tuple[SyntheticClip, ...]:
    clips = SyntheticClips(
        6, 13, 96, 128, people=(2, 3), fps=8, seed=5, crossing=True, motion_blur=0, posts=0
    )
    return tuple(clips)


@lru_cache(maxsize=1)
def mixed_clips() -> tuple[SyntheticClip, ...]:
    return tuple(SyntheticClips(10, 3, 96, 128, people=(1, 5), fps=10, seed=2, posts=0.5))


def owner_at(clip: SyntheticClip, frame: int, keypoints_px: np.ndarray) -> np.ndarray:
    x, y = np.floor(keypoints_px).astype(int).T
    return clip.owners[frame][y, x]


def test_a_seed_gives_the_same_clips_in_any_order() -> None:
    one, two = (SyntheticClips(4, 2, 48, 64, seed=9, motion_blur=0.5) for _ in range(2))
    last = two[3]
    for a, b in zip([one[i] for i in range(4)], [*(two[i] for i in range(3)), last], strict=True):
        np.testing.assert_array_equal(a.images, b.images)
        for p, q in zip(a.people, b.people, strict=True):
            np.testing.assert_array_equal(p.keypoints_px, q.keypoints_px)
            np.testing.assert_array_equal(p.visibility, q.visibility)


def test_other_seeds_and_indices_give_other_clips() -> None:
    clips = [SyntheticClips(2, 1, 48, 64, seed=s)[i].images for s in (0, 1) for i in (0, 1)]
    for i in range(4):
        for j in range(i):
            assert np.abs(clips[i].astype(int) - clips[j]).mean() > 5


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 45, 61), (2, 64, 48)])
def test_shapes_and_times(size: tuple[int, int, int]) -> None:
    frames, height, width = size
    clip = SyntheticClips(1, frames, height, width, people=(2, 2), fps=12.5)[0]
    assert clip.images.shape == (frames, height, width, 3)
    assert clip.images.dtype == np.uint8
    np.testing.assert_allclose(clip.time_s, np.arange(frames) / 12.5)
    assert len(clip.people) == len(clip) == frames == len(clip.head_boxes_xyxy_px)
    assert clip.key_indices == tuple(range(frames))
    assert clip.background_weight == 1.0


def test_indices_outside_raise() -> None:
    clips = SyntheticClips(2, 1, 32, 32)
    assert len(clips) == 2
    with pytest.raises(IndexError):
        clips[2]


def test_visible_joints_lie_on_the_limbs_that_end_there() -> None:
    parts = {
        "shoulder": ("upper_arm", "torso", "hair"),
        "elbow": ("upper_arm", "forearm"),
        "wrist": ("forearm", "hand"),
        "hip": ("thigh", "torso", "hair"),
        "knee": ("thigh", "shank"),
        "ankle": ("shank", "foot"),
    }
    seen = 0
    for clip in (*mixed_clips(), *crossing_clips()):
        for t, people in enumerate(clip.people):
            for n, track in enumerate(people.track_ids.tolist()):
                for k in LIMB_JOINTS:
                    if people.visibility[n, k] != VISIBLE:
                        continue
                    side, _, joint = POSETRACK15.keypoints[k].partition("_")
                    code = owner_at(clip, t, people.keypoints_px[n, k : k + 1])[0]
                    allowed = {
                        owner_code(track, PARTS.index(p if p in PARTS else f"{side}_{p}"))
                        for p in parts[joint]
                    }
                    assert code in allowed, (clip.name, t, POSETRACK15.keypoints[k])
                    seen += 1
    assert seen > 1000


def test_joints_under_somebody_else_are_flagged_hidden() -> None:
    hidden = 0
    for clip in (*mixed_clips(), *crossing_clips()):
        for t, people in enumerate(clip.people):
            for n, track in enumerate(people.track_ids.tolist()):
                labelled = [k for k in LIMB_JOINTS if people.visibility[n, k] != UNLABELLED]
                codes = owner_at(clip, t, people.keypoints_px[n, labelled])
                other = (codes == FOREGROUND) | (owner_figure(codes) != track)
                assert (people.visibility[n, labelled][other] == HIDDEN).all()
                hidden += int(other.sum())
    assert hidden > 50


def test_the_nose_is_seen_from_the_front_and_hidden_from_behind() -> None:
    nose, left, right = (
        POSETRACK15.index(name) for name in ("nose", "left_shoulder", "right_shoulder")
    )
    seen = {True: [], False: []}
    for clip in SyntheticClips(40, 1, 96, 128, people=(1, 1), seed=3, crossing=False, posts=0):
        people = clip.people[0]
        if not len(people) or not people.visibility[0, [nose, left, right]].all():
            continue
        across = people.keypoints_px[0, left, 0] - people.keypoints_px[0, right, 0]
        if abs(across) > 0.2 * people.areas_px[0] ** 0.5:
            seen[bool(across > 0)].append(int(people.visibility[0, nose]))
    assert len(seen[True]) > 3
    assert len(seen[False]) > 3
    # The head may be turned by itself, and an arm may cover the nose: not all, but nearly.
    assert np.mean(np.asarray(seen[True]) == VISIBLE) > 0.8
    assert np.mean(np.asarray(seen[False]) == HIDDEN) > 0.8


def test_the_picture_shows_the_person_where_the_labels_say() -> None:
    """Pixels of a person differ from the same clip's background around it."""
    clip = SyntheticClips(
        1, 12, 96, 128, people=(1, 1), fps=5, seed=11, moving_camera=0, sensor_noise=0,
        motion_blur=0, posts=0,
    )[0]  # fmt: skip
    background = np.median(clip.images, axis=0)
    moved = np.abs(clip.images - background).max(axis=-1) > 12
    person = clip.owners > 0
    assert person.any(axis=(1, 2)).sum() >= 10
    inside, outside = moved[person].mean(), moved[~person].mean()
    assert inside > 0.5
    assert outside < 0.1


def test_keypoints_out_of_the_picture_are_unlabelled() -> None:
    outside = 0
    for clip in mixed_clips():
        height, width = clip.images.shape[1:3]
        for people in clip.people:
            labelled = people.visibility > 0
            points = people.keypoints_px[labelled]
            assert ((points >= 0) & (points < (width, height))).all()
            assert (people.keypoints_px[~labelled] == 0).all()
            assert (people.visibility == VISIBLE).any(axis=1).all()
            outside += int((~labelled).sum())
    assert outside > 20


def test_boxes_and_areas_fit_the_person() -> None:
    for clip in mixed_clips():
        height, width = clip.images.shape[1:3]
        for t, people in enumerate(clip.people):
            boxes = people.boxes_xyxy_px
            assert (boxes >= 0).all()
            assert (boxes <= (width, height, width, height)).all()
            sides = boxes[:, 2:] - boxes[:, :2]
            assert (people.areas_px >= 1).all()
            assert (people.areas_px <= sides.prod(axis=1) + 1e-3).all()
            for n, track in enumerate(people.track_ids.tolist()):
                points = people.keypoints_px[n][people.visibility[n] > 0]
                assert (points >= boxes[n, :2] - 1.5).all()
                assert (points <= boxes[n, 2:] + 1.5).all()
                rows, columns = np.nonzero(owner_figure(clip.owners[t]) == track)
                assert len(rows) <= 1.15 * people.areas_px[n] + 20
                assert columns.min(initial=width) >= boxes[n, 0] - 2
                assert rows.max(initial=0) <= boxes[n, 3] + 2


def test_head_boxes_hold_the_head() -> None:
    names = [POSETRACK15.index(name) for name in ("nose", "head_top")]
    for clip in mixed_clips():
        for people, boxes in zip(clip.people, clip.head_boxes_xyxy_px, strict=True):
            assert boxes.shape == (len(people), 4)
            seen = people.visibility[:, names] > 0
            points = people.keypoints_px[:, names]
            margin = 0.25 * (boxes[:, None, 2:] - boxes[:, None, :2]).max(axis=-1) + 1
            low = (points >= boxes[:, None, :2] - margin[..., None]).all(axis=-1)
            high = (points <= boxes[:, None, 2:] + margin[..., None]).all(axis=-1)
            assert (low & high)[seen].all()


def test_crossings_really_occur_and_hide() -> None:
    depths = []
    for clip in crossing_clips():
        most = 0
        for t, people in enumerate(clip.people):
            for n, track in enumerate(people.track_ids.tolist()):
                labelled = people.visibility[n] > 0
                codes = owner_at(clip, t, people.keypoints_px[n, labelled])
                by_other = (owner_figure(codes) >= 0) & (owner_figure(codes) != track)
                flagged = people.visibility[n, labelled] == HIDDEN
                most = max(most, int((by_other & flagged).sum()))
        assert most >= 3, clip.name
        depths.append(most)
    assert np.mean(depths) >= 6


def test_ids_stay_with_their_person_through_the_crossing() -> None:
    swaps = 0
    for clip in crossing_clips():
        paths: dict[int, dict[int, float]] = {}
        for t, people in enumerate(clip.people):
            assert len(set(people.track_ids.tolist())) == len(people)
            for n, track in enumerate(people.track_ids.tolist()):
                shown = people.visibility[n] > 0
                if shown.all():
                    paths.setdefault(track, {})[t] = float(people.keypoints_px[n, :, 0].mean())
        for path in paths.values():
            steps = [path[t + 1] - path[t] for t in path if t + 1 in path]
            assert all(abs(step) < 25 for step in steps)
        a, b = paths.get(0, {}), paths.get(1, {})
        both = sorted(set(a) & set(b))
        if both:
            swaps += (a[both[0]] - b[both[0]]) * (a[both[-1]] - b[both[-1]]) < 0
    assert swaps >= 4


def test_without_people_there_is_background_alone() -> None:
    clip = SyntheticClips(1, 2, 48, 64, people=(0, 0), posts=0)[0]
    assert [len(people) for people in clip.people] == [0, 0]
    assert not clip.owners.any()
    assert clip.images.std() > 3


def test_number_of_people_is_kept() -> None:
    clips = SyntheticClips(30, 1, 64, 96, people=(2, 4), seed=4)
    counts = [len(clip.people[0]) for clip in clips]
    assert max(counts) <= 4
    assert np.mean(counts) > 2


def test_another_skeleton() -> None:
    eyes = [COCO17.index("left_eye"), COCO17.index("right_eye")]
    for clip in SyntheticClips(4, 1, 96, 128, people=(1, 2), seed=6, skeleton=COCO17):
        people = clip.people[0]
        assert people.keypoints_px.shape[1:] == (17, 2)
        both = (people.visibility[:, eyes] > 0).all(axis=1)
        apart = np.linalg.norm(np.diff(people.keypoints_px[both][:, eyes], axis=1), axis=-1)
        assert (apart[:, 0] < 0.25 * people.areas_px[both] ** 0.5).all()


def test_the_background_turns_with_the_camera(rng: np.random.Generator) -> None:
    camera, _ = random_camera(rng, np.arange(5) / 5, (96, 128), moving=True)
    points = rng.uniform(-2, 2, (20, 3)) + np.array([0.0, 1.0, -9.0])
    pixels, depth = camera.project(np.broadcast_to(points, (5, 20, 3)))
    assert (depth > 0).all()
    homogeneous = np.concatenate([pixels, np.ones((5, 20, 1))], axis=-1)
    on_canvas = []
    for t in range(5):
        back = homogeneous[t] @ np.linalg.inv(camera.canvas_to_picture(t)).T
        on_canvas.append(back[:, :2] / back[:, 2:])
    assert np.ptp(pixels, axis=0).max() > 1, "the camera moves"
    assert np.ptp(on_canvas, axis=0).max() < 1e-6, "the world stands still on the canvas"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"people": (3, 1)}, "3 to 1 people"),
        ({"people": (0, 1000)}, "from 0 to 100"),
        ({"fps": 0.0}, "fps > 0"),
        ({"num_frames": 0}, "at least one"),
        ({"skeleton": Skeleton("x", ("tail",), (), (), (0.1,))}, "'tail'"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"num_clips": 1, "num_frames": 1, "height": 32, "width": 32}
    with pytest.raises(VepeError, match=message):
        SyntheticClips(**(arguments | options))  # type: ignore[arg-type]
