"""The spool, and its results: the same as the formats' writers make of the whole video."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from vepe.errors import VepeError
from vepe.formats.posetrack18 import read_posetrack18
from vepe.formats.posetrack18_writer import write_posetrack18
from vepe.formats.tracks import sequence_from_tracks
from vepe.inference.spool import PoseSpool, result_paths, write_results
from vepe.skeleton import COCO17, POSETRACK15, Skeleton
from vepe.types import FramePoses, VideoInfo

VIDEO = VideoInfo("clip.mp4", 64, 48, 25.0)


def some_frames(rng: np.random.Generator, k: int = 15) -> list[FramePoses]:
    frames = []
    for t, people in enumerate((2, 0, 3, 1)):
        frames.append(
            FramePoses(
                frame_index=2 * t,
                time_s=t / 12.5,
                keypoints_px=rng.normal(30, 20, (people, k, 2)).astype(np.float32),
                keypoint_scores=rng.random((people, k)).astype(np.float32),
                scores=rng.random(people).astype(np.float32),
                track_ids=np.arange(1, people + 1),
            )
        )
    return frames


def filled(
    folder: Path, frames: list[FramePoses], names: list[str], skeleton: Skeleton
) -> PoseSpool:
    spool = PoseSpool(folder, VIDEO, skeleton)
    for poses, name in zip(frames, names, strict=True):
        spool.append(poses, name)
    return spool


def test_frames_can_be_read_repeatedly(tmp_path: Path, rng) -> None:
    frames = some_frames(rng)
    names = [f"clip/{t:06d}.jpg" for t in range(4)]
    with filled(tmp_path / "new", frames, names, POSETRACK15) as spool:
        assert (spool.frames, spool.people, spool.track_ids) == (4, 6, 3)
        for _ in range(2):
            for (poses, name), expected, expected_name in zip(
                spool.read(), frames, names, strict=True
            ):
                assert name == expected_name
                assert poses.keypoints_px.shape == expected.keypoints_px.shape
                np.testing.assert_array_equal(poses.keypoints_px, expected.keypoints_px)
                np.testing.assert_array_equal(poses.track_ids, expected.track_ids)
        assert (
            list((tmp_path / "new").iterdir()) == []
        )  # the file has no name, so nothing is left behind


@pytest.mark.parametrize("skeleton", [POSETRACK15, COCO17])
@pytest.mark.parametrize(
    "folder", ["clip", "000522_mpii_test"], ids=["plain names", "PoseTrack's names"]
)
def test_posetrack_equals_the_writer_of_formats(tmp_path, rng, skeleton, folder) -> None:
    frames = some_frames(rng, len(skeleton))
    names = [f"{folder}/{t:06d}.jpg" for t in (0, 2, 4, 6)]
    with filled(tmp_path, frames, names, skeleton) as spool:
        (path,) = write_results(spool, tmp_path / "mine", ("posetrack",))
        whole = write_posetrack18(tmp_path / "whole.json", sequence_from_tracks(spool.tracks()))
    spooled, expected = json.loads(path.read_text()), json.loads(whole.read_text())
    assert spooled.keys() == expected.keys()
    assert spooled["categories"] == expected["categories"]
    assert spooled["images"] == expected["images"]
    assert len(spooled["annotations"]) == 6
    without_id = [
        [{k: v for k, v in a.items() if k != "id"} for a in d["annotations"]]
        for d in (spooled, expected)
    ]
    assert without_id[0] == without_id[1]
    ids = [a["id"] for a in spooled["annotations"]]
    assert len(set(ids)) == len(ids)


def test_posetrack_reads_back(tmp_path: Path, rng) -> None:
    frames = some_frames(rng)
    with filled(tmp_path, frames, [f"clip/{t:06d}.jpg" for t in range(4)], POSETRACK15) as spool:
        (path,) = write_results(spool, tmp_path / "clip.v2", ("posetrack",))
    assert path.name == "clip.v2.json"
    document = json.loads(path.read_text())
    assert [i["time_s"] for i in document["images"]] == [0.0, 0.08, 0.16, 0.24]
    assert [i["frame_id"] for i in document["images"]] == [0, 2, 4, 6]
    assert len(document["annotations"][0]["keypoints"]) == 3 * 17
    assert len(document["annotations"][0]["scores"]) == 17
    assert {"image_id", "track_id", "score", "bbox"} <= document["annotations"][0].keys()
    (sequence,) = read_posetrack18(path)
    assert [len(f.people) for f in sequence.frames] == [2, 0, 3, 1]
    first = sequence.frames[0].people[0]
    np.testing.assert_allclose(first.keypoints_px, frames[0].keypoints_px[0], atol=5e-4)


def test_all_formats(tmp_path: Path, rng) -> None:
    frames = some_frames(rng)
    formats = ("posetrack", "coco", "csv", "mot")
    with filled(tmp_path, frames, [f"clip/{t:06d}.jpg" for t in range(4)], POSETRACK15) as spool:
        written = write_results(spool, tmp_path / "clip", formats)
    assert written == result_paths(tmp_path / "clip", formats)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "clip.coco.json", "clip.csv", "clip.json", "clip.mot.txt",
    ]  # fmt: skip
    assert len((tmp_path / "clip.mot.txt").read_text().splitlines()) == 6
    with pytest.raises(VepeError, match="no format 'txt'; choose from posetrack"):
        result_paths(tmp_path, ("txt",))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_sentence(tmp_path: Path, rng) -> None:
    spool = PoseSpool(tmp_path, VIDEO, POSETRACK15)
    spool._file.close()
    spool._file = open("/dev/full", "w+b")  # noqa: SIM115, PTH123
    spool.append(some_frames(rng)[0], "clip/0.jpg")  # stays in a buffer
    with spool, pytest.raises(VepeError, match="no space left on device"):
        next(spool.read())


@pytest.mark.skipif(os.name == "nt", reason="POSIX paths")
def test_a_folder_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VepeError, match="cannot be written to"):
        PoseSpool(tmp_path / "file" / "sub", VIDEO, POSETRACK15)
