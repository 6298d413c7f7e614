"""`vepe draw`: a video of saved poses, from any format that holds poses; errors before any work."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from tiny_models import moving_frames, write_video
from vepe.cli import app as cli
from vepe.formats.tracks import write_tracks
from vepe.skeleton import COCO17
from vepe.types import FramePoses, PoseTracks, VideoInfo

SIZE = (160, 120)


def walking(num_frames: int = 10, stride: int = 1) -> PoseTracks:
    """Two people, ids 1 and 2, who walk to the right."""
    rng = np.random.default_rng(4)
    shape = rng.uniform(20, 90, (2, 17, 2)) * (0.4, 1.0)
    frames = []
    for i in range(0, num_frames, stride):
        points = shape + np.array([[[i, 0]], [[70 + i, 0]]])
        frames.append(
            FramePoses(i, i / 25, points, np.full((2, 17), 0.9), np.ones(2), np.array([1, 2]))
        )
    return PoseTracks(VideoInfo("clip.mp4", *SIZE, 25.0), COCO17, tuple(frames))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a video and its poses in all formats."""
    folder = tmp_path_factory.mktemp("place")
    write_video(folder / "clip.mp4", moving_frames(12, *SIZE))
    for name in ("posetrack", "coco", "csv", "parquet", "openpose", "mot"):
        write_tracks(name, folder / "clip", walking())
    write_tracks("posetrack", folder / "strided", walking(10, 3))
    return folder


def draw(*words: object) -> int:
    return cli.run(["draw", *(str(word) for word in words)])


def images(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


@pytest.mark.parametrize(
    "poses", ["clip.json", "clip.coco.json", "clip.csv", "clip.parquet", "clip_openpose"]
)
def test_every_format_of_poses(place: Path, tmp_path: Path, poses: str, capsys) -> None:
    out = tmp_path / "drawn.mp4"
    assert draw(place / poses, place / "clip.mp4", "-o", out) == 0
    drawn, plain = images(out), images(place / "clip.mp4")[:10]
    assert drawn.shape == plain.shape
    assert (np.abs(drawn.astype(int) - plain) > 60).any(axis=-1).mean() > 0.04
    assert capsys.readouterr().out == f"10 frames: {out}\n"


def test_without_a_video_on_black(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "black.mp4"
    assert draw(place / "clip.json", "-o", out, "--no-ids") == 0
    drawn = images(out)
    assert drawn.shape == (10, SIZE[1], SIZE[0], 3)
    assert (drawn[:, :, :4] < 12).all()
    assert (drawn > 100).any()


def test_options_reach_the_drawing(place: Path, tmp_path: Path) -> None:
    both, one = tmp_path / "both.mp4", tmp_path / "one.mp4"
    assert draw(place / "clip.json", "-o", both, "--side-by-side") == 0
    assert images(both).shape[2] == 2 * SIZE[0]
    assert draw(place / "clip.json", "-o", one, "--only-ids", "2", "--names", "2=Ben") == 0
    first = images(one)[0]
    assert (first[:, :70] < 12).all(), "the other person is not drawn"


def test_only_tracked_frames_of_a_stride_are_written(place: Path, tmp_path: Path) -> None:
    assert draw(place / "strided.json", place / "clip.mp4", "-o", tmp_path / "s.mp4") == 0
    assert len(images(tmp_path / "s.mp4")) == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.json"], "nowhere.json does not exist"),
        (["clip.json", "nowhere.mp4"], "nowhere.mp4"),
        (["clip.mot.txt"], "no keypoints"),
        (["clip.json", "-o", "out.avi"], "Videos are written as MP4"),
        (["clip.json", "-o", "clip.mp4"], "already there; add --overwrite"),
        (["clip.json", "clip.mp4", "-o", "clip.mp4", "--overwrite"], "replace"),
        (["clip.json", "--background", "white"], "choose from image, blur, black"),
        (["clip.json", "--hide", "heads"], "choose from none, faces, people"),
        (["clip.json", "--only-ids", "1,x"], "'x' is none"),
        (["clip.json", "--names", "Anna"], "1=Anna; 'Anna' is none"),
        (["clip.json", "--trail", "-1"], "0 to 3600 seconds"),
        (["clip.json", "--line-width", "nan"], "line width is nan"),
        (["clip.json", "--sequence", "other"], "no sequence 'other'"),
    ],
)
def test_errors_are_one_sentence(
    place: Path, tmp_path: Path, words: list[str], message: str, capsys, monkeypatch
) -> None:
    monkeypatch.chdir(place)
    before = sorted(place.iterdir())
    assert draw(*words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("vepe: ")
    assert error.count("\n") == 1
    assert sorted(place.iterdir()) == before, "nothing is left behind"
