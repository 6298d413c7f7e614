"""Conversions: what is written, and that losses are said and nothing else."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from usable_formats import usable_targets
from vepe.errors import VepeError
from vepe.formats.conversion import convert_annotations, left_behind
from vepe.formats.detect import read_any
from vepe.formats.posetrack import read_sequence
from vepe.formats.posetrack17 import write_posetrack17
from vepe.formats.posetrack18_writer import write_posetrack18
from vepe.formats.submission import write_submission

DATA = Path(__file__).parent / "data"
OLD, NEW = DATA / "pt17_000902_mpii_test.json", DATA / "pt18_000902_mpii_test.json"


@pytest.mark.parametrize("to", [t for t in usable_targets() if t not in ("submission", "rerun")])
def test_written_file_is_read_back_in_its_format(to, tmp_path) -> None:
    done = convert_annotations(NEW, tmp_path / "out", to)
    assert (done.sequences, done.frames, done.people) == (1, 12, 45)
    (sequence,) = read_any(done.written[0])
    tables = {"csv": "posetrack18", "parquet": "posetrack18", "mot": "posetrack18"}
    expected = to if to.startswith("posetrack") else tables.get(to, "coco")
    assert sequence.format == expected
    assert sequence.people_count() == 45


@pytest.mark.parametrize(
    ("source", "to", "said"),
    [
        (OLD, "posetrack18", []),
        (OLD, "csv", ["ignore regions: 24"]),
        (NEW, "posetrack18", ["person ids: 45"]),
        (NEW, "posetrack21", []),
        (NEW, "coco", []),
        (NEW, "posetrack17", ["body boxes: 45", "image sizes: 12", "person ids: 45",
                              "has_no_densepose"]),
    ],
)  # fmt: skip
def test_notes_name_what_is_left_behind(source, to, said, tmp_path) -> None:
    notes = convert_annotations(source, tmp_path / "out", to).notes
    assert len(notes) == len(said), notes
    for note, part in zip(notes, said, strict=True):
        assert part in note


def test_hidden_points_at_the_origin_do_not_fit_2018(gt) -> None:
    person = gt.frames[0].people[0]
    k = len(person.present)
    hidden = replace(
        person,
        present=np.ones(k, bool),
        keypoints_px=np.zeros((k, 2)),
        visibility=np.array([1.0, np.nan, *[0.0] * (k - 2)]),
    )
    frame = replace(gt.frames[0], people=(hidden,))
    notes = left_behind([replace(gt, frames=(frame,), format="posetrack17")], "posetrack18")
    assert any(f"hidden at 0, 0: {k - 2} " in note for note in notes)
    assert any("unknown visibility: 1 " in note for note in notes)


@pytest.mark.parametrize(
    ("to", "target", "message"),
    [
        ("xml", "out", "choose one of json, posetrack17"),
        ("csv", "out.json", "name a file ending in .csv"),
        ("csv", "out.zip", "cannot take 1 csv"),
    ],
)
def test_wrong_targets(to, target, message, tmp_path) -> None:
    with pytest.raises(VepeError, match=message):
        convert_annotations(NEW, tmp_path / target, to)
    assert list(tmp_path.iterdir()) == []


def test_wrong_sources(tmp_path) -> None:
    with pytest.raises(VepeError, match="does not exist"):
        convert_annotations(tmp_path / "no", tmp_path / "out", "csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(VepeError, match="holds no"):
        convert_annotations(tmp_path / "empty", tmp_path / "out", "csv")
    table = tmp_path / "bad.csv"
    table.write_text("frame_index,track_id,nose_x,nose_y\n0,1,5,six\n")
    with pytest.raises(VepeError, match="row 2: nose_y is 'six'"):
        convert_annotations(table, tmp_path / "out", "mot")
    table.write_text("a,b\n1,2\n")
    with pytest.raises(VepeError, match="no column for frame_index"):
        convert_annotations(table, tmp_path / "out", "mot")
    boxes = tmp_path / "bad.txt"
    boxes.write_text("1,1,0,0,5,5\n2,1,0\n")
    with pytest.raises(VepeError, match="line 2"):
        convert_annotations(boxes, tmp_path / "out", "csv")
    for line in ("1,2.5,0,0,5,5", "1.5,2,0,0,5,5", "1,2,0,0,-5,5", "1,2,0,0,5,5,nan"):
        boxes.write_text(f"{line}\n")
        with pytest.raises(VepeError, match="line 1"):
            convert_annotations(boxes, tmp_path / "out", "csv")


def test_skeleton_without_posetrack_joints_is_refused(tmp_path) -> None:
    data = json.loads(NEW.read_text())
    data["categories"][0]["keypoints"] = [f"k{i}" for i in range(17)]
    (tmp_path / "other.json").write_text(json.dumps(data))
    with pytest.raises(VepeError, match="15 joints"):
        convert_annotations(tmp_path / "other.json", tmp_path / "out", "posetrack17")
    done = convert_annotations(tmp_path / "other.json", tmp_path / "o.csv", "csv")
    assert read_any(done.written[0])[0].skeleton.keypoints[16] == "k16"


@pytest.fixture
def predictions(results, tmp_path) -> Path:
    """Results over 4 of 5 frames, with ids that no submission may have."""
    frames = tuple(
        replace(f, people=tuple(replace(p, track_id=5000 + (p.track_id or 0)) for p in f.people))
        for f in results.frames[:4]
    )
    folder = tmp_path / "pred"
    write_posetrack18(folder / "000123_mpii_test.json", replace(results, frames=frames))
    return folder


@pytest.mark.parametrize("year", [2017, 2018])
@pytest.mark.parametrize("ending", ["", ".zip"])
def test_submission_takes_names_and_frames_of_the_ground_truth(
    year, ending, gt, predictions, tmp_path
) -> None:
    write = write_posetrack17 if year == 2017 else write_posetrack18
    write(tmp_path / "gt" / "000123_mpii_test.json", gt)
    target = tmp_path / f"submission{ending}"
    done = convert_annotations(predictions, target, "submission", like=tmp_path / "gt")
    assert any("Frames without a prediction, added empty: 1." in n for n in done.notes)
    assert any("renumbered" in n for n in done.notes)
    if ending:
        with zipfile.ZipFile(target) as archive:
            assert archive.namelist() == ["000123_mpii_test.json"]
            archive.extractall(tmp_path / "unpacked")
        target = tmp_path / "unpacked"
    sequence = read_sequence(target / "000123_mpii_test.json")
    assert sequence.format == f"posetrack{year - 2000}"
    assert [f.file_name for f in sequence.frames] == [f.file_name for f in gt.frames]
    assert [len(f.people) for f in sequence.frames] == [1, 2, 0, 4, 0]
    assert {p.track_id for f in sequence.frames for p in f.people} == {0, 1, 2, 3}
    if year == 2018:
        assert [f.image_id for f in sequence.frames] == [f.image_id for f in gt.frames]


def test_submission_needs_all_sequences(gt, results, tmp_path) -> None:
    with pytest.raises(VepeError, match="no sequence '000123_mpii_test'"):
        write_submission(tmp_path / "s", [replace(results, name="x")], [gt])
    with pytest.raises(VepeError, match="no sequence 'x'"):
        write_submission(tmp_path / "s", [results, replace(results, name="x")], [gt])
    other = replace(results, frames=tuple(replace(f, file_name="") for f in results.frames[:2]))
    with pytest.raises(VepeError, match="2 frames"):
        write_submission(tmp_path / "s", [other], [gt])


def test_missing_track_ids_are_filled_with_a_note(results, tmp_path) -> None:
    frames = tuple(
        replace(f, people=tuple(replace(p, track_id=None) for p in f.people))
        for f in results.frames
    )
    notes = write_submission(tmp_path / "s", [replace(results, frames=frames)])
    assert any("People without a track id" in n and n.endswith(": 12.") for n in notes)
    sequence = read_sequence(tmp_path / "s" / "000123_mpii_test.json")
    for frame in sequence.frames:
        assert [p.track_id for p in frame.people] == list(range(len(frame.people)))
