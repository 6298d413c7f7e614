"""What must not change the numbers, and what may only lower them."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
from evaluation_scenes import Document, as_sequences, document, image, person
from hypothesis import given, settings
from hypothesis import strategies as st

from vepe.evaluation import PoseTrackResult, evaluate_posetrack
from vepe.formats.annotations import AnnotatedSequence

Pair = tuple[Document, Document]
SEEDS = st.integers(0, 2**32 - 1)
QUICK = settings(max_examples=25, deadline=None)


def _apart(seed: int, frames: int = 5) -> Pair:
    """People far from each other, so that there are no ties that order would break."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 5))
    places = np.array([[200.0 + 400 * k, 300.0] for k in range(count)])[:, None]
    body = rng.uniform(-60, 60, (count, 15, 2))
    shown, people, guesses = [], [], []
    ids = np.arange(count)
    for t in range(frames):
        shown.append(image(t, is_labeled=True))
        if rng.random() < 0.3:
            ids = rng.permutation(count)
        for k in range(count):
            xy = places[k] + body[k] + t
            box = [0, 0, 20.0 + k, 25.0]
            people.append(person(t, k, xy, rng.random(15) < 0.9, bbox_head=box))
            guess = xy + rng.normal(0, 6, xy.shape)
            scores = rng.random(17).tolist()
            guesses.append(person(t, int(ids[k]), guess, rng.random(15) < 0.9, scores=scores))
    return document(shown, people), document(shown, guesses)


def _numbers(result: PoseTrackResult) -> np.ndarray:
    tables = (
        result.ap, result.precision, result.recall, result.mota, result.motp,
        result.motp_motmetrics, result.mot_precision, result.mot_recall,
    )  # fmt: skip
    assert result.hota is not None
    rows = [[*t.joints.values(), t.total] for t in tables if t is not None]
    return np.array([v for row in [*rows, list(result.hota.values())] for v in row])


def _same(a: PoseTrackResult, b: PoseTrackResult) -> None:
    np.testing.assert_allclose(_numbers(a), _numbers(b), rtol=0, atol=1e-8)


@QUICK
@given(SEEDS, st.randoms(use_true_random=False))
def test_order_of_people_changes_nothing(seed: int, random: object) -> None:
    gt, pred = _apart(seed)
    before = evaluate_posetrack(*as_sequences([(gt, pred)]))
    for side in (gt, pred):
        side["annotations"] = random.sample(side["annotations"], len(side["annotations"]))  # type: ignore[attr-defined]
    _same(before, evaluate_posetrack(*as_sequences([(gt, pred)])))


@QUICK
@given(SEEDS, st.permutations(range(3)))
def test_order_and_names_of_files_change_nothing(seed: int, order: list[int]) -> None:
    pairs = [_apart(seed + k, frames=4 + k) for k in range(3)]
    before = evaluate_posetrack(*as_sequences(pairs))
    after = evaluate_posetrack(*as_sequences([pairs[k] for k in order]))
    _same(before, after)
    gt, pred = as_sequences(pairs)
    _same(before, evaluate_posetrack(gt[::-1], [pred[k] for k in order]))


def _scaled(sequence: AnnotatedSequence, factor: float) -> AnnotatedSequence:
    """The sequence in an image that is larger by a factor."""
    frames = []
    for frame in sequence.frames:
        people = tuple(
            replace(
                p,
                keypoints_px=p.keypoints_px * factor,
                head_box_xyxy_px=None
                if p.head_box_xyxy_px is None
                else p.head_box_xyxy_px * factor,
            )
            for p in frame.people
        )
        frames.append(replace(frame, people=people))
    return replace(sequence, frames=tuple(frames))


@QUICK
@given(SEEDS, st.floats(0.05, 50))
def test_image_size_changes_nothing(seed: int, factor: float) -> None:
    gt, pred = as_sequences([_apart(seed)])
    larger = [[_scaled(s, factor) for s in side] for side in (gt, pred)]
    _same(evaluate_posetrack(gt, pred), evaluate_posetrack(*larger))


@QUICK
@given(SEEDS, st.integers(0, 4))
def test_a_false_positive_never_raises_mota(seed: int, frame: int) -> None:
    gt, pred = _apart(seed)
    before = evaluate_posetrack(*as_sequences([(gt, pred)])).mota
    more = copy.deepcopy(pred)
    far = np.full((15, 2), 9000.0) + np.arange(15)[:, None]
    more["annotations"].append(person(frame, 77, far, np.ones(15), scores=[0.5] * 17))
    after = evaluate_posetrack(*as_sequences([(gt, more)])).mota
    assert before is not None
    assert after is not None
    for joint, value in after.joints.items():
        assert value <= before.joints[joint] or np.isnan(value)
    if frame < 4:  # the last labelled frame does not count
        assert after.total < before.total


@QUICK
@given(SEEDS)
def test_gt_against_itself_is_perfect(seed: int) -> None:
    gt, _ = _apart(seed)
    result = evaluate_posetrack(*as_sequences([(gt, gt)]), hota="fixed")
    assert result.ap.total == 100
    assert result.mota is not None
    assert result.mota.total == 100
    assert result.hota is not None
    assert abs(result.hota["HOTA"] - 100) < 1e-9
