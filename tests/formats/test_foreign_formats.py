"""Formats of other tools: HDF5 (SLEAP's analysis layout), Label Studio, .slp and .nwb, rerun."""

from __future__ import annotations

import json
import sys
import types
import xml.etree.ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vepe.cli.app import run
from vepe.errors import VepeError
from vepe.formats.conversion import convert_annotations, left_behind
from vepe.formats.detect import read_any
from vepe.formats.hdf5 import read_hdf5, write_hdf5
from vepe.formats.label_studio import label_config, read_label_studio, write_label_studio
from vepe.formats.rerun import write_rerun
from vepe.formats.sleap import labels_of, read_slp, write_nwb, write_slp
from vepe.formats.tracks import sequence_from_tracks
from vepe.skeleton import COCO17, POSETRACK15

NOT_IN_HDF5 = (
    "visibility", "file_name", "image_id", "is_labeled", "width", "height", "box_xywh_px",
    "head_box_xyxy_px", "ignore_regions_px",
)  # fmt: skip
NOT_IN_LABEL_STUDIO = ("visibility", "image_id", "head_box_xyxy_px", "ignore_regions_px")


def in_order_of_ids(sequence):
    """HDF5 has people in the order of their tracks."""
    frames = (
        replace(f, people=tuple(sorted(f.people, key=lambda p: p.track_id)))
        for f in sequence.frames
    )
    return replace(sequence, frames=tuple(frames))


@pytest.mark.parametrize("scored", [False, True])
def test_hdf5_round_trip(scored, make, same, rng, tmp_path) -> None:
    pytest.importorskip("h5py")
    before = make(rng, scored=scored)
    before = replace(before, frames=tuple(replace(f, time_s=f.index / 25) for f in before.frames))
    path = write_hdf5(tmp_path / "x.h5", before)
    (after,) = read_any(path)
    same(in_order_of_ids(before), after, without=NOT_IN_HDF5, atol=1e-12)
    assert after.skeleton.edges == POSETRACK15.edges


