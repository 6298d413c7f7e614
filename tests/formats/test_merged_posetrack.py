"""Merged PoseTrack files (mmpose's): several videos in one file, told apart by `vid_id`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from vepe.cli.app import run
from vepe.data.read_labels import posetrack_files as split_files
from vepe.data.read_labels import read_label_files
from vepe.errors import VepeError, VepeWarning
from vepe.evaluation import evaluate_posetrack
from vepe.formats.conversion import convert_annotations
from vepe.formats.dataset_check import check_dataset
from vepe.formats.detect import read_any
from vepe.formats.posetrack import posetrack_files, read_posetrack, read_sequence, read_sequences

GOLDEN = Path(__file__).parents[1] / "evaluation" / "golden"
GT, PRED = GOLDEN / "gt18", GOLDEN / "cases" / "c06_mixed" / "pred18"


def merged(folder: Path, path: Path, *, gt: Path = GT) -> Path:
    """One file with all sequences of a folder, as mmpose's converter writes it."""
    documents = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    videos = {
        image["file_name"]: image["vid_id"]
        for file in gt.glob("*.json")
        for image in json.loads(file.read_text())["images"]
    }
    images: list[Any] = [image for d in documents for image in d["images"]]
    images = [{**image, "vid_id": videos[image["file_name"]]} for image in images]
    people = [a for d in documents for a in d["annotations"]]
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {"images": images, "annotations": people, "categories": documents[0]["categories"]}
    path.write_text(json.dumps(data))
    return path


def test_each_video_is_a_sequence_named_as_its_own_file_would_be(tmp_path, same) -> None:
    path = merged(GT, tmp_path / "posetrack18_val.json")
    for sequences in (read_sequences(path), read_any(path), read_posetrack(tmp_path)):
        assert [s.name for s in sequences] == sorted(f.stem for f in GT.glob("*.json"))
        for sequence in sequences:
            alone = read_sequence(GT / f"{sequence.name}.json")
            same(alone, sequence)
    with pytest.raises(VepeError, match="holds 3 sequences"):
        read_sequence(path)


def test_videos_without_folders_are_named_by_their_id(tmp_path) -> None:
    data = json.loads(merged(GT, tmp_path / "m.json").read_text())
    for image in data["images"]:
        image["file_name"] = image["file_name"].rpartition("/")[2]
    (tmp_path / "m.json").write_text(json.dumps(data))
    videos = sorted({image["vid_id"] for image in data["images"]})
    assert sorted(s.name for s in read_any(tmp_path / "m.json")) == videos
    data["images"][3].pop("vid_id")
    (tmp_path / "m.json").write_text(json.dumps(data))
    with pytest.raises(VepeError, match=r"m\.json, frame 3: the image has no usable 'vid_id'"):
        read_any(tmp_path / "m.json")


def test_one_video_stays_one_sequence_with_the_name_of_the_file(tmp_path) -> None:
    file = next(GT.glob("*.json"))
    data = json.loads(file.read_text())
    data["images"][0].pop("vid_id")
    (tmp_path / "mine.json").write_text(json.dumps(data))
    assert [s.name for s in read_any(tmp_path / "mine.json")] == ["mine"]


def test_scores_are_those_of_the_files(tmp_path) -> None:
    gt = merged(GT, tmp_path / "gt" / "posetrack18_val.json")
    pred = merged(PRED, tmp_path / "pred" / "posetrack18_val.json")
    expected = evaluate_posetrack(GT, PRED).to_dict()
    for sides in ((gt, PRED), (GT, pred), (gt, pred), (gt.parent, pred.parent), (gt, pred.parent)):
        scores = evaluate_posetrack(*sides).to_dict()
        assert scores["counts"] == {"sequences": 3, "frames": 33, "people": 95}
        for metric in ("ap", "mota", "hota", "motp"):
            assert scores[metric] == pytest.approx(expected[metric], abs=1e-9)
    with pytest.raises(VepeError, match="does not exist in the predictions"):
        evaluate_posetrack(gt, next(PRED.glob("*.json")))


def test_convert_splits_it(tmp_path, capsys) -> None:
    path = merged(GT, tmp_path / "posetrack18_val.json")
    assert run(["convert", str(path), str(tmp_path / "split"), "--to", "posetrack18"]) == 0
    assert "3 sequences, 46 frames, 95 people" in capsys.readouterr().out
    names = sorted(f.name for f in (tmp_path / "split").iterdir())
    assert names == sorted(f.name for f in GT.glob("*.json"))
    results = merged(PRED, tmp_path / "results.json")
    convert_annotations(results, tmp_path / "sub", "submission", like=path)
    assert sorted(f.name for f in (tmp_path / "sub").iterdir()) == names


def test_data_check_and_training_count_sequences(tmp_path) -> None:
    path = merged(GT, tmp_path / "annotations" / "posetrack18_val.json")
    report = check_dataset(tmp_path, images=False)
    (counts,) = report.splits.values()
    assert (counts.sequences, counts.files) == (3, 1)
    assert not [f for f in report.findings if "videos" in f.text]
    files = split_files(tmp_path, "val")
    assert files == [path]
    together = read_label_files(files, tmp_path, single=False)
    apart = read_label_files(sorted(GT.glob("*.json")), tmp_path, single=False)
    assert len(set(together.video.tolist())) == len(set(apart.video.tolist())) == 3


def test_foreign_files_of_a_folder_are_left_out_with_a_warning(tmp_path) -> None:
    shutil.copytree(GT, tmp_path / "val")
    (tmp_path / "val" / "posetrack18_val_human_detections.json").write_text("[1, 2]")
    (tmp_path / "val" / "settings.json").write_text('{"a": 1}')
    for read in (read_any, read_posetrack):
        with pytest.warns(VepeWarning, match="Left out, since they hold no poses: .*detections"):
            assert len(read(tmp_path / "val")) == 3
    with pytest.warns(VepeWarning, match="Left out"):
        assert evaluate_posetrack(tmp_path / "val", PRED).counts.sequences == 3
    files = sorted((tmp_path / "val").glob("*.json"))
    with pytest.warns(VepeWarning, match="Left out"):
        assert len(set(read_label_files(files, tmp_path, single=False).video.tolist())) == 3
    with pytest.raises(VepeError, match="not a PoseTrack file"):
        read_any(tmp_path / "val" / "settings.json")


def test_parent_folders(tmp_path) -> None:
    shutil.copytree(GT, tmp_path / "val")
    with pytest.warns(VepeWarning, match="has no annotation file itself; .*val is read"):
        assert len(posetrack_files(tmp_path)) == 3
    (tmp_path / "detections.json").write_text("[]")
    with pytest.raises(VepeError, match=r"not a PoseTrack file.*next to it: .*val; name"):
        read_posetrack(tmp_path)
    (tmp_path / "detections.json").unlink()
    with pytest.raises(VepeError, match=r"its folders do; name one, such as .*val"):
        read_any(tmp_path)
    shutil.copytree(GT, tmp_path / "train")
    with pytest.raises(VepeError, match=r"folders train, val have; name one, such as .*val"):
        posetrack_files(tmp_path)
