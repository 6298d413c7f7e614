"""Every golden case equals what the original evaluators print, to the last digit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vepe.evaluation import evaluate_posetrack
from vepe.evaluation.results import JOINTS, JointTable

GOLDEN = Path(__file__).parent / "golden"
EXPECTED: dict[str, Any] = json.loads((GOLDEN / "expected.json").read_text())
TIED = {"c09_ties", "c11_noscores"}
"""Their AP depends on the order of equal scores, which the originals leave undefined."""
WITH_KIT = [c for c, e in EXPECTED.items() if "ap" in e.get("posetrack21", {})]
KIT_NAMES = {"nose": "Nose", "head_bottom": "Neck", "head_top": "Head"} | {
    f"{side}_{part}": f"{side[0]}{part[0]}".upper()
    for side in ("left", "right")
    for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
}


def _equal(actual: Any, expected: Any) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-9)


def _row(table: JointTable | None) -> list[float]:
    assert table is not None
    return [*table.joints.values(), table.total]


def _result(case: str, **options: Any) -> Any:
    return evaluate_posetrack(
        GOLDEN / EXPECTED[case]["gt"], GOLDEN / EXPECTED[case]["pred"], **options
    )


@pytest.mark.parametrize("case", EXPECTED)
def test_poseval(case: str) -> None:
    result, expected = _result(case), EXPECTED[case]["poseval"]
    order = [n.replace("neck", "head_bottom") for n in expected["joint_order"][:15]]
    assert order == list(JOINTS)
    if case not in TIED:
        _equal(_row(result.ap), expected["ap"])
    _equal(_row(result.precision), expected["ap_pre"])
    _equal(_row(result.recall), expected["ap_rec"])
    _equal(_row(result.mota), expected["mota"])
    _equal(_row(result.motp), expected["motp_motmetrics_1.0.2_original"])
    _equal(_row(result.motp_motmetrics), expected["motp_motmetrics_1.4.0"])
    _equal(_row(result.mot_precision), expected["mot_pre"])
    _equal(_row(result.mot_recall), expected["mot_rec"])


@pytest.mark.parametrize("case", EXPECTED)
def test_poseval_per_sequence(case: str) -> None:
    result, expected = _result(case), EXPECTED[case]["per_seq"]
    assert list(result.sequences) == sorted(expected)
    for name, values in expected.items():
        if case not in TIED:
            _equal(_row(result.sequences[name].ap), values["ap"])
        _equal(_row(result.sequences[name].mota), values["mota"])


@pytest.mark.parametrize("case", WITH_KIT)
def test_posetrack21_ap(case: str) -> None:
    result, expected = _result(case, protocol="posetrack21"), EXPECTED[case]["posetrack21"]
    for name in ("precision", "recall") if case in TIED else ("ap", "precision", "recall"):
        columns = getattr(result, name).columns()
        _equal([columns[c] for c in expected[name]], list(expected[name].values()))


@pytest.mark.parametrize("case", WITH_KIT)
@pytest.mark.parametrize("protocol", ["poseval", "posetrack21"])
def test_keypoint_hota(case: str, protocol: str) -> None:
    result = _result(case, protocol=protocol)
    for name, expected in EXPECTED[case]["posetrack21"]["mean_over_19_alphas"].items():
        _equal(result.hota[name], 100 * expected["Total"])
        joints = [result.hota_joints[name][joint] for joint in JOINTS]
        _equal(joints, [100 * expected[KIT_NAMES[joint]] for joint in JOINTS])


@pytest.mark.parametrize(
    ("case", "det_a", "hota"),
    [("c07_emptyframes", 54.787, 56.189), ("c14_lastframe", 92.013, 92.130)],
)
def test_hota_without_the_kits_bug(case: str, det_a: float, hota: float) -> None:
    values = _result(case, hota="fixed").hota
    assert (values["DetA"], values["HOTA"]) == (
        pytest.approx(det_a, abs=5e-4),
        pytest.approx(hota, abs=5e-4),
    )


def test_counts() -> None:
    counts = _result("c00_gt_as_pred").counts
    assert (counts.sequences, counts.frames, counts.people) == (3, 33, 95)


def test_only_poseval_drops_labelled_frames_without_people() -> None:
    assert _result("c12_emptygt").counts.frames == 32
    assert _result("c12_emptygt", protocol="posetrack21").counts.frames == 33


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("c07_emptyframes", r"In the kit, for each of \d+ labelled frames? with people on one"),
        ("c11_noscores", "without a score"),
        ("c12_emptygt", "labelled frames hold nobody"),
        ("c13_bboxonly", "is_labeled false hold people"),
        ("c15_zeroxy", r"lie at \(0, 0\)"),
    ],
)
def test_warns_where_originals_mislead(case: str, words: str) -> None:
    import re

    texts = _result(case).warnings
    assert any(re.search(words, text) for text in texts), texts
    assert not any(re.search(words, text) for text in _result("c00_gt_as_pred").warnings)


def test_equal_scores_keep_the_order_of_the_files() -> None:
    assert _result("c09_ties").ap == _result("c09_ties").ap
    assert _result("c11_noscores").ap.total == pytest.approx(70.8, abs=15)


def test_json_report_has_the_promised_parts() -> None:
    report = _result("c06_mixed").to_dict()
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    parts = ("protocol", "counts", "ap", "precision", "recall", "mota", "motp", "hota", "sequences")
    assert set(parts) <= set(report)
    assert set(report["counts"]) == {"sequences", "frames", "people"}
    assert list(report["mota"]) == [*JOINTS, "total"]
    assert set(report["hota"]) == {
        "HOTA", "DetA", "AssA", "LocA", "FA-HOTA", "DetRe", "DetPr", "AssRe", "AssPr",
    }  # fmt: skip
    assert set(report["sequences"]) == {"000901_mpii_test", "000902_mpii_test", "000903_bonn_test"}


def test_real_files_against_themselves(shared_dir: Path) -> None:
    folder = shared_dir / "data" / "dev" / "posetrack18" / "annotations" / "val"
    if not folder.is_dir():
        pytest.skip("optional local data are not here")
    result = evaluate_posetrack(folder, folder, hota="fixed")
    assert (result.counts.frames, result.counts.people) == (3, 14)
    assert result.mota is not None
    assert result.hota is not None
    assert (result.ap.total, result.mota.total) == (100, 100)
    assert result.hota["HOTA"] == pytest.approx(100)
