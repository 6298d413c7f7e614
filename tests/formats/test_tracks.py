"""Results of `vepe track` and `vepe predict`, in the layouts that the documentation promises."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from usable_formats import readable_results
from vepe.errors import VepeError
from vepe.formats.coco_writer import ResultImage, write_coco_results
from vepe.formats.detect import read_any
from vepe.formats.posetrack import read_sequence
from vepe.formats.posetrack18 import SLOTS_2018
from vepe.formats.tracks import sequence_from_tracks, write_tracks
from vepe.skeleton import COCO17, POSETRACK15
from vepe.types import NO_TRACK, FramePoses, PoseTracks


def test_posetrack_layout(tracks: PoseTracks, tmp_path) -> None:
    path = write_tracks("posetrack", tmp_path / "walk", tracks)
    assert path == tmp_path / "walk.json"
    data = json.loads(path.read_text())
    assert [i["frame_id"] for i in data["images"]] == [0, 2, 4]
    assert data["images"][1]["file_name"] == "walk/000002.jpg"
    assert data["images"][2]["time_s"] == pytest.approx(4 / 30, abs=1e-6)
    (category,) = data["categories"]
    assert category["name"] == "person"
    assert category["keypoints"] == list(SLOTS_2018)
    assert len(data["annotations"]) == 5
    ids = {image["id"] for image in data["images"]}
    for record, (poses, i) in zip(
        data["annotations"], [(f, i) for f in tracks.frames for i in range(len(f))], strict=True
    ):
        assert record["image_id"] in ids
        assert record["track_id"] == poses.track_ids[i]
        table = np.reshape(record["keypoints"], (17, 3))
        assert not table[[3, 4]].any()
        np.testing.assert_allclose(
            np.delete(table, [3, 4], 0)[:, :2], poses.keypoints_px[i], atol=6e-4
        )
        assert (np.delete(table, [3, 4], 0)[:, 2] == 1).all()
        assert len(record["scores"]) == 17
        assert record["scores"][3:5] == [0, 0]
        assert record["score"] == pytest.approx(float(poses.scores[i]), abs=1e-6)
        low, high = poses.keypoints_px[i].min(0), poses.keypoints_px[i].max(0)
        np.testing.assert_allclose(record["bbox"], [*low, *(high - low)], atol=2e-3)


@pytest.mark.parametrize("name", ["posetrack", "csv", "parquet"])
def test_tracks_round_trip(name, tracks: PoseTracks, tmp_path) -> None:
    (sequence,) = read_any(write_tracks(name, tmp_path / "walk", tracks))
    assert sequence.skeleton == tracks.skeleton
    for frame, poses in zip(sequence.frames, tracks.frames, strict=True):
        assert frame.index == poses.frame_index
        assert frame.time_s == pytest.approx(poses.time_s, abs=1e-6)
        assert (frame.width, frame.height) == (640, 480)
        assert [p.track_id for p in frame.people] == poses.track_ids.tolist()
        for i, person in enumerate(frame.people):
            assert person.present.all()
            np.testing.assert_allclose(person.keypoints_px, poses.keypoints_px[i], atol=6e-4)
            np.testing.assert_allclose(person.keypoint_scores, poses.keypoint_scores[i], atol=1e-6)
            assert person.score == pytest.approx(float(poses.scores[i]), abs=1e-6)


def test_coco_tracks_are_results(tracks: PoseTracks, tmp_path) -> None:
    path = write_tracks("coco", tmp_path / "walk", tracks)
    assert path.name == "walk.coco.json"
    (sequence,) = read_any(path)
    assert sequence.format == "coco"
    assert [f.index for f in sequence.frames] == [0, 2, 4]
    for frame, poses in zip(sequence.frames, tracks.frames, strict=True):
        assert [p.track_id for p in frame.people] == poses.track_ids.tolist()
        for person, scores in zip(frame.people, poses.keypoint_scores, strict=True):
            np.testing.assert_allclose(person.keypoint_scores, scores, atol=1e-6)
            assert person.present.all()


def test_predict_layout(tracks: PoseTracks, tmp_path) -> None:
    poses = replace(tracks.frames[0], track_ids=np.full(2, NO_TRACK))
    path = tmp_path / "out.json"
    write_coco_results(path, POSETRACK15, [(ResultImage("a.jpg", 64, 48), poses)])
    data = json.loads(path.read_text())
    assert set(data) == {"categories", "images", "annotations"}
    assert data["images"] == [{"id": 1, "file_name": "a.jpg", "width": 64, "height": 48}]
    assert data["categories"][0]["keypoints"] == list(POSETRACK15.keypoints)
    for i, record in enumerate(data["annotations"]):
        assert set(record) == {"image_id", "category_id", "keypoints", "score"}
        table = np.reshape(record["keypoints"], (15, 3))
        np.testing.assert_allclose(table[:, :2], poses.keypoints_px[i], atol=6e-4)
        np.testing.assert_allclose(table[:, 2], poses.keypoint_scores[i], atol=1e-6)


def test_other_skeletons_keep_their_names(rng, tracks: PoseTracks, tmp_path) -> None:
    frame = FramePoses(
        frame_index=0,
        time_s=0.0,
        keypoints_px=rng.uniform(0, 99, (1, 17, 2)),
        keypoint_scores=rng.random((1, 17)),
        scores=np.ones(1),
        track_ids=np.array([3]),
    )
    other = PoseTracks(tracks.video, COCO17, (frame,))
    for name in readable_results():
        if name == "openpose":
            continue
        (sequence,) = read_any(write_tracks(name, tmp_path / "x", other))
        assert sequence.skeleton == COCO17, name
        person = sequence.frames[0].people[0]
        np.testing.assert_allclose(person.keypoints_px, frame.keypoints_px[0], atol=6e-4)
        assert person.track_id == 3
        assert person.present.all()


def test_people_without_a_track_are_minus_one(tracks: PoseTracks, tmp_path) -> None:
    frame = replace(tracks.frames[0], track_ids=np.array([NO_TRACK, 7]))
    path = write_tracks("posetrack", tmp_path / "a", replace(tracks, frames=(frame,)))
    assert [a["track_id"] for a in json.loads(path.read_text())["annotations"]] == [-1, 7]
    assert [p.track_id for p in read_sequence(path).frames[0].people] == [None, 7]


def test_posetrack_folders_get_posetrack_ids(tracks: PoseTracks) -> None:
    names = tuple(f"images/val/000123_mpii_test/{i:06d}.jpg" for i in range(3))
    from vepe.formats.posetrack18_writer import posetrack18_document

    document = posetrack18_document(sequence_from_tracks(replace(tracks, file_names=names)))
    assert [i["id"] for i in document["images"]] == [10001230000, 10001230001, 10001230002]
    assert document["annotations"][1]["id"] == 1000123000001


def test_nothing_is_half_written(tracks: PoseTracks, tmp_path) -> None:
    target = tmp_path / "a.json"
    target.write_text("old")
    broken = replace(tracks.frames[0], scores=np.array([np.nan, 1.0]))
    with pytest.raises(VepeError, match="NaN"):
        write_tracks("posetrack", tmp_path / "a", replace(tracks, frames=(broken,)))
    assert target.read_text() == "old"
    assert [f.name for f in tmp_path.iterdir()] == ["a.json"]


def test_file_in_the_way_is_named(tracks: PoseTracks, tmp_path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(VepeError, match="cannot be written"):
        write_tracks("csv", tmp_path / "file" / "a", tracks)
    (tmp_path / "a_openpose").mkdir()
    (tmp_path / "a_openpose" / "notes.txt").write_text("mine")
    with pytest.raises(VepeError, match=r"other files \(notes.txt\)"):
        write_tracks("openpose", tmp_path / "a", tracks)
    assert (tmp_path / "a_openpose" / "notes.txt").read_text() == "mine"


def test_unknown_format_and_missing_pyarrow(tracks: PoseTracks, tmp_path, monkeypatch) -> None:
    with pytest.raises(VepeError, match="choose one of posetrack, coco, csv"):
        write_tracks("xml", tmp_path / "a", tracks)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(VepeError, match=r"pip install '\.\[parquet\]'"):
        write_tracks("parquet", tmp_path / "a", tracks)
