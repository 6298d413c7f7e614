"""Evaluation during a run: images and videos, the best weights, early stopping."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tiny_recipe import FRAMES, recipe

from figures.moving import figure_clip
from vepe.config.load import parse
from vepe.config.training import METRICS, EvaluationConfig
from vepe.errors import VepeError
from vepe.inference.model_files import read_card
from vepe.skeleton import POSETRACK15
from vepe.training.evaluation import Evaluation
from vepe.training.trainer import Trainer


@pytest.fixture(autouse=True)
def _no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "_report", lambda *_: None)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two frames of a drawn video, as a COCO file and as a PoseTrack18 file."""
    folder = tmp_path_factory.mktemp("data")
    clip = figure_clip(4, people=(2, 2))
    (folder / "images").mkdir()
    images: list[dict[str, Any]] = []
    people: list[dict[str, Any]] = []
    for t, frame in enumerate(clip.images):
        cv2.imwrite(str(folder / "images" / f"{t}.png"), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        more = {"is_labeled": True, "vid_id": "1", "frame_id": 10 + t}
        images.append({"id": 10 + t, "file_name": f"{t}.png", "width": 64, "height": 64, **more})
        who = clip.people[t]
        for i in range(len(who)):
            keypoints = np.column_stack([who.keypoints_px[i], who.visibility[i]])
            x, y, right, bottom = who.boxes_xyxy_px[i].tolist()
            head = [x, y, max((right - x) / 4, 2), max((bottom - y) / 4, 2)]
            people.append(
                {
                    "id": len(people),
                    "image_id": 10 + t,
                    "category_id": 1,
                    "track_id": i,
                    "keypoints": keypoints.ravel().tolist(),
                    "bbox": [x, y, right - x, bottom - y],
                    "bbox_head": head,
                    "area": float(who.areas_px[i]),
                    "iscrowd": 0,
                }
            )
    names = list(POSETRACK15.keypoints)
    category = {"id": 1, "name": "person", "keypoints": names}
    document = {"images": images, "annotations": people, "categories": [category]}
    (folder / "coco.json").write_text(json.dumps(document))
    (folder / "posetrack").mkdir()
    (folder / "posetrack" / "1.json").write_text(json.dumps(document))
    return folder


def settings(**more: Any) -> dict[str, Any]:
    return {"gt": "coco.json", "images": "images", **more}


@pytest.mark.parametrize(("kind", "gt"), [("coco", "coco.json"), ("posetrack", "posetrack")])
def test_scores_by_name(tmp_path: Path, data: Path, kind: str, gt: str) -> None:
    config = parse(EvaluationConfig, settings(kind=kind, gt=gt, conf=0.0), "test")
    run = Trainer(recipe(), tmp_path / "run").run
    before = {name: value.clone() for name, value in run.ema.model.state_dict().items()}
    scores = Evaluation(config, data).scores(run.ema.model, run.model_config, run.processes.device)
    assert tuple(scores) == METRICS[kind]
    assert 0 <= scores["ap"] <= 100
    after = run.ema.model.state_dict()
    assert all(after[name].equal(value) for name, value in before.items())


def test_best_weights_are_saved_and_patience_ends_the_stage(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores_in_turn = iter([10.0, 30.0, 20.0, float("nan"), 99.0])
    monkeypatch.setattr(Evaluation, "scores", lambda *_: {"ap": next(scores_in_turn)})
    config = recipe(
        stages=[{**FRAMES, "steps": 9, "batch": 1}],
        data_root=str(data),
        evaluation=settings(every_steps=1, patience=2),
    )
    trainer = Trainer(config, tmp_path / "run")
    trainer.train()
    assert next(scores_in_turn) == 99.0  # not evaluated
    best = read_card(tmp_path / "run" / "best.safetensors").training
    assert best["evaluation"] == {"stage": "frames", "step": 1, "scores": {"ap": 30.0}}
    assert set(best["versions"]) == {"vepe", "torch", "python"}
    assert set(best["data"]) == {"frames"}
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    scores = [json.loads(line)["evaluation"]["ap"] for line in lines if "evaluation" in line]
    assert scores == [10.0, 30.0, 20.0, None]
    again = Trainer(config, tmp_path / "run", resume=True)
    assert again.run.evaluation is not None
    assert again.run.evaluation.best == 30.0


def test_without_interval_a_stage_is_evaluated_at_its_end(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(Evaluation, "scores", lambda *_: calls.append(1) or {"ap": 1.0})
    stages = [{**FRAMES, "steps": 2, "batch": 1}]
    config = recipe(stages=stages, data_root=str(data), evaluation=settings())
    Trainer(config, tmp_path / "run").train()
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "mota"}, "coco has no metric 'mota'; give ap,"),
        ({"patience": 2}, "every_steps or every_minutes"),
        ({"gt": "none.json"}, "evaluation.gt"),
        ({"images": "none"}, "evaluation.images"),
    ],
)
def test_errors_name_what_is_missing(
    tmp_path: Path, data: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(VepeError, match=message):
        Trainer(recipe(data_root=str(data), evaluation=settings(**options)), tmp_path / "run")
