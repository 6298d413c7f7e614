"""OKS AP equals the recorded originals and a live pycocotools, and keypoints pair by name."""

from __future__ import annotations

import contextlib
import copy
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vepe.errors import VepeError
from vepe.evaluation.coco import coco_oks_ap, evaluate_coco, evaluate_crowdpose
from vepe.skeleton import COCO17, POSETRACK15

OKS = Path(__file__).parent / "golden" / "oks"


def _load(name: str) -> Any:
    return json.loads((OKS / name).read_text())


def _as_posetrack15(detections: list[dict[str, Any]], gt: dict[str, Any]) -> dict[str, Any]:
    """COCO-17 results as `vepe predict` would write them, with its own image ids."""
    in_posetrack, in_coco = POSETRACK15.shared_with(COCO17)
    number = {image["id"]: k for k, image in enumerate(gt["images"])}
    people = []
    for d in detections:
        points = np.full((15, 3), 7.0)
        points[in_posetrack] = np.reshape(d["keypoints"], (17, 3))[in_coco]
        entry = {**d, "image_id": number[d["image_id"]], "keypoints": points.ravel().tolist()}
        people.append(entry)
    images = [{"id": k, "file_name": i["file_name"]} for k, i in enumerate(gt["images"])]
    categories = [{"id": 1, "name": "person", "keypoints": list(POSETRACK15.keypoints)}]
    return {"images": images, "annotations": people, "categories": categories}


def test_coco17_golden() -> None:
    expected = _load("expected.json")["coco17"]["pycocotools==xtcocotools==faster_coco_eval"]
    result = evaluate_coco(OKS / "coco17_gt.json", OKS / "coco17_det.json")
    np.testing.assert_allclose(
        list(result.to_dict().values())[:10], 100 * np.array(expected), rtol=0, atol=1e-9
    )


def test_crowdpose_golden() -> None:
    key = "xtcocotools==faster_coco_eval keypoints_crowd use_area=False"
    expected = _load("expected.json")["crowd14"][key]
    result = evaluate_crowdpose(OKS / "crowd14_gt.json", OKS / "crowd14_det.json")
    np.testing.assert_allclose(
        list(result.to_dict().values())[:9], 100 * np.array(expected), rtol=0, atol=1e-9
    )


def test_shared_joints_equal_pycocotools_on_reduced_files() -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    gt, pred = _load("coco17_gt.json"), _load("coco17_det.json")
    result = coco_oks_ap(gt, _as_posetrack15(pred, gt), "shared")

    index = [k for k, name in enumerate(COCO17.keypoints) if name in POSETRACK15.keypoints]
    gt, pred = copy.deepcopy(gt), copy.deepcopy(pred)
    for entry in [*gt["annotations"], *pred]:
        points = np.reshape(entry["keypoints"], (17, 3))[index]
        entry["keypoints"] = points.ravel().tolist()
        if "num_keypoints" in entry:
            entry["num_keypoints"] = int((points[:, 2] > 0).sum())
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO()
        reference.dataset = gt
        reference.createIndex()
        evaluation = COCOeval(reference, reference.loadRes(pred), "keypoints")
        evaluation.params.kpt_oks_sigmas = COCO17.sigma_array()[index]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert len(result.joints) == 13
    np.testing.assert_allclose(
        list(result.to_dict().values())[:10], 100 * evaluation.stats, rtol=0, atol=1e-9
    )


def test_people_without_a_labelled_shared_joint_are_ignored() -> None:
    eyes_only = np.zeros((17, 3))
    eyes_only[1:3] = [[10, 10, 2], [20, 10, 2]]
    whole = np.tile([50.0, 50.0, 2.0], (17, 1)) + np.arange(17)[:, None] * [3, 2, 0]
    people = [
        {"id": k, "image_id": 1, "category_id": 1, "keypoints": p.ravel().tolist(), "area": 2000.0,
         "bbox": [0, 0, 50, 50], "num_keypoints": int((p[:, 2] > 0).sum()), "iscrowd": 0}
        for k, p in enumerate([eyes_only, whole])
    ]  # fmt: skip
    gt = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": people,
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.keypoints)}],
    }
    pred = [{"image_id": 1, "category_id": 1, "keypoints": people[1]["keypoints"], "score": 0.9}]
    shared = coco_oks_ap(gt, _as_posetrack15(pred, gt), "shared")
    assert (shared.people, shared.ap, shared.ar) == (1, pytest.approx(100), pytest.approx(100))
    assert coco_oks_ap(gt, pred).ar == pytest.approx(50)


def test_annotation_id_zero_counts() -> None:
    gt, pred = _load("coco17_gt.json"), _load("coco17_det.json")
    before = coco_oks_ap(gt, pred)
    for k, entry in enumerate(gt["annotations"]):
        entry["id"] = k
    assert coco_oks_ap(gt, pred) == before


def test_no_predictions_give_zero() -> None:
    result = coco_oks_ap(_load("coco17_gt.json"), [])
    assert (result.ap, result.ar, result.people) == (0.0, 0.0, 29)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, d: d[3].update(image_id=77), "no such image"),
        (lambda t, d: d[3].update(keypoints=[1.0, 2.0, 3.0]), "51 are expected"),
        (lambda t, d: d[3]["keypoints"].__setitem__(4, float("nan")), "finite number"),
        (lambda t, d: d[3].pop("score"), "score"),
        (lambda t, d: t.pop("images"), "no list 'images'"),
        (lambda t, d: t["categories"][0].pop("keypoints"), "no category with 'keypoints'"),
        (lambda t, d: t["categories"][0]["keypoints"].__setitem__(0, "tail"), "sigma"),
    ],
)
def test_bad_input_is_named(change: Any, message: str) -> None:
    gt, pred = _load("coco17_gt.json"), _load("coco17_det.json")
    change(gt, pred)
    with pytest.raises(VepeError, match=message):
        coco_oks_ap(gt, pred)


def test_other_keypoints_need_shared() -> None:
    gt = _load("coco17_gt.json")
    with pytest.raises(VepeError, match="--joints shared"):
        coco_oks_ap(gt, _as_posetrack15(_load("coco17_det.json"), gt))


def test_broken_file_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(VepeError, match=r"broken\.json.*not valid JSON"):
        evaluate_coco(OKS / "coco17_gt.json", broken)
    with pytest.raises(VepeError, match=r"none\.json.*does not exist"):
        evaluate_coco(OKS / "coco17_gt.json", tmp_path / "none.json")


def test_missing_area_is_said_once() -> None:
    gt, pred = _load("coco17_gt.json"), _load("coco17_det.json")
    for entry in gt["annotations"]:
        entry["area"] = 0.53 * entry["bbox"][2] * entry["bbox"][3]
    expected = coco_oks_ap(gt, pred)
    for entry in gt["annotations"]:
        del entry["area"]
    with pytest.warns(UserWarning, match="33 people") as caught:
        assert coco_oks_ap(gt, pred) == expected
    assert len(caught) == 1
