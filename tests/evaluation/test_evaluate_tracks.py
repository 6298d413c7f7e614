"""`vepe evaluate tracks`: TrackEval's numbers, pycocotools' OKS and AP, and what is paired."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trackeval_golden
from trackeval_golden import Scene

from vepe.cli.app import run
from vepe.errors import VepeError
from vepe.evaluation import evaluate_coco, evaluate_tracks
from vepe.evaluation.track_metrics import TrackedFrame, sum_tracks, track_scores
from vepe.evaluation.track_similarity import box_iou, oks
from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence, Person
from vepe.skeleton import COCO17, SKELETONS, Skeleton

GOLDEN = Path(__file__).parent / "golden"
TRACKEVAL = json.loads(trackeval_golden.FILE.read_text())
K = 17

FIELDS = {
    "HOTA": "HOTA HOTA", "DetA": "HOTA DetA", "AssA": "HOTA AssA", "LocA": "HOTA LocA",
    "DetRe": "HOTA DetRe", "DetPr": "HOTA DetPr", "AssRe": "HOTA AssRe", "AssPr": "HOTA AssPr",
    "MOTA": "CLEAR MOTA", "MOTP": "CLEAR MOTP", "recall": "CLEAR CLR_Re",
    "precision": "CLEAR CLR_Pr", "IDF1": "Identity IDF1", "IDR": "Identity IDR",
    "IDP": "Identity IDP",
}  # fmt: skip
COUNTS = {
    "matches": "CLR_TP", "misses": "CLR_FN", "false_positives": "CLR_FP", "switches": "IDSW",
    "fragmentations": "Frag", "mostly_tracked": "MT", "partly_tracked": "PT", "mostly_lost": "ML",
}  # fmt: skip


def check_scores(scores: dict[str, float], expected: dict[str, float]) -> None:
    for name, theirs in FIELDS.items():
        assert scores[name] == pytest.approx(100 * expected[theirs], abs=1e-9), name
    for name, theirs in COUNTS.items():
        assert scores[name] == expected[f"CLEAR {theirs}"], name


def sequence_of(scene: Scene, side: str, name: str, frames: int) -> AnnotatedSequence:
    """One side of a scene, boxes only."""
    none = np.zeros((0, 2))
    flags = np.zeros(0)

    def person(row: list[int]) -> Person:
        return Person(
            none, flags.astype(bool), flags, flags, 0.9, row[1],
            box_xywh_px=np.array(row[2:], float), has_points=False,
        )  # fmt: skip

    people = [tuple(person(r) for r in scene[side] if r[0] == t) for t in range(frames)]
    return AnnotatedSequence(
        name,
        tuple(AnnotatedFrame(t, "", None, True, bool(p), p) for t, p in enumerate(people)),
        COCO17,
        Path(f"{name}.{side}"),
        "coco",
    )


def test_boxes_score_as_trackeval_has_it() -> None:
    scenes: dict[str, Scene] = TRACKEVAL["scenes"]
    sides = [
        [
            sequence_of(scene, side, name, trackeval_golden.num_frames(scene))
            for name, scene in scenes.items()
        ]
        for side in ("gt", "pred")
    ]
    result = evaluate_tracks(*sides, similarity="box")
    assert result.tracking is not None
    check_scores(dict(result.tracking), TRACKEVAL["scores"]["all"])
    for name in scenes:
        check_scores(dict(result.by_sequence[name]), TRACKEVAL["scores"][name])
    assert 10 < result.tracking["HOTA"] < 60  # neither hopeless nor trivial


def test_fixture_is_what_trackeval_computes() -> None:
    pytest.importorskip("trackeval", reason="needs opencv-python, see trackeval_golden.py")
    scores = trackeval_golden.trackeval_scores(TRACKEVAL["scenes"])
    for scene, values in scores.items():
        assert values == pytest.approx(TRACKEVAL["scores"][scene], abs=1e-12)


def test_scores_of_hand_counted_tracks() -> None:
    def frame(pairs: list[tuple[int, int]]) -> TrackedFrame:
        gt, pred = (np.array([p[i] for p in pairs], np.int64) for i in (0, 1))
        return TrackedFrame(gt, pred, np.eye(len(pairs)))

    frames = [frame([(0, 0), (1, 1)])] * 3 + [frame([(0, 1), (1, 0)])]
    sums, events = sum_tracks(frames)
    scores = track_scores([sums])
    assert scores["switches"] == 2
    assert scores["MOTA"] == 100 * (8 - 2) / 8
    assert scores["IDF1"] == 75
    # Each of 8 matches: 3 of 5 frames shared for six of them, 1 of 7 for two.
    assert scores["AssA"] == pytest.approx(100 * (6 * 3 / 5 + 2 * 1 / 7) / 8)
    assert events.switches.tolist() == [0, 0, 0, 2]
    assert events.track_switches.tolist() == [1, 1]


def test_oks_is_that_of_pycocotools(rng) -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    gt = np.concatenate([rng.uniform(0, 200, (5, K, 2)), rng.integers(0, 3, (5, K, 1))], axis=2)
    gt[0, :, 2] = 0  # nobody labelled: the box counts
    pred = np.concatenate([gt[:, :, :2] + rng.normal(0, 8, (5, K, 2)), np.ones((5, K, 1))], axis=2)
    boxes, areas = rng.uniform(20, 90, (5, 4)), rng.uniform(500, 9000, 5)
    images = {"images": [{"id": 1}], "categories": [{"id": 1}]}
    theirs = COCO(), COCO()
    theirs[0].dataset = {
        **images,
        "annotations": [
            {"id": i + 1, "image_id": 1, "category_id": 1, "keypoints": g.ravel().tolist(),
             "bbox": b.tolist(), "area": a, "iscrowd": 0, "num_keypoints": int((g[:, 2] > 0).sum())}
            for i, (g, b, a) in enumerate(zip(gt, boxes, areas, strict=True))
        ],
    }  # fmt: skip
    theirs[0].createIndex()
    results = [
        {"image_id": 1, "category_id": 1, "keypoints": p.ravel().tolist(), "score": 1 - i / 10}
        for i, p in enumerate(pred)
    ]
    evaluation = COCOeval(theirs[0], theirs[0].loadRes(results), "keypoints")
    evaluation._prepare()
    expected = evaluation.computeOks(1, 1).T
    ours = oks(gt, areas, boxes, pred[:, :, :2], COCO17.sigma_array())
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12)
    assert (ours > 0.3).sum() >= 5


def test_box_iou_of_touching_and_empty_boxes() -> None:
    a = np.array([[0, 0, 10, 10], [0, 0, 0, 0]], float)
    b = np.array([[5, 0, 10, 10], [10, 0, 5, 5], [0, 0, 10, 10]], float)
    np.testing.assert_allclose(box_iou(a, b), [[1 / 3, 0, 1], [0, 0, 0]])


Document = dict[str, Any]


def video(
    people: int = 2, frames: int = 6, skeleton: Skeleton = COCO17, name: str = "img_{:03d}.jpg"
) -> Document:
    """A COCO-video file of people who stand still, without flags and head boxes."""
    k = len(skeleton)
    body = np.c_[np.arange(k) * 6.0 + 40, np.arange(k) * 9.0 + 60, np.full(k, 2)]
    records = []
    for t in range(frames):
        for i in range(people):
            points = (body + np.array([300 * i, 0, 0])).ravel().tolist()
            records.append(
                {
                    "id": len(records) + 1, "image_id": t, "category_id": 1, "track_id": i,
                    "keypoints": points, "area": 6000.0, "iscrowd": 0,
                    "bbox": [40.0 + 300 * i, 60.0, 6.0 * k, 9.0 * k],
                }
            )  # fmt: skip
    return {
        "images": [{"id": t, "file_name": name.format(t)} for t in range(frames)],
        "annotations": records,
        "categories": [{"id": 1, "name": "person", "keypoints": list(skeleton.keypoints)}],
    }


def predicted(gt: Document, rng: np.random.Generator, noise: float = 3.0) -> Document:
    """Results in the layout of `vepe track --format coco`: the third number is a confidence."""
    k = len(gt["categories"][0]["keypoints"])
    records = []
    for record in gt["annotations"]:
        points = np.reshape(record["keypoints"], (k, 3)) + rng.normal(0, noise, (k, 3)) * [1, 1, 0]
        points[:, 2] = rng.uniform(0.3, 1, k)
        records.append(
            {
                "image_id": record["image_id"], "category_id": 1, "score": float(rng.random()),
                "track_id": record["track_id"] + 7, "keypoints": points.ravel().tolist(),
            }
        )  # fmt: skip
    return {**gt, "annotations": records}


def files(tmp_path: Path, gt: Document, pred: Document) -> tuple[Path, Path]:
    sides = tmp_path / "gt.json", tmp_path / "pred.json"
    for path, data in zip(sides, (gt, pred), strict=True):
        path.write_text(json.dumps(data))
    return sides


@pytest.mark.parametrize("name", SKELETONS)
def test_average_precision_is_that_of_evaluate_coco(name, tmp_path, rng) -> None:
    gt = video(people=4, skeleton=SKELETONS[name])
    pred = predicted(gt, rng)
    gt["annotations"][3] |= {"iscrowd": 1}
    gt["annotations"][6]["keypoints"] = [0] * len(gt["annotations"][6]["keypoints"])
    sides = files(tmp_path, gt, pred)
    scores, expected = evaluate_tracks(*sides), evaluate_coco(*sides)
    assert expected.ap < 95
    for field in ("ap", "ap50", "ap75", "ar"):
        assert getattr(scores, field) == pytest.approx(getattr(expected, field), abs=1e-9)
    assert (scores.people, scores.predictions) == (22, 22)  # without the two ignored people
    assert "2 predictions lie on ignored people" in scores.notes[0]


def test_perfect_tracks_score_100_and_a_swap_costs_ids(tmp_path, rng) -> None:
    gt = video()
    pred = predicted(gt, rng, 0.0)
    scores = evaluate_tracks(*files(tmp_path, gt, pred)).tracking
    assert scores is not None
    assert [scores[n] for n in ("HOTA", "MOTA", "IDF1", "LocA")] == [100] * 4
    for record in pred["annotations"]:
        if record["image_id"] >= 3:
            record["track_id"] = 15 - record["track_id"]
    result = evaluate_tracks(*files(tmp_path, gt, pred))
    assert result.tracking is not None
    assert (result.tracking["switches"], result.tracking["IDF1"]) == (2, 50)
    assert result.worst_frames[0].switches == 2
    assert "frame 3 (img_003.jpg)" in result.worst_frames[0].place


def _renamed(pattern: str, **more: Callable[[int], Any]) -> Callable[[Document], None]:
    def change(data: Document) -> None:
        for t, image in enumerate(data["images"]):
            image |= {"file_name": pattern.format(t)} | {k: f(t) for k, f in more.items()}

    return change


PAIRINGS: dict[str, tuple[Callable[[Document], None], Callable[[Document], None]]] = {
    "names in other folders, with other endings": (
        _renamed("a/{:06d}.png"),
        _renamed("clip/{:06d}.jpg"),
    ),
    "numbers with other digits": (_renamed("frame_{:06d}.PNG"), _renamed("clip/{}.jpg")),
    "numbers of sparse labels": (
        lambda d: d.update(images=d["images"][::2]),
        _renamed("x.jpg", frame_id=lambda t: t),
    ),
    "numbers from 1": (
        lambda d: [i.update(file_name=f"{i['id'] + 1:06d}.jpg") for i in d["images"]],
        _renamed("clip/{:06d}.jpg", frame_id=lambda t: t),
    ),
    "position": (_renamed("{:02d}_a.jpg"), _renamed("{:02d}_b.jpg")),
}


@pytest.mark.parametrize("name", PAIRINGS)
def test_frames_are_paired(name, tmp_path, rng) -> None:
    gt, pred = video(), video()
    for i, record in enumerate(pred["annotations"]):  # every frame at another place
        shift = np.tile([11.0 * record["image_id"], 0, 0], K)
        for side in (gt, pred):
            points = np.array(side["annotations"][i]["keypoints"]) + shift
            side["annotations"][i]["keypoints"] = points.tolist()
    pred = predicted(pred, rng, 0.0)
    for side, change in zip((gt, pred), PAIRINGS[name], strict=True):
        change(side)
    ids = {image["id"] for image in gt["images"]}
    gt["annotations"] = [a for a in gt["annotations"] if a["image_id"] in ids]
    result = evaluate_tracks(*files(tmp_path, gt, pred))
    assert result.tracking is not None
    assert result.tracking["HOTA"] == pytest.approx(100)
    assert result.frames == len(gt["images"])
    assert result.notes == ()


def test_frames_without_prediction_are_missed_and_noted(tmp_path, rng) -> None:
    gt, pred = video(), predicted(video(), rng)
    pred["images"] = pred["images"][:4]
    pred["annotations"] = pred["annotations"][:8]
    result = evaluate_tracks(*files(tmp_path, gt, pred))
    assert "2 of 6 labelled frames have no frame" in result.notes[0]
    assert result.tracking is not None
    assert result.tracking["misses"] == 4


def test_empty_images_of_coco_count_and_unlabelled_frames_do_not(tmp_path, rng) -> None:
    gt, pred = video(), predicted(video(), rng)
    gt["annotations"] = [a for a in gt["annotations"] if a["image_id"] > 1]
    result = evaluate_tracks(*files(tmp_path, gt, pred))
    assert result.tracking is not None
    assert (result.frames, result.tracking["false_positives"]) == (6, 4)
    for image in gt["images"]:
        image["is_labeled"] = image["id"] > 1
    result = evaluate_tracks(*files(tmp_path, gt, pred))
    assert result.tracking is not None
    assert (result.frames, result.tracking["false_positives"]) == (4, 0)


def test_predictions_in_ignore_regions_are_left_out_unless_they_match(tmp_path, rng) -> None:
    gt, pred = video(3), predicted(video(3), rng, 0.5)
    gt["annotations"] = [a for a in gt["annotations"] if a["track_id"] < 2]  # the third is unmarked
    for image in gt["images"]:
        image |= {"ignore_regions_x": [[0, 2000, 2000, 0]], "ignore_regions_y": [[0, 0, 900, 900]]}
    result = evaluate_tracks(*files(tmp_path, gt, pred))
    assert result.tracking is not None
    assert (result.tracking["false_positives"], result.tracking["matches"]) == (0, 12)
    assert "6 predictions lie on ignored" in result.notes[0]
    assert result.ap > 99


def test_keypoints_that_only_one_side_has_are_left_out(tmp_path, rng) -> None:
    gt = video(skeleton=SKELETONS["posetrack15"])
    pred = predicted(video(), rng)
    with pytest.raises(VepeError, match="--joints"):
        evaluate_tracks(*files(tmp_path, gt, pred), joints="all")
    assert len(evaluate_tracks(*files(tmp_path, gt, pred)).joints) == 13


def _own_skeleton(gt: Document) -> None:
    gt["categories"][0]["keypoints"] = [f"k{i}" for i in range(K)]


CASES: dict[str, tuple[Callable[[Document, Document], Any], str]] = {
    "twice": (
        lambda g, p: p["annotations"][1].update(track_id=7),
        "pred.json, at .*frame 0 .*track id 7 is given twice",
    ),
    "sigmas": (
        lambda g, p: (_own_skeleton(g), _own_skeleton(p)),
        "No OKS sigma is known for keypoint k0",
    ),
    "unlabelled": (
        lambda g, p: [i.update(is_labeled=False) for i in g["images"]],
        "no labelled frame",
    ),
    "other frames": (
        lambda g, p: (
            [i.update(file_name="", frame_id=i["id"] + 50) for i in g["images"][:5]]
            + [p["images"].pop(), p["annotations"].pop(), p["annotations"].pop()]
            + [g["images"].pop(), g["annotations"].pop(), g["annotations"].pop()]
            + [g["images"].pop(), g["annotations"].pop(), g["annotations"].pop()]
        ),
        "neither the names of their images nor the numbers",
    ),
    "no points": (
        lambda g, p: [a.pop("keypoints") for a in g["annotations"]],
        "boxes, but no keypoints; use --similarity box",
    ),
    "region": (
        lambda g, p: g["images"][2].update(ignore_regions_x=[[1, 2]], ignore_regions_y=[[1, 2]]),
        r"frame 2 \(img_002.jpg\): an ignore region",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_errors_name_the_place(name, tmp_path, rng) -> None:
    gt, pred = video(), predicted(video(), rng)
    change, message = CASES[name]
    change(gt, pred)
    with pytest.raises(VepeError, match=message):
        evaluate_tracks(*files(tmp_path, gt, pred))


def test_ids_are_optional(tmp_path, rng) -> None:
    gt, pred = video(), predicted(video(), rng, 0.5)
    pred["annotations"][0].pop("track_id")
    result = evaluate_tracks(*files(tmp_path, gt, pred))
    assert "1 of 12 people of the prediction have no track id" in result.notes[0]
    assert result.pred_tracks == 3
    for record in pred["annotations"]:
        record.pop("track_id", None)
    result = evaluate_tracks(*files(tmp_path, gt, pred))
    assert result.tracking is None
    assert result.ap > 90


def test_sequences_are_paired_by_name(tmp_path) -> None:
    gt, pred = GOLDEN / "gt18", GOLDEN / "cases" / "c06_mixed" / "pred18"
    result = evaluate_tracks(gt, pred)
    assert list(result.by_sequence) == [f.stem for f in sorted(gt.glob("*.json"))]
    again = evaluate_tracks(sorted(gt.glob("*.json")), sorted(pred.glob("*.json"), reverse=True))
    assert again.tracking == result.tracking
    with pytest.raises(VepeError, match="has no prediction; the prediction has 0009"):
        evaluate_tracks(gt, next(pred.glob("*.json")))
    one = evaluate_tracks(next(gt.glob("*901*")), next(pred.glob("*901*")))
    assert one.tracking == result.by_sequence["000901_mpii_test"]


def test_command(tmp_path, capsys) -> None:
    words = ["--gt", str(GOLDEN / "gt18"), "--pred", str(GOLDEN / "cases/c06_mixed/pred18")]
    report = tmp_path / "scores.json"
    more = ["--per-sequence", "--worst", "2", "--json", str(report)]
    assert run(["evaluate", "tracks", *words, *more]) == 0
    text = capsys.readouterr().out
    assert "OKS of 15 keypoints: 3 sequences, 33 labelled frames, 95 people of 9 tracks" in text
    assert text.count("worst frame:") == text.count("worst track:") == 2
    values = json.loads(report.read_text())
    assert values["tracking"]["HOTA"] == pytest.approx(36.694253, abs=1e-6)
    assert run(["evaluate", "tracks", *words, "--similarity", "box"]) == 0
    assert capsys.readouterr().out.startswith("boxes: 3 sequences")
    sigmas = ",".join(["0.5"] * 15)
    assert run(["evaluate", "tracks", *words, "--sigmas", sigmas]) == 0
    assert "AP 69.08" in capsys.readouterr().out
    assert run(["evaluate", "tracks", *words, "--sigmas", "1"]) == 2
    assert "1 numbers" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [[], ["--pred", "p", "--model", "m"], ["--model", "m"], ["--pred", "p", "--conf", "0.1"]],
)
def test_wrong_options(words, capsys) -> None:
    assert run(["evaluate", "tracks", "--gt", "x", *words]) == 2
    assert capsys.readouterr().err.strip()
