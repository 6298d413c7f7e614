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
    truth, found = _scene(seed)
    for protocol, rule in (("poseval", "poseval"), ("posetrack21", "kit")):
        result = evaluate_posetrack(truth, found, protocol=protocol)  # type: ignore[arg-type]
        frames = [
            f for t, p in zip(truth, found, strict=True) for f in reference.frames_of(t, p, rule)
        ]
        expected = reference.average_precision(frames, kit=rule == "kit")
        np.testing.assert_allclose(_values(result.ap), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_clear_mot_against_motmetrics(seed: int) -> None:
    truth, found = _scene(seed)
    result = evaluate_posetrack(truth, found)
    sequences = [reference.frames_of(t, p, "poseval") for t, p in zip(truth, found, strict=True)]
    for name, expected in reference.mot(sequences).items():
        np.testing.assert_allclose(_values(getattr(result, name)), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rule", ["kit", "fixed"])
def test_hota(seed: int, rule: str) -> None:
    truth, found = _scene(seed)
    match = PoseTrackMatch.load(truth, found)
    parts = hota_parts(match.kit_frames, rule)  # type: ignore[arg-type]
    tp, fn, fp = (x.sum(axis=1)[:, :-1] for x in (parts.tp, parts.fn, parts.fp))
    det = tp / np.maximum(1, tp + fn + fp)
    ass = (parts.ass_a * parts.tp).sum(axis=1)[:, :-1] / np.maximum(1, tp)
    sequences = [reference.frames_of(t, p, "kit") for t, p in zip(truth, found, strict=True)]
    expected = reference.hota(sequences, kit=rule == "kit")
    np.testing.assert_allclose(100 * np.sqrt(det * ass), expected, rtol=0, atol=1e-9)
