"""The tracker on walking figures with exact identities."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from walking_people import K, Walker, film, frame_of

from vepe.config.tracking import TrackerSettings
from vepe.errors import VepeError
from vepe.tracking.tracker import Tracker
from vepe.types import NO_TRACK, FramePoses

CROSSING = [Walker(0, (200, 300), (250, 0)), Walker(1, (700, 310), (-250, 0))]


def ids_of(tracker, frames, state=None):
    """Track ids per person in order of time, {person: [ids]}, and the last state."""
    state = tracker.start() if state is None else state
    ids: dict[int, list[int]] = {}
    for poses, people in frames:
        state, out = tracker.step(state, poses)
        for person, track_id in zip(people, out.track_ids.tolist(), strict=True):
            ids.setdefault(person, []).append(track_id)
    return ids, state


def times(fps: float, seconds: float) -> np.ndarray:
    return np.arange(int(fps * seconds)) / fps


@pytest.mark.parametrize("fps", [10, 25, 60])
def test_crossing_people_keep_their_ids_by_embedding(fps):
    ids, _ = ids_of(Tracker(), film(CROSSING, times(fps, 2.0)))
    assert [set(i) for i in ids.values()] == [{1}, {2}]


@pytest.mark.parametrize("fps", [10, 25, 60])
def test_crossing_people_keep_their_ids_by_motion_alone(fps):
    ids, _ = ids_of(Tracker(), film(CROSSING, times(fps, 2.0), embeddings=False))
    assert [set(i) for i in ids.values()] == [{1}, {2}]


def test_uneven_frame_times_keep_ids(rng):
    uneven = np.cumsum(rng.choice([1 / 60, 1 / 30, 0.15], size=60))
    ids, _ = ids_of(Tracker(), film(CROSSING, uneven[uneven < 2.0], embeddings=False))
    assert [set(i) for i in ids.values()] == [{1}, {2}]


@pytest.mark.parametrize(
    ("gap_s", "embeddings", "expected"),
    [
        (0.3, False, {1}),
        (0.3, True, {1}),
        (1.5, True, {1}),
        (4.0, False, {1, 2}),
        (4.0, True, {1, 2}),
    ],
)
@pytest.mark.parametrize("fps", [10, 30])
def test_ids_continue_after_gaps_up_to_max_gap(gap_s, embeddings, expected, fps):
    settings = TrackerSettings(max_gap_s=2.0)
    walker = Walker(0, (100, 300), (60, 0), unseen_s=(1.0, 1.0 + gap_s))
    ids, _ = ids_of(Tracker(settings), film([walker], times(fps, 7.0), embeddings=embeddings))
    assert set(ids[0]) == expected


@pytest.mark.parametrize(("similarity", "tracked"), [(1.0, False), (0.2, True)])
def test_a_duplicate_does_not_continue_a_lost_track(similarity, tracked):
    """One person steps in front of another; the network then detects the front one twice."""
    duplicate = np.eye(4)[0] * similarity + np.eye(4)[1] * np.sqrt(1 - similarity**2)
    frames = []
    for index in range(30):
        behind = (300, 300) if index < 10 else (340, 300)
        walkers = [Walker(0, (340, 300)), Walker(1, behind)]
        poses, people = frame_of(walkers, index, index / 25)
        second = np.eye(4)[1] if index < 10 else duplicate
        embeddings = np.stack([np.eye(4)[0], second]).astype(np.float32)
        scores = np.array([0.9, 0.9 if index < 10 else 0.3], np.float32)
        frames.append((replace(poses, embeddings=embeddings, scores=scores), people))
    ids, _ = ids_of(Tracker(), frames)
    front, behind_id = ids[0][0], ids[1][0]
    assert set(ids[0]) == {front}
    assert set(ids[1][10:]) == ({behind_id} if tracked else {NO_TRACK})


@pytest.mark.parametrize(
    ("gap_s", "embeddings", "expected"),
    [
        (1.5, False, {1}),
        (4.0, False, {1, 2}),  # by now, another person may stand there
        (4.0, True, {1}),
        (12.0, True, {1, 2}),
    ],
)
def test_after_motion_gap_only_reid_continues_a_track(gap_s, embeddings, expected):
    settings = TrackerSettings(max_gap_s=10.0, motion_gap_s=2.0)
    walker = Walker(0, (300, 300), unseen_s=(1.0, 1.0 + gap_s))
    ids, _ = ids_of(Tracker(settings), film([walker], times(10, 15.0), embeddings=embeddings))
    assert set(ids[0]) == expected


@pytest.mark.parametrize(
    ("lookalike", "margin", "continued"),
    [
        (0.0, 0.3, True),
        (0.5, 0.3, True),
        (0.9, 0.3, False),  # too similar to another person in view
        (0.9, 0.05, True),
        (0.9, 0.0, True),
    ],
)
def test_reid_requires_the_margin(lookalike, margin, continued):
    settings = TrackerSettings(reid_margin=margin, gate_sizes=0.1, gate_sizes_per_s=0.1)
    other = np.eye(8)[0] * lookalike + np.eye(8)[1] * np.sqrt(1 - lookalike**2)
    frames = []
    for index, at in enumerate(times(25, 2.0)):
        walkers = [Walker(1, (900, 300))]
        if at < 1.0 or at >= 1.5:  # comes back a small distance away
            walkers.append(Walker(0, (300 if at < 1.0 else 420, 300)))
        poses, people = frame_of(walkers, index, float(at))
        embeddings = np.stack([np.eye(8)[0] if p == 0 else other for p in people])
        frames.append((replace(poses, embeddings=embeddings.astype(np.float32)), people))
    ids, _ = ids_of(Tracker(settings), frames)
    assert set(ids[1]) == {1} or set(ids[1]) == {2}
    assert (len(set(ids[0])) == 1) == continued


def test_another_person_in_the_same_place_does_not_take_a_lost_id():
    frames = film([Walker(0, (300, 300), unseen_s=(1.0, 99.0))], times(25, 1.5))
    frames += [frame_of([Walker(1, (300, 300))], 40 + i, 1.6 + i / 25) for i in range(5)]
    ids, _ = ids_of(Tracker(), frames)
    assert set(ids[0]) == {1}
    assert set(ids[1]) == {2}


def test_ids_count_from_one_and_are_never_reused():
    walkers = [Walker(i % 8, (200 + 130 * (i % 8), 300), unseen_s=(-1, 4.0 * i)) for i in range(8)]
    walkers = [replace(w, unseen_s=(w.unseen_s[1] + 1, 99.0)) for w in walkers]
    frames = []
    for index, at in enumerate(times(10, 32.0)):
        seen = [w for w in walkers if w.unseen_s[0] - 1 <= at < w.unseen_s[0]]
        frames.append(frame_of(seen, index, float(at)))
    ids, state = ids_of(Tracker(), frames)
    assert [set(ids[p]) for p in range(8)] == [{i} for i in range(1, 9)]
    assert state.next_id == 9


def test_order_of_people_in_the_frame_does_not_matter(rng):
    walkers = [Walker(i, (150 + 60 * i, 300 + 5 * i), (40 - 12 * i, 3 * i)) for i in range(7)]
    frames = film(walkers, times(15, 3.0))
    plain, _ = ids_of(Tracker(), frames)
    shuffled = []
    for poses, people in frames:
        order = rng.permutation(len(people))
        shuffled.append((poses.select(order), [people[i] for i in order]))
    assert ids_of(Tracker(), shuffled)[0] == plain


def test_videos_are_independent_and_states_can_be_continued():
    tracker = Tracker()
    first, second = film(CROSSING, times(25, 2.0)), film(CROSSING[::-1], times(10, 2.0))
    alone, _ = ids_of(tracker, first)
    half, state = ids_of(tracker, first[:20])
    ids_of(tracker, second)
    rest, _ = ids_of(tracker, first[20:], state)
    again, _ = ids_of(tracker, first[20:], state)
    assert rest == again
    assert {p: half[p] + rest[p] for p in half} == alone


def test_step_mutates_neither_state_nor_poses():
    tracker = Tracker()
    frames = film(CROSSING, times(25, 0.4))
    _, state = ids_of(tracker, frames[:5])
    before = {name: array.copy() for name, array in vars(state.tracks).items()}
    poses = frames[5][0]
    copied = poses.keypoints_px.copy()
    _, out = tracker.step(state, poses)
    assert all(np.array_equal(before[name], array) for name, array in vars(state.tracks).items())
    assert np.array_equal(poses.keypoints_px, copied)
    assert poses.track_ids.tolist() == [-1, -1]
    assert np.array_equal(out.keypoints_px, copied)


def test_low_scores_continue_tracks_but_start_none():
    settings = TrackerSettings(new_track_threshold=0.5, high_threshold=0.4, low_threshold=0.1)
    walker = Walker(0, (300, 300), (50, 0))
    scores = [0.3, 0.9, 0.3, 0.2, 0.05, 0.9]
    frames = [frame_of([walker], i, i / 25, score=s) for i, s in enumerate(scores)]
    ids, _ = ids_of(Tracker(settings), frames)
    assert ids[0] == [NO_TRACK, 1, 1, 1, NO_TRACK, 1]


@pytest.mark.parametrize(("hits", "expected"), [(1, [1, 1, 1]), (3, [-1, -1, 1])])
def test_confirmation_waits_for_hits(hits, expected):
    frames = film([Walker(0, (300, 300))], times(25, 0.12))
    ids, _ = ids_of(Tracker(TrackerSettings(confirm_hits=hits)), frames)
    assert ids[0] == expected


def test_unconfirmed_tracks_end_at_their_first_miss():
    tracker = Tracker(TrackerSettings(confirm_hits=2))
    frames = film([Walker(0, (300, 300), unseen_s=(0.03, 0.07))], times(25, 0.16))
    ids, state = ids_of(tracker, frames)
    assert ids[0] == [-1, -1, 1]
    assert state.next_id == 2


def test_a_duplicate_person_starts_one_track():
    walker = Walker(0, (300, 300), (30, 0))
    tracker, ids = Tracker(), []
    state = tracker.start()
    for i in range(10):
        near = replace(walker, start_px=(304, 302))
        poses, _ = frame_of([walker, near], i, i / 25)
        poses = replace(poses, scores=np.array([0.9, 0.8], np.float32))
        state, out = tracker.step(state, poses)
        ids.append(out.track_ids.tolist())
    assert ids == [[1, NO_TRACK]] * 10


def test_after_a_shot_cut_only_reid_continues_tracks():
    tracker = Tracker()
    here = [Walker(0, (200, 300)), Walker(1, (600, 300))]
    swapped = [Walker(1, (200, 300)), Walker(0, (600, 300))]
    _, state = ids_of(tracker, film(here, times(25, 1.0)))
    later = [frame_of(swapped, 25 + i, 1.0 + i / 25) for i in range(5)]
    ids, _ = ids_of(tracker, later, tracker.end_shot(state))
    assert {p: set(i) for p, i in ids.items()} == {0: {1}, 1: {2}}


def test_a_shot_cut_without_embeddings_ends_all_tracks():
    tracker = Tracker()
    walkers = [Walker(0, (200, 300))]
    _, state = ids_of(tracker, film(walkers, times(25, 1.0), embeddings=False))
    cut = tracker.end_shot(state)
    assert len(cut.tracks) == 0
    ids, _ = ids_of(tracker, [frame_of(walkers, 25, 1.0, embeddings=False)], cut)
    assert ids[0] == [2]


def test_frames_with_and_without_embeddings_mix():
    walker = Walker(0, (300, 300), (50, 0))
    frames = [frame_of([walker], i, i / 25, embeddings=i % 3 == 1) for i in range(12)]
    ids, state = ids_of(Tracker(), frames)
    assert set(ids[0]) == {1}
    assert state.tracks.embedding_hits.tolist() == [4]


def test_no_people_at_all():
    tracker = Tracker()
    state = tracker.start()
    for index in range(50):
        state, out = tracker.step(state, FramePoses.empty(index, index / 25, K))
        assert len(out) == 0
    assert len(state.tracks) == 0
    assert state.next_id == 1


def test_empty_frames_between():
    frames = film([Walker(0, (300, 300), unseen_s=(0.2, 0.5))], times(25, 1.0))
    assert sum(len(people) == 0 for _, people in frames) == 8
    assert set(ids_of(Tracker(), frames)[0][0]) == {1}


def test_people_with_nan_get_no_track_and_leave_state_finite():
    walkers = [Walker(0, (200, 300)), Walker(1, (600, 300))]
    tracker = Tracker()
    state = tracker.start()
    for index in range(6):
        poses, _ = frame_of(walkers, index, index / 25)
        if index in (2, 3):
            poses.keypoints_px[0, 4] = np.nan
        state, out = tracker.step(state, poses)
        assert out.track_ids.tolist() == ([NO_TRACK, 2] if index in (2, 3) else [1, 2])
        assert all(np.isfinite(array).all() for array in vars(state.tracks).values())


@pytest.mark.parametrize("stamps", [[0.0] * 8, [1.0, 0.5, 0.5, 0.2, 0.1, 0.1, 0.0, 0.0]])
def test_broken_timestamps_are_harmless(stamps):
    frames = [frame_of(CROSSING, i, 0.0) for i in range(8)]
    frames = [(replace(p, time_s=t), who) for (p, who), t in zip(frames, stamps, strict=True)]
    ids, state = ids_of(Tracker(), frames)
    assert [set(i) for i in ids.values()] == [{1}, {2}]
    assert np.isfinite(state.tracks.velocities_px_s).all()


@pytest.mark.parametrize("keypoints", [1, 2, 133])
def test_any_skeleton(keypoints, rng):
    # One keypoint has no size of its own; the setting gives it one.
    shape = rng.normal(size=(keypoints, 2)) * 60
    tracker, ids = Tracker(TrackerSettings(min_size_px=60.0)), []
    state = tracker.start()
    for index in range(20):
        offsets = np.array([(100 + 2 * index, 100), (400 - 2 * index, 300)])
        poses = FramePoses(
            index,
            index / 25,
            (shape[None] + offsets[:, None]).astype(np.float32),
            np.zeros((2, keypoints), np.float32),
            np.array([0.9, 0.8], np.float32),
            np.full(2, -1),
        )
        state, out = tracker.step(state, poses)
        ids.append(out.track_ids.tolist())
    assert ids == [[1, 2]] * 20


def test_a_different_skeleton_is_refused():
    tracker = Tracker()
    _, state = ids_of(tracker, film(CROSSING, times(25, 0.1)))
    wrong = replace(
        frame_of(CROSSING, 7, 0.2)[0],
        keypoints_px=np.zeros((2, 17, 2), np.float32),
        keypoint_scores=np.zeros((2, 17), np.float32),
    )
    with pytest.raises(VepeError, match="Frame 7 has poses of 17 keypoints, those before had 15"):
        tracker.step(state, wrong)


def test_different_embedding_widths_are_refused():
    tracker = Tracker()
    _, state = ids_of(tracker, film(CROSSING, times(25, 0.1)))
    wrong = replace(frame_of(CROSSING, 7, 0.2)[0], embeddings=np.eye(2, 5))
    with pytest.raises(VepeError, match="embeddings of 5 values, those before had 16"):
        tracker.step(state, wrong)


def crowd(rng, index: int, people: int) -> FramePoses:
    """New strangers at random positions in every frame: the worst case."""
    points = rng.uniform(0, 2000, (people, 1, 2)) + rng.normal(size=(people, K, 2)) * 50
    embeddings = rng.normal(size=(people, 32))
    return FramePoses(
        index,
        index / 25,
        points.astype(np.float32),
        rng.uniform(0, 1, (people, K)).astype(np.float32),
        rng.uniform(0, 1, people).astype(np.float32),
        np.full(people, -1),
        embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True),
    )


def test_state_stays_small_over_ten_thousand_frames(rng):
    settings = TrackerSettings(max_gap_s=2.0, max_lost_tracks=12)
    tracker, largest, seen = Tracker(settings), 0, set()
    state = tracker.start()
    for index in range(10_000):
        state, out = tracker.step(state, crowd(rng, index, 1))
        fresh = {i for i in out.track_ids.tolist() if i >= 0}
        assert all(i in seen or i >= max(seen, default=0) for i in fresh)
        seen |= fresh
        largest = max(largest, len(state.tracks))
    assert len(seen) > 1000
    assert largest <= 13
    for index in range(10_000, 10_060):
        state, _ = tracker.step(state, FramePoses.empty(index, index / 25, K))
    assert len(state.tracks) == 0


def test_ten_people_take_about_a_millisecond(rng):
    walkers = [Walker(i, (100 + 110 * i, 300), (20 - 4 * i, 0)) for i in range(10)]
    frames = film(walkers, times(25, 8.0))
    tracker = Tracker()
    state, spent = tracker.start(), []
    for poses, _ in frames:
        begun = time.perf_counter()
        state, _ = tracker.step(state, poses)
        spent.append(time.perf_counter() - begun)
    median_ms = 1e3 * float(np.median(spent))
    print(f"\ntracker: {median_ms:.2f} ms a frame with 10 people")
    assert median_ms < 10.0  # loose: other work may share the machine