def test_hdf5_layout_is_that_of_sleap(tracks, tmp_path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(write_hdf5(tmp_path / "x.h5", sequence_from_tracks(tracks))) as file:
        assert file["tracks"].shape == (3, 2, 15, 3)
        assert file["track_occupancy"].shape == (3, 3)
        assert file["node_names"][0] == b"nose"
        assert file["track_names"][2] == b"track_2"
        person = int(np.flatnonzero(tracks.frames[2].track_ids == 1)[0])
        pose = tracks.frames[2].keypoints_px[person]
        np.testing.assert_allclose(file["tracks"][1, :, :, 2].T, pose, atol=1e-3)


def _broken_h5(h5py: Any, path: Path, **datasets: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, value in datasets.items():
            file[name] = value
    return path


def test_broken_hdf5_is_one_sentence(tmp_path) -> None:
    h5py = pytest.importorskip("h5py")
    (tmp_path / "text.h5").write_text("no")
    with h5py.File(tmp_path / "huge.h5", "w") as file:
        file.create_dataset("tracks", (10**6, 2, 100, 100), "f4", chunks=(1, 2, 100, 100))
    nodes = np.array([b"a", b"b"])
    paths = {
        tmp_path / "text.h5": "not an HDF5 file",
        tmp_path / "none.h5": "does not exist",
        tmp_path / "huge.h5": "too many",
        _broken_h5(h5py, tmp_path / "other.h5", x=1): "no dataset 'tracks'",
        _broken_h5(h5py, tmp_path / "flat.h5", tracks=np.zeros(3)): "no dataset 'tracks'",
        _broken_h5(h5py, tmp_path / "nodes.h5", tracks=np.zeros((1, 2, 2, 3))): "node_names",
        _broken_h5(
            h5py, tmp_path / "few.h5", tracks=np.zeros((1, 2, 3, 3)), node_names=nodes
        ): "2 node_names for 3 keypoints",
        _broken_h5(
            h5py,
            tmp_path / "shape.h5",
            tracks=np.zeros((1, 2, 2, 3)),
            node_names=nodes,
            point_scores=np.zeros((1, 2, 9)),
        ): "'point_scores' has the shape",
    }
    for path, message in paths.items():
        with pytest.raises(VepeError, match=message):
            read_hdf5(path)


def test_people_without_track_id_are_noted(make, rng) -> None:
    sequence = make(rng)
    first = sequence.frames[0]
    people = (replace(first.people[0], track_id=None),)
    sequence = replace(sequence, frames=(replace(first, people=people), *sequence.frames[1:]))
    assert any("people without track id: 1 left" in n for n in left_behind([sequence], "hdf5"))
    assert not any("without track id" in n for n in left_behind([sequence], "csv"))


@pytest.mark.parametrize("scored", [False, True])
def test_label_studio_round_trip(scored, make, same, rng, tmp_path) -> None:
    before = make(rng, scored=scored)
    path = write_label_studio(tmp_path / "x.json", before)
    (after,) = read_any(path)
    same(before, after, without=(*NOT_IN_LABEL_STUDIO, "is_labeled"), atol=1e-9)
    for a, b in zip(before.frames, after.frames, strict=True):
        assert b.is_labeled == (bool(a.people) if scored else a.is_labeled)
        for p, q in zip(a.people, b.people, strict=True):
            hidden = p.present & (p.visibility == 0)
            assert (hidden == (q.visibility == 1)).all()
    side = "predictions" if scored else "annotations"
    task = next(t for t in json.loads(path.read_text()) if t.get(side))
    assert task["data"]["image"].startswith("/data/local-files/?d=images/val/000123")


def test_label_studio_export_of_others(tmp_path) -> None:
    """Points joined to rectangles by relations, or by nothing; percent of the image."""

    def region(kind: str, own: str, **value: Any) -> dict[str, Any]:
        size = {"original_width": 200, "original_height": 100}
        return {"id": own, "type": kind, "value": value, **size}

    tasks = [
        {
            "id": 7,
            "data": {"image": "/data/upload/1/a.jpg"},
            "annotations": [
                {
                    "result": [
                        region("rectanglelabels", "r", x=10, y=10, width=50, height=50,
                               rectanglelabels=["person"]),
                        region("keypointlabels", "k", x=50, y=50, keypointlabels=["paw"]),
                        region("keypointlabels", "m", x=5, y=5, keypointlabels=["tail"]),
                        {"type": "relation", "from_id": "r", "to_id": "k"},
                    ]
                }
            ],
        },
        {"id": 8, "data": {"image": "b.jpg"}, "annotations": []},
    ]  # fmt: skip
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    (sequence,) = read_any(tmp_path / "export.json")
    assert sequence.skeleton.keypoints == ("paw", "tail")
    first, second = sequence.frames
    assert [f.is_labeled for f in (first, second)] == [True, False]
    assert first.file_name == "/data/upload/1/a.jpg"
    assert first.people[0].keypoints_px.tolist() == [[100, 50], [0, 0]]
    assert first.people[0].box_xywh_px is not None
    assert first.people[0].box_xywh_px.tolist() == [20, 10, 100, 50]
    assert first.people[1].keypoints_px.tolist() == [[0, 0], [10, 5]]
    for path, value in (
        (("value", "x"), "a"),
        (("original_width",), None),
        (("value", "keypointlabels"), []),
    ):
        broken = json.loads(json.dumps(tasks))
        place = broken[0]["annotations"][0]["result"][1]
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        (tmp_path / "broken.json").write_text(json.dumps(broken))
        with pytest.raises(VepeError, match=r"broken\.json, task 0"):
            read_label_studio(tmp_path / "broken.json")


def test_label_studio_needs_the_size_of_images(make, rng, tmp_path) -> None:
    sequence = make(rng)
    frames = tuple(replace(f, width=None) for f in sequence.frames)
    with pytest.raises(VepeError, match="the size of the image is unknown"):
        write_label_studio(tmp_path / "x.json", replace(sequence, frames=frames))


def test_label_config_names_all_keypoints() -> None:
    root = xml.etree.ElementTree.fromstring(label_config(COCO17))
    labels = [e.get("value") for e in root.iter("Label")]
    assert labels == ["person", *COCO17.keypoints]


@pytest.mark.parametrize("scored", [False, True])
def test_slp_round_trip(scored, make, same, rng, tmp_path) -> None:
    pytest.importorskip("sleap_io", reason="extra sleap")
    before = make(rng, scored=scored)
    path = write_slp(tmp_path / "x.slp", before)
    assert [p.name for p in tmp_path.iterdir()] == ["x.slp"]
    (after,) = read_any(path)
    frames = tuple(f for f in before.frames if f.people)
    without = (*NOT_IN_HDF5, "time_s", "score")  # single precision
    same(replace(before, frames=frames), after, without=without, atol=1e-9)
    assert after.skeleton.edges == POSETRACK15.edges
    for a, b in zip(frames, after.frames, strict=True):
        assert [p.score for p in b.people] == [
            None if p.score is None else pytest.approx(p.score, abs=1e-6) for p in a.people
        ]
    assert len(labels_of(before).tracks) == 5
    (tmp_path / "bad.slp").write_text("no")
    with pytest.raises(VepeError, match="cannot be read by sleap-io"):
        read_slp(tmp_path / "bad.slp")


def test_nwb_holds_the_poses_at_their_times(make, rng, tmp_path) -> None:
    pynwb = pytest.importorskip("pynwb", reason="extra sleap")
    pytest.importorskip("sleap_io", reason="extra sleap")
    sequence = make(rng, scored=True)
    frames = tuple(replace(f, time_s=0.1 * f.index) for f in sequence.frames)
    path = write_nwb(tmp_path / "x.nwb", replace(sequence, frames=frames))
    person = frames[4].people[3]
    k = int(np.flatnonzero(person.present)[0])
    with pynwb.NWBHDF5IO(str(path), "r") as io:
        modules = io.read().processing
        module = next(modules[name] for name in modules if name.startswith("SLEAP"))
        series = module[f"track=track_{person.track_id}"][POSETRACK15.keypoints[k]]
        np.testing.assert_allclose(series.data[-1], person.keypoints_px[k], atol=1e-3)
        np.testing.assert_allclose(series.confidence[-1], person.keypoint_scores[k], atol=1e-6)


class FakeRerun(types.ModuleType):
    """Stands in for rerun-sdk (a wheel of 170 MB): notes what is logged."""

    def __init__(self) -> None:
        super().__init__("rerun")
        self.logged: list[tuple[str, Any]] = []
        self.times: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: types.SimpleNamespace(
            kind=name, args=args, **{k: v for k, v in kwargs.items() if k != "kind"}
        )

    def log(self, entity: str, value: Any, **_: Any) -> None:
        self.logged.append((entity, value))

    def set_time(self, timeline: str, recording: Any = None, **value: Any) -> None:
        self.times.append((timeline, value))

    def RecordingStream(self, *_: Any, **__: Any) -> Any:  # noqa: N802
        def save(path: str) -> None:
            Path(path).write_bytes(b"RRF2")

        return types.SimpleNamespace(save=save, flush=lambda: None, disconnect=lambda: None)


def test_rerun_logs_every_person(tracks, tmp_path, monkeypatch) -> None:
    fake = FakeRerun()
    monkeypatch.setitem(sys.modules, "rerun", fake)
    path = write_rerun(tmp_path / "x.rrd", tracks)
    assert path.read_bytes() == b"RRF2"
    names = [name for name, value in fake.logged if value.kind == "Points2D"]
    expected = [f"image/people/id_{i}/keypoints" for f in tracks.frames for i in f.track_ids]
    assert names == expected
    times = [value["duration"] for name, value in fake.times if name == "time"]
    assert times == [f.time_s for f in tracks.frames]
    context = fake.logged[0][1].args[0]
    assert len(context.keypoint_annotations) == 15
    assert context.keypoint_connections == list(POSETRACK15.edges)


def test_rerun_recording_holds_the_poses(tracks, tmp_path) -> None:
    pytest.importorskip("rerun", reason="extra rerun")
    path = write_rerun(tmp_path / "x.rrd", tracks)
    assert path.read_bytes()[:3] == b"RRF"
    assert path.stat().st_size > 2000


@pytest.mark.parametrize(
    ("ending", "module", "extra"),
    [("h5", "h5py", "hdf5"), ("slp", "sleap_io", "sleap"), ("rrd", "rerun", "rerun")],
)
def test_missing_packages_are_one_sentence(
    ending, module, extra, make, rng, tmp_path, monkeypatch, capsys
) -> None:
    from vepe.formats.table import write_csv

    monkeypatch.setitem(sys.modules, module, None)
    source = write_csv(tmp_path / "a.csv", make(rng))
    assert run(["convert", str(source), str(tmp_path / f"x.{ending}")]) == 2
    assert f"'.[{extra}]'" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]


GOLDEN = Path(__file__).parent / "data" / "pt18_000902_mpii_test.json"


@pytest.mark.parametrize(
    ("target", "to", "written"),
    [
        ("a.csv", None, ["a.csv"]),
        ("a.json", None, ["a.json"]),
        ("a.coco.json", None, ["a.coco.json"]),
        ("a.mot.txt", None, ["a.mot.txt"]),
        ("a.hdf5", None, ["a.hdf5"]),
        ("a.parquet", "Parquet", ["a.parquet"]),
        ("out", "csv,coco", ["out/annotations.json", "out/pt18_000902_mpii_test.csv"]),
        ("out", " json , mot", ["out/pt18_000902_mpii_test.json", "out/pt18_000902_mpii_test.txt"]),
    ],
)
def test_formats_by_ending_and_several_at_once(target, to, written, tmp_path) -> None:
    for package in ("h5py", "pyarrow"):
        pytest.importorskip(package)
    done = convert_annotations(GOLDEN, tmp_path / target, to)
    assert sorted(str(p.relative_to(tmp_path)) for p in done.written) == written
    assert all(read_any(path)[0].people_count() == 45 for path in done.written)


@pytest.mark.parametrize(
    ("target", "to", "message"),
    [
        ("a.xyz", None, "names no format; add --to with one of json, posetrack17"),
        ("a", "csv,nope", "'nope' is unknown"),
        ("a", "posetrack17,posetrack18", "Two of the formats write"),
        ("a.csv", "csv,coco", "is a file, but several formats"),
        ("a", "csv,submission", "A submission is made alone"),
    ],
)
def test_wrong_targets(target, to, message, tmp_path) -> None:
    with pytest.raises(VepeError, match=message):
        convert_annotations(GOLDEN, tmp_path / target, to)
    assert list(tmp_path.iterdir()) == []


def test_json_of_another_skeleton_is_coco(make, rng, tmp_path) -> None:
    from vepe.formats.table import write_csv

    sequence = replace(make(rng), skeleton=replace(POSETRACK15, name="own",
        keypoints=tuple(f"k{i}" for i in range(15))))  # fmt: skip
    source = write_csv(tmp_path / "own.csv", sequence)
    done = convert_annotations(source, tmp_path / "own.json")
    assert read_any(done.written[0])[0].format == "coco"


def test_a_folder_of_results_in_several_formats_is_read_once(tracks, tmp_path) -> None:
    from vepe.formats.tracks import write_tracks

    for name in ("posetrack", "coco", "csv", "mot"):
        write_tracks(name, tmp_path / "walk", tracks)
    with pytest.warns(UserWarning, match=r"left out, .*: walk.coco.json, walk.csv, walk.mot.txt"):
        (sequence,) = read_any(tmp_path)
    assert sequence.name == "walk"
    assert read_any(tmp_path / "walk.csv")[0].people_count() == 5
