"""Random messy scenes: the vectorised metrics equal slow references and a live motmetrics."""

from __future__ import annotations

import evaluation_references as reference
import numpy as np
import pytest
from evaluation_scenes import as_sequences, messy_pair

from vepe.evaluation import PoseTrackMatch, evaluate_posetrack
from vepe.evaluation.hota import hota_parts
from vepe.evaluation.results import JointTable
from vepe.skeleton import POSETRACK15

SEEDS = range(12)


def _values(table: JointTable | None) -> np.ndarray:
    assert table is not None
    return np.array([table.joints[name] for name in POSETRACK15.keypoints])


def _scene(seed: int):
    rng = np.random.default_rng(seed)
    return as_sequences([messy_pair(rng) for _ in range(2)])


@pytest.mark.parametrize("seed", SEEDS)
def test_average_precision(seed: int) -> None:
    gt, pred = _scene(seed)
    for protocol in ("poseval", "posetrack21"):
        result = evaluate_posetrack(gt, pred, protocol=protocol)  # type: ignore[arg-type]
        frames = [
            f for t, p in zip(gt, pred, strict=True) for f in reference.frames_of(t, p, protocol)
        ]
        expected = reference.average_precision(frames, posetrack21=protocol == "posetrack21")
        np.testing.assert_allclose(_values(result.ap), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_clear_mot_against_motmetrics(seed: int) -> None:
    gt, pred = _scene(seed)
    result = evaluate_posetrack(gt, pred)
    sequences = [reference.frames_of(t, p, "poseval") for t, p in zip(gt, pred, strict=True)]
    for name, expected in reference.mot(sequences).items():
        np.testing.assert_allclose(_values(getattr(result, name)), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rule", ["posetrack21", "fixed"])
def test_hota(seed: int, rule: str) -> None:
    gt, pred = _scene(seed)
    match = PoseTrackMatch.load(gt, pred)
    parts = hota_parts(match.posetrack21_frames, rule)  # type: ignore[arg-type]
    tp, fn, fp = (x.sum(axis=1)[:, :-1] for x in (parts.tp, parts.fn, parts.fp))
    det = tp / np.maximum(1, tp + fn + fp)
    ass = (parts.ass_a * parts.tp).sum(axis=1)[:, :-1] / np.maximum(1, tp)
    sequences = [reference.frames_of(t, p, "posetrack21") for t, p in zip(gt, pred, strict=True)]
    expected = reference.hota(sequences, posetrack21=rule == "posetrack21")
    np.testing.assert_allclose(100 * np.sqrt(det * ass), expected, rtol=0, atol=1e-9)
