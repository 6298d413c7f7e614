"""`vepe edit`: ids after each kind of edit, the log, and sentences for what cannot be done."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vepe.cli import app as cli
from vepe.errors import VepeError
from vepe.formats.tracks import read_tracks, write_tracks
from vepe.results.editing import Edit, apply_edits
from vepe.skeleton import COCO17
from vepe.types import FramePoses, PoseTracks, VideoInfo

# Who is in which frame, ten frames a second: 1 always, 2 up to 0.4 s, 3 from 0.6 s on.
IDS = [(1, 2)] * 5 + [(1,)] + [(1, 3)] * 4


def tracks() -> PoseTracks:
    """People whose position says who they are: the first at x = 100, the other at x = 200."""
    frames = []
    for i, ids in enumerate(IDS):
        points = np.ones((len(ids), 17, 2)) * np.array([100.0, 200.0])[: len(ids), None, None]
        scores = np.full((len(ids), 17), 0.9)
        frames.append(FramePoses(i, i / 10, points, scores, np.ones(len(ids)), np.array(ids)))
    return PoseTracks(VideoInfo("a.mp4", 320, 240, 10.0), COCO17, tuple(frames))


def ids_of(edited: PoseTracks) -> list[tuple[int, ...]]:
    return [tuple(frame.track_ids.tolist()) for frame in edited.frames]


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ([("merge", "3:2")], [(1, 2)] * 5 + [(1,)] + [(1, 2)] * 4),
        ([("merge", "2,3:9")], None),  # 9 does not occur
        ([("drop", "2")], [(1,)] * 6 + [(1, 3)] * 4),
        ([("drop", "1,3")], [(2,)] * 5 + [()] * 5),
        ([("split", "1@0.5s")], [(1, 2)] * 5 + [(4,)] + [(4, 3)] * 4),
        ([("split", "1@0.5=9")], [(1, 2)] * 5 + [(9,)] + [(9, 3)] * 4),
        ([("swap", "1,2@0.3s")], [(1, 2)] * 3 + [(2, 1)] * 2 + [(2,)] + [(2, 3)] * 4),
        ([("swap", "1, 3 @ 0")], [(3, 2)] * 5 + [(3,)] + [(3, 1)] * 4),
        # Splits come before merges and drops, whatever the order on the command line.
        ([("drop", "9"), ("merge", "3:1"), ("split", "1@0.5=9")],
         [(1, 2)] * 5 + [()] + [(1,)] * 4),
        # Two swaps are done in the order of their times.
        ([("swap", "1,2@0.4"), ("swap", "1,2@0.2")],
         [(1, 2)] * 2 + [(2, 1)] * 2 + [(1, 2)] + [(1,)] + [(1, 3)] * 4),
    ],
)  # fmt: skip
def test_edits(edits: list[tuple], expected: list[tuple[int, ...]] | None) -> None:
    parsed = [Edit.parse(kind, text) for kind, text in edits]
    if expected is None:
        with pytest.raises(VepeError, match="no track 9"):
            apply_edits(tracks(), parsed)
        return
    edited = apply_edits(tracks(), parsed)
    assert ids_of(edited) == expected
    assert ids_of(tracks()) == IDS
    assert len(edited.info["edits"]) == len(edits)
    for frame in edited.frames:
        assert len(set(frame.track_ids.tolist())) == len(frame)


def test_people_keep_their_poses() -> None:
    edited = apply_edits(tracks(), [Edit.parse("drop", "1")])
    assert (edited.person(3).keypoints_px == 200).all()
    swapped = apply_edits(tracks(), [Edit.parse("swap", "1,2@0.2")])
    assert swapped.person(2).keypoints_px[:, 0, 0].tolist()[:4] == [200, 200, 100, 100]


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("merge", "3", "--merge takes 3:2"),
        ("merge", "2:2", "names an id twice"),
        ("merge", "2:1", "both in the frame at 0.00 s"),
        ("merge", "7:1", "no track 7"),
        ("split", "1", "--split takes 5@12.4s"),
        ("split", "2@0.7", "not seen from 0.7 s on; it ends at 0.40 s"),
        ("split", "1@0.5=3", "3 is the id of another"),
        ("swap", "1@2", "--swap takes 1,2@3.0s"),
        ("swap", "1,1@2", "names an id twice"),
        ("swap", "1,2@9", "not seen from 9 s on"),
        ("drop", "x", "--drop takes 7"),
        ("drop", "-1", "--drop takes 7"),
        ("drop", "9" * 30, "--drop takes 7"),
        ("split", "1@1e9", "--split takes"),
    ],
)
def test_what_cannot_be_done(kind, text: str, message: str) -> None:
    with pytest.raises(VepeError, match=message):
        apply_edits(tracks(), [Edit.parse(kind, text)])


def edit(*words: object) -> int:
    return cli.run(["edit", *(str(word) for word in words)])


def test_command_writes_a_new_file_with_a_log(tmp_path: Path, capsys) -> None:
    source = write_tracks("posetrack", tmp_path / "a", tracks())
    before = source.read_bytes()
    assert edit(source, "--merge", "3:2", "--split", "1@0.5s") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "split 1@0.5s: 5 frames, new id 4"
    assert out[1] == "merge 3:2: 4 frames"
    assert out[2] == f"3 tracks: {tmp_path / 'a_edited.json'}"
    document = json.loads((tmp_path / "a_edited.json").read_text())
    assert [record["edit"] for record in document["info"]["edits"]] == ["split 1@0.5s", "merge 3:2"]
    assert source.read_bytes() == before
    assert edit(tmp_path / "a_edited.json", "--drop", "4", "-o", tmp_path / "b.csv") == 0
    (again,) = read_tracks(tmp_path / "b.csv")
    assert again.track_ids() == [1, 2]
    assert edit(tmp_path / "a_edited.json", "--drop", "4", "-o", tmp_path / "c.json") == 0
    document = json.loads((tmp_path / "c.json").read_text())
    assert [record["edit"] for record in document["info"]["edits"]] == [
        "split 1@0.5s", "merge 3:2", "drop 4",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.json"], "nothing to do"),
        (["a.json", "--drop", "9"], "no track 9"),
        (["a.json", "--drop", "1", "-o", "a.json", "--overwrite"], "replace"),
        (["a.json", "--drop", "1", "-o", "b.xyz"], "names no format"),
        (["b.json", "--drop", "1"], "does not exist"),
    ],
)
def test_errors_leave_nothing(tmp_path: Path, words, message: str, capsys, monkeypatch) -> None:
    write_tracks("posetrack", tmp_path / "a", tracks())
    monkeypatch.chdir(tmp_path)
    assert edit(*words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
