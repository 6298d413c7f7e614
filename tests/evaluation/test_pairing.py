"""Files that cannot be paired or scored: one sentence that names file and frame, exit code 2."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_scenes import Document, document, image, person

from vepe.cli.app import run
from vepe.errors import VepeError
from vepe.evaluation import evaluate_posetrack

NAME = "000001_x_test.json"
XY = np.column_stack([np.arange(15) * 7 + 50, np.arange(15) * 5 + 90]).astype(float)


def _gt() -> Document:
    box = [40.0, 80.0, 20.0, 25.0]
    people = [
        person(t, k, XY + 200 * k, np.ones(15), bbox_head=box) for t in range(3) for k in range(2)
    ]
    return document([image(t, is_labeled=True) for t in range(3)], people)


def _pred() -> Document:
    people = [
        person(t, k, XY + 200 * k, np.ones(15), scores=[0.5] * 17)
        for t in range(3)
        for k in range(2)
    ]
    return document([image(t) for t in range(3)], people)


def _folders(tmp_path: Path, gt: Document, pred: Document) -> tuple[Path, Path]:
    for side, data in (("gt", gt), ("pred", pred)):
        (tmp_path / side).mkdir()
        (tmp_path / side / NAME).write_text(json.dumps(data))
    return tmp_path / "gt", tmp_path / "pred"


CASES: dict[str, tuple[Callable[[Document, Document], Any], list[str]]] = {
    "frames": (lambda t, p: p["images"].append(image(9)), [NAME, "4 frames", "has 3"]),
    "id twice in pred": (
        lambda t, p: p["annotations"][3].update(track_id=0),
        [f"pred/{NAME}, frame 1", "track id 0 is given twice"],
    ),
    "id twice in gt": (
        lambda t, p: t["annotations"][1].update(track_id=0),
        [f"gt/{NAME}, frame 0", "track id 0 is given twice"],
    ),
    "id over the limit": (
        lambda t, p: p["annotations"][4].update(track_id=10_000),
        [f"pred/{NAME}, frame 2", "10000", "limit"],
    ),
    "categories": (lambda t, p: p.pop("categories"), [f"pred/{NAME}", "categories"]),
    "nan": (
        lambda t, p: p["annotations"][2]["keypoints"].__setitem__(0, float("nan")),
        [f"pred/{NAME}, frame 1", "nan"],
    ),
    "polygon": (
        lambda t, p: t["images"][1].update(
            ignore_regions_x=[[1, 50]], ignore_regions_y=[[1, 50]]
        ),
        [f"gt/{NAME}, frame 1", "three corners"],
    ),
    "head box": (
        lambda t, p: t["annotations"][2].pop("bbox_head"),
        [f"gt/{NAME}, frame 1", "no head box"],
    ),
    "some ids": (
        lambda t, p: p["annotations"][2].pop("track_id"),
        ["000001_x_test, frame 1", "no track_id"],
    ),
    "is_labeled": (
        lambda t, p: t["images"][1].update(is_labeled="false"),
        [f"gt/{NAME}, frame 1", "is_labeled is 'false'"],
    ),
    "image": (lambda t, p: p["annotations"][0].update(image_id=99), [f"pred/{NAME}", "99"]),
    "unlabelled": (lambda t, p: t.update(annotations=[]), ["gt", "no labelled frame"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_content(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change, words = CASES[case]
    documents = _gt(), _pred()
    change(*documents)
    gt, pred = _folders(tmp_path, *documents)
    with pytest.raises(VepeError) as caught:
        evaluate_posetrack(gt, pred)
    for word in words:
        assert word in str(caught.value)
    assert run(["evaluate", "posetrack", "--gt", str(gt), "--pred", str(pred)]) == 2
    error = capsys.readouterr().err
    assert error.strip().count("\n") == 0
    assert all(word in error for word in words)


def test_good_pair_is_scored(tmp_path: Path) -> None:
    gt, pred = _folders(tmp_path, _gt(), _pred())
    report = tmp_path / "out" / "report.json"
    arguments = ["--gt", str(gt), "--pred", str(pred), "--json", str(report)]
    assert run(["evaluate", "posetrack", *arguments]) == 0
    values = json.loads(report.read_text())
    assert values["mota"]["total"] == 100
    assert values["counts"] == {"sequences": 1, "frames": 3, "people": 6}


def _missing_prediction(gt: Path, pred: Path) -> None:
    (pred / NAME).rename(pred / "other.json")


def _empty_folder(gt: Path, pred: Path) -> None:
    (pred / NAME).unlink()


def _broken_json(gt: Path, pred: Path) -> None:
    (pred / NAME).write_text('{"images": [')


def _another_json(gt: Path, pred: Path) -> None:
    (pred / NAME).write_text("[1, 2]")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_missing_prediction, [NAME, "does not exist"]),
        (_empty_folder, ["pred", "no .json or .mat file"]),
        (_broken_json, [NAME, "not valid JSON"]),
        (_another_json, [NAME, "not a PoseTrack file"]),
    ],
)
def test_bad_files(
    change: Callable[[Path, Path], None],
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gt, pred = _folders(tmp_path, _gt(), _pred())
    change(gt, pred)
    assert run(["evaluate", "posetrack", "--gt", str(gt), "--pred", str(pred)]) == 2
    error = capsys.readouterr().err
    assert error.strip().count("\n") == 0
    assert all(word in error for word in words), error


def test_without_ids_only_ap_is_scored(tmp_path: Path) -> None:
    pred = copy.deepcopy(_pred())
    for record in pred["annotations"]:
        del record["track_id"]
    gt, pred = _folders(tmp_path, _gt(), pred)
    result = evaluate_posetrack(gt, pred)
    assert result.ap.total == 100
    assert (result.mota, result.hota) == (None, None)
    assert any("no track ids" in text for text in result.warnings)
    assert result.to_dict()["hota"] is None


def test_head_boxes_without_size_are_counted(tmp_path: Path) -> None:
    gt = _gt()
    for record in gt["annotations"][:5]:
        record["bbox_head"] = [40, 80, 0, 0]
    result = evaluate_posetrack(*_folders(tmp_path, gt, _pred()))
    assert result.ap.total < 100
    (text,) = [t for t in result.warnings if "head box" in t]
    assert "5 of 6 people" in text


def test_hidden_files_are_no_sequences(tmp_path: Path) -> None:
    """macOS writes '._X.json' next to 'X.json'."""
    gt, pred = _folders(tmp_path, _gt(), _pred())
    for folder in (gt, pred):
        (folder / f"._{NAME}").write_bytes(b"\0\5\x16\7")
    assert evaluate_posetrack(gt, pred).counts.sequences == 1


def test_wrong_values_anywhere_never_end_in_another_error(tmp_path: Path) -> None:
    rng = random.Random(5)
    wrong = [None, True, -1, 0, 1e300, 10**400, "", "x", [], [1], {}, {"a": []}, 0.5]
    gt, pred = _folders(tmp_path, _gt(), _pred())
    scored = refused = 0
    for _ in range(200):
        documents = copy.deepcopy({gt: _gt(), pred: _pred()})
        node: Any = documents[rng.choice([gt, pred])]
        while True:  # walk down to a random depth
            key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
            if not isinstance(node[key], dict | list) or not node[key] or rng.random() < 0.15:
                break
            node = node[key]
        node[key] = rng.choice(wrong)
        for folder, data in documents.items():
            (folder / NAME).write_text(json.dumps(data))
        try:
            evaluate_posetrack(gt, pred)
            scored += 1
        except VepeError:
            refused += 1
    assert min(scored, refused) > 30
