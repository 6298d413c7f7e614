"""Records that cannot be scored end in one sentence; doubtful ones in a warning with a count."""

from __future__ import annotations

import copy
import json
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vepe.errors import VepeError, VepeWarning
from vepe.evaluation.coco import coco_oks_ap, crowdpose_ap
from vepe.skeleton import COCO17, CROWDPOSE14, Skeleton

Change = Callable[[dict[str, Any], list[dict[str, Any]]], Any]


def _files(skeleton: Skeleton = COCO17) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Three images with a person each, and predictions one pixel off."""
    images, people, results = [], [], []
    for k in range(3):
        xy = np.column_stack([np.arange(len(skeleton)) * 5.0, np.arange(len(skeleton)) * 9.0])
        xy += 50 + 10 * k
        images.append({"id": k + 1, "file_name": f"{k + 1}.jpg", "crowdIndex": 0.4 * k})
        people.append(
            {
                "id": 10 + k,
                "image_id": k + 1,
                "category_id": 1,
                "iscrowd": 0,
                "keypoints": np.column_stack([xy, np.full(len(xy), 2)]).ravel().tolist(),
                "num_keypoints": len(xy),
                "bbox": [45.0, 45.0, 100.0, 160.0],
                "area": 9000.0,
            }
        )
        results.append(
            {
                "image_id": k + 1,
                "category_id": 1,
                "keypoints": np.column_stack([xy + 1, np.full(len(xy), 0.9)]).ravel().tolist(),
                "score": 0.5 + 0.1 * k,
            }
        )
    names = list(skeleton.keypoints)
    category = {"id": 1, "name": "person", "keypoints": names, "sigmas": list(skeleton.sigmas)}
    return {"images": images, "annotations": people, "categories": [category]}, results


def _score(change: Change) -> tuple[float, list[str]]:
    """AP and the warnings after a change of the files."""
    gt, pred = _files()
    change(gt, pred)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ap = coco_oks_ap(gt, pred).ap
    assert all(w.category is VepeWarning for w in caught), [str(w.message) for w in caught]
    return ap, [str(w.message) for w in caught]


def _person(**values: Any) -> Change:
    return lambda gt, pred: gt["annotations"][0].update(values)


def _result(**values: Any) -> Change:
    return lambda gt, pred: pred[0].update(values)


def _at(keypoints: list[Any], value: Any) -> list[Any]:
    return [value, *keypoints[1:]]


POINTS = _files()[0]["annotations"][0]["keypoints"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_person(keypoints=[str(v) for v in POINTS]), "annotation 10"),
        (_person(keypoints=_at(POINTS, None)), "annotation 10.*None"),
        (_person(keypoints=_at(POINTS, True)), "annotation 10.*True"),
        (_person(keypoints=_at(POINTS, 1e200)), "annotation 10.*1e[+]200"),
        (_person(keypoints=_at(POINTS, 10**400)), "annotation 10"),
        (_person(keypoints="none"), "annotation 10 has no keypoint values"),
        (_person(bbox="box"), "annotation 10: bbox"),
        (_person(bbox=[1, 2, 3]), "annotation 10: bbox"),
        (_person(bbox=[1, 2, -3, 4]), "annotation 10: bbox"),
        (_person(bbox=[1, 2, 1e200, 4]), "annotation 10: bbox"),
        (_person(area="large"), "annotation 10: area"),
        (_person(area=-5), "annotation 10: area is -5"),
        (_person(area=1e300), "annotation 10: area is 1e[+]300"),
        (_person(iscrowd="no"), "annotation 10: iscrowd"),
        (_person(num_keypoints=[17]), "annotation 10: num_keypoints"),
        (_person(image_id=[1]), "annotation 10: image_id"),
        (_person(image_id=None), "annotation 10 has no image id"),
        (_person(image_id=9), "annotation 10 names image 9"),
        (lambda gt, pred: gt["annotations"].append(7), "'annotations'.*entry 3 is 7"),
        (lambda gt, pred: gt.update(annotations={"a": 1}), "no list 'annotations'"),
        (lambda gt, pred: gt.update(images=["a.jpg"]), "'images'.*entry 0"),
        (lambda gt, pred: gt["images"][1].update(id={}), "image 1: image_id"),
        (lambda gt, pred: gt["images"][1].update(id=1), "image id 1 is used twice"),
        (lambda gt, pred: gt.update(categories=[3]), "'categories'.*entry 0"),
        (lambda gt, pred: gt["categories"][0].update(keypoints="nose"), "no list of names"),
        (lambda gt, pred: gt["categories"][0].update(keypoints=["a"] * 17), "twice"),
        (lambda gt, pred: gt["categories"][0].update(sigmas=["a"] * 17), "'sigmas'"),
        (_result(keypoints=[str(v) for v in POINTS]), "person 0"),
        (_result(keypoints=None), "person 0.*no keypoint values"),
        (_result(score="0.9"), "person 0.*score is '0.9'"),
        (_result(score=True), "person 0.*score is True"),
        (_result(score=10**400), "person 0.*score"),
        (_result(image_id=[1]), "person 0.*image_id"),
        (_result(image_id="1"), "person 0.*no such image"),
        (lambda gt, pred: pred.insert(0, 1), "list of COCO results: entry 0 is 1"),
    ],
)
def test_wrong_records_are_named(change: Change, words: str) -> None:
    with pytest.raises(VepeError, match=words) as caught:
        _score(change)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("pred", [None, 3, "text", {}, {"annotations": 1}, {"annotations": [[]]}])
def test_predictions_of_another_kind_are_refused(pred: Any) -> None:
    with pytest.raises(VepeError, match="The prediction"):
        coco_oks_ap(_files()[0], pred)


@pytest.mark.parametrize("kind", ["coco", "crowdpose"])
def test_wrong_values_anywhere_never_end_in_another_error(kind: str) -> None:
    rng = random.Random(3)
    wrong = [None, True, -1, 0, 1e300, 10**400, "", "x", [], [1], {}, {"a": []}, 0.5]
    scored = refused = 0
    for _ in range(300):
        documents = copy.deepcopy(_files(CROWDPOSE14 if kind == "crowdpose" else COCO17))
        node: Any = documents[rng.randrange(2)]
        while True:  # walk down to a random depth
            key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
            if not isinstance(node[key], dict | list) or not node[key] or rng.random() < 0.15:
                break
            node = node[key]
        node[key] = rng.choice(wrong)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", VepeWarning)
            try:
                crowdpose_ap(*documents) if kind == "crowdpose" else coco_oks_ap(*documents)
                scored += 1
            except VepeError:
                refused += 1
    assert min(scored, refused) > 30


def test_correct_files_give_no_warning() -> None:
    assert _score(lambda gt, pred: None) == (pytest.approx(100), [])


@pytest.mark.parametrize(
    "values",
    [
        {"area": None},
        {"area": 0},
        {"area": 0, "bbox": None},
        {"area": 0, "bbox": [50, 50, 0, 0]},
        {"bbox": []},
    ],
)
def test_missing_area_is_taken_from_the_box(values: dict[str, Any]) -> None:
    ap, texts = _score(lambda gt, pred: [a.update(values) for a in gt["annotations"]])
    assert ap == pytest.approx(100)
    if "area" in values:
        (text,) = texts
        assert "3 people of the ground truth have no area, or 0" in text
        assert "annotation 10" in text


@pytest.mark.parametrize("number", [0, 3])
def test_contradicting_num_keypoints_are_counted_again(number: int) -> None:
    def change(gt: dict[str, Any], pred: list[dict[str, Any]]) -> None:
        for person in gt["annotations"]:
            person["num_keypoints"] = number

    ap, (text,) = _score(change)
    assert ap == pytest.approx(100)
    assert "contradicts the keypoints of 3 people" in text


@pytest.mark.parametrize(
    "change",
    [
        lambda gt, pred: gt.update(annotations=[]),
        lambda gt, pred: [a.update(keypoints=[], num_keypoints=0) for a in gt["annotations"]],
    ],
)
def test_ground_truth_without_people_is_said(change: Change) -> None:
    ap, (text,) = _score(change)
    assert ap == -1
    assert "no person with a labelled keypoint" in text


def _add_dogs(gt: dict[str, Any], pred: list[dict[str, Any]]) -> None:
    gt["categories"].append({"id": 2, "name": "dog", "keypoints": ["head", "tail"]})
    dog = {"image_id": 1, "category_id": 2, "keypoints": [1, 2, 2, 3, 4, 2]}
    gt["annotations"].append({**dog, "id": 99, "bbox": [0, 0, 5, 5], "area": 25})
    pred.append({**dog, "score": 0.9})


def test_person_is_scored_among_several_categories() -> None:
    ap, (text,) = _score(_add_dogs)
    assert ap == pytest.approx(100)
    assert "1 annotations of other categories than 'person'" in text


def test_skeleton_decides_if_no_category_is_named_person() -> None:
    gt, pred = _files()
    _add_dogs(gt, pred)
    gt["categories"][0]["name"] = "walker"
    with pytest.raises(VepeError, match="--skeleton"):
        coco_oks_ap(gt, pred)
    with pytest.warns(VepeWarning, match="than 'walker'"):
        assert coco_oks_ap(gt, pred, skeleton=COCO17).ap == pytest.approx(100)


def test_whole_floats_are_image_ids() -> None:
    assert _score(_result(image_id=1.0)) == (pytest.approx(100), [])


def test_crowdpose_uses_num_keypoints_as_stated() -> None:
    gt, pred = _files(CROWDPOSE14)
    gt["annotations"][0]["num_keypoints"] = 0
    assert crowdpose_ap(gt, pred).people == 2
    flat = {**gt, "annotations": [{**gt["annotations"][1], "bbox": [9, 9, 0, 0]}]}
    with pytest.warns(VepeWarning, match="1 people of the ground truth have a box of size 0"):
        assert crowdpose_ap(flat, pred).ap == 0
    del gt["images"][2]["crowdIndex"]
    with pytest.raises(VepeError, match=r"image 3\.jpg has no number 'crowdIndex'"):
        crowdpose_ap(gt, pred)
    with pytest.raises(VepeError, match="annotation 10 has no 'bbox'"):
        crowdpose_ap({**gt, "annotations": [{**gt["annotations"][0], "bbox": None}]}, pred)


@pytest.mark.parametrize("command", ["coco", "crowdpose"])
def test_command_names_the_file_in_one_line(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from vepe.cli.app import run

    gt, pred = _files(CROWDPOSE14 if command == "crowdpose" else COCO17)
    gt["annotations"][1]["keypoints"][4] = "7"
    for name, data in (("gt.json", gt), ("pred.json", pred)):
        (tmp_path / name).write_text(json.dumps(data))
    words = ["--gt", str(tmp_path / "gt.json"), "--pred", str(tmp_path / "pred.json")]
    assert run(["evaluate", command, *words]) == 2
    error = capsys.readouterr().err
    assert error.strip().count("\n") == 0
    assert "gt.json, annotation 11" in error
