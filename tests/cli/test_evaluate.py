"""`vepe evaluate` as a user calls it: tables, options, refusals."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tiny_models import moving_frames, tiny_weights_file
from vepe.cli import evaluate
from vepe.cli.app import run
from vepe.errors import VepeWarning
from vepe.evaluation.posetrack import PoseTrackMatch
from vepe.formats.posetrack18 import SLOTS_2018
from vepe.skeleton import COCO17

GOLDEN = Path(__file__).parents[1] / "evaluation" / "golden"


def test_posetrack_prints_table_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    pred = GOLDEN / "cases" / "c06_mixed" / "pred18"
    arguments = ["--gt", str(GOLDEN / "gt18"), "--pred", str(pred), "--per-sequence", "--quiet"]
    assert run(["evaluate", "posetrack", *arguments]) == 0
    text = capsys.readouterr().out
    assert "3 sequences, 33 labelled frames, 95 people" in text
    row = next(line for line in text.splitlines() if line.startswith("AP "))
    assert row.split()[1:] == [
        "50.33",
        "52.21",
        "47.51",
        "49.27",
        "50.91",
        "46.94",
        "46.14",
        "49.13",
    ]
    assert "HOTA 19.90" in text
    assert "000902_mpii_test: 12 frames, 45 people, AP 50.50  MOTA 5.95" in text


@pytest.mark.parametrize(
    ("command", "key", "value"),
    [("coco", "ap", 31.325883965324397), ("crowdpose", "ap_medium", 50.57)],
)
def test_oks_commands(command: str, key: str, value: float, tmp_path: Path) -> None:
    stem = {"coco": "coco17", "crowdpose": "crowd14"}[command]
    report = tmp_path / "r.json"
    arguments = ["--gt", str(GOLDEN / "oks" / f"{stem}_gt.json"), "--json", str(report)]
    arguments += ["--pred", str(GOLDEN / "oks" / f"{stem}_det.json")]
    assert run(["evaluate", command, *arguments]) == 0
    assert json.loads(report.read_text())[key] == pytest.approx(value, abs=1e-9)


def test_sigmas_and_skeleton_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "r.json"
    oks = GOLDEN / "oks"
    arguments = ["--gt", str(oks / "coco17_gt.json"), "--pred", str(oks / "coco17_det.json")]
    same = ",".join(str(s) for s in COCO17.sigmas)
    assert run(["evaluate", "coco", *arguments, "--sigmas", same, "--json", str(report)]) == 0
    assert json.loads(report.read_text())["ap"] == pytest.approx(31.325883965324397, abs=1e-9)
    wide = ",".join(["0.5"] * 17)
    assert run(["evaluate", "coco", *arguments, "--sigmas", wide, "--json", str(report)]) == 0
    assert json.loads(report.read_text())["ap"] > 60
    capsys.readouterr()
    assert run(["evaluate", "coco", *arguments, "--sigmas", "0.1,0.2"]) == 2
    assert "2 numbers" in capsys.readouterr().err
    assert run(["evaluate", "coco", *arguments, "--skeleton", "dog"]) == 2
    assert "posetrack15" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "setting"),
    [
        ("posetrack", ["--conf", "0"]),
        ("posetrack", ["--flip"]),
        ("coco", ["--conf", "0"]),
        ("coco", ["--flip"]),
        ("crowdpose", ["--conf", "0"]),
        ("crowdpose", ["--flip"]),
    ],
)
def test_model_settings_need_a_model(command, setting, tmp_path: Path, capsys) -> None:
    words = ["evaluate", command, "--gt", str(tmp_path), "--pred", str(tmp_path), *setting]
    assert run(words) == 2
    assert "settings of --model" in capsys.readouterr().err


def test_crowdpose_accepts_a_model(tmp_path: Path, capsys) -> None:
    assert run(["evaluate", "crowdpose", "--gt", str(tmp_path / "a.json"), "--model", "x"]) == 2
    assert "--model needs --images" in capsys.readouterr().err


def test_report_without_matplotlib_is_refused_at_once(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(evaluate, "find_spec", lambda name: None)
    words = ["--gt", tmp_path / "none", "--pred", tmp_path, "--report", tmp_path / "r"]
    assert run(["evaluate", "posetrack", *map(str, words)]) == 2
    assert "needs the package matplotlib" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["posetrack", "--gt", "gt"],
        ["posetrack", "--gt", "gt", "--model", "vepe-n"],
        ["coco", "--gt", "gt.json", "--pred", "p.json", "--model", "vepe-n"],
        ["crowdpose", "--gt", "gt.json"],
        ["posetrack", "--gt", "gt", "--pred", "p", "--protocol", "mine"],
        ["posetrack", "--gt", "gt", "--pred", "p", "--hota", "mine"],
    ],
)
def test_wrong_options(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", *arguments]) == 2
    assert capsys.readouterr().err.strip()


def test_former_option_names_are_accepted_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pred, report = GOLDEN / "cases" / "c07_emptyframes" / "pred18", tmp_path / "r.json"
    words = ["evaluate", "posetrack", "--gt", str(GOLDEN / "gt18"), "--pred", str(pred)]
    assert run([*words, "--hota", "kit", "--json", str(report)]) == 0
    assert "'kit' is now called 'posetrack21'" in capsys.readouterr().err
    values = json.loads(report.read_text())
    assert values["hota_rule"] == "posetrack21"
    assert values["hota"]["HOTA"] == pytest.approx(35.764, abs=5e-4)
    with pytest.warns(VepeWarning, match="--input-px is now called --imgsz"):
        assert run([*words, "--input-px", "320"]) == 2
    assert "settings of --model" in capsys.readouterr().err


@pytest.mark.parametrize("kind_of_score", ["coco", "crowdpose", "posetrack", "tracks"])
def test_scores_never_replace_what_they_are_of(
    kind_of_score: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gt, pred = tmp_path / "gt", tmp_path / "pred.json"
    gt.mkdir()
    inside = gt / "a.json"
    for path in (inside, pred):
        path.write_text("[]")
        words = ["--gt", str(inside), "--pred", str(pred), "--json", str(path)]
        assert run(["evaluate", kind_of_score, *words]) == 2
        assert "itself; name another path" in capsys.readouterr().err
        assert path.read_text() == "[]"
    words = ["--gt", str(gt), "--pred", str(pred), "--json", str(inside)]
    assert run(["evaluate", kind_of_score, *words]) == 2
    assert "itself; name another path" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["posetrack", "--report", "r", "--json", "r/s.json"], "in another, '.*r'; name a place"),
        (["posetrack", "--report", "r", "--json", "r"], "Two results would be written to 'r'"),
        (["coco", "--save-pred", "s.json", "--json", "./s.json"], "would be written to 's.json'"),
    ],
)
def test_results_do_not_replace_one_another(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["evaluate", *words, "--gt", "gt", "--model", "vepe-n", "--images", "."]) == 2
    assert re.search(says, capsys.readouterr().err)
    assert not list(tmp_path.iterdir())


def test_scores_that_another_process_wrote_meanwhile_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    scores, report = tmp_path / "r.json", tmp_path / "report"
    load = PoseTrackMatch.load
    others: list[Path] = []

    def slow(*words: Any, **options: Any) -> PoseTrackMatch:
        for other in others:
            other.parent.mkdir(exist_ok=True)
            other.write_text("theirs")
        return load(*words, **options)

    monkeypatch.setattr(PoseTrackMatch, "load", slow)
    pred = GOLDEN / "cases" / "c07_emptyframes" / "pred18"
    words = ["evaluate", "posetrack", "--gt", str(GOLDEN / "gt18"), "--pred", str(pred)]
    words += ["--json", str(scores)]
    others = [scores]
    assert run(words) == 2
    assert "by another process while this one worked, and stays; run the command again" in (
        capsys.readouterr().err
    )
    assert scores.read_text() == "theirs"
    others = []
    assert run(words) == 0
    assert "ap" in scores.read_text()
    others = [report / "index.html"]
    assert run([*words, "--report", str(report)]) == 2
    assert (report / "index.html").read_text() == "theirs"


@pytest.mark.parametrize("kind", ["coco", "tracks", "posetrack"])
def test_saved_predictions_get_the_same_scores(kind: str, tmp_path: Path, capsys) -> None:
    weights = tiny_weights_file(tmp_path)
    frames = moving_frames(3)
    (tmp_path / "000001_mpii_test").mkdir()
    names = [f"000001_mpii_test/{t:06d}.png" for t in range(3)]
    for name, image in zip(names, frames, strict=True):
        Image.fromarray(image).save(tmp_path / name)
    size = {"width": 48, "height": 32}
    ids = [10000010000 + t for t in range(3)]
    person = {"category_id": 1, "track_id": 1, "bbox": [5, 5, 30, 25], "bbox_head": [9, 5, 9, 9]}
    person |= {"keypoints": [10, 9, 1] * 17, "area": 400.0, "iscrowd": 0, "num_keypoints": 17}
    gt = {
        "images": [
            {"id": i, "frame_id": i, "file_name": n, "is_labeled": True, "nframes": 3, **size}
            for i, n in zip(ids, names, strict=True)
        ],
        "annotations": [{"id": i * 100, "image_id": i, **person} for i in ids],
        "categories": [{"id": 1, "name": "person", "keypoints": list(SLOTS_2018)}],
    }
    labels = tmp_path / "gt.json"
    labels.write_text(json.dumps(gt))
    saved = tmp_path / ("saved.json" if kind == "coco" else "saved")
    shared = ["--joints", "shared"] if kind == "coco" else []
    start = ["evaluate", kind, "--gt", str(labels), *shared]
    model = ["--model", str(weights), "--images", str(tmp_path), "--conf", "0.1"]
    assert run([*start, *model, "--save-pred", str(saved)]) == 0
    first = capsys.readouterr().out
    assert run([*start, "--pred", str(saved)]) == 0
    assert capsys.readouterr().out == first
    assert run([*start, *model, "--save-pred", str(saved)]) == 2
    assert "is already there" in capsys.readouterr().err
