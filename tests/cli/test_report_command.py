"""`vepe report`: a page in one file, with thumbnails from the video or on black."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tiny_models import moving_frames, write_video
from vepe.cli import app as cli
from vepe.formats.tracks import write_tracks
from vepe.results.quality_page import NUM_THUMBNAILS, frames_to_show
from vepe.skeleton import COCO17
from vepe.types import NO_TRACK, FramePoses, PoseTracks, VideoInfo

SIZE = (160, 120)


def jumping(num_frames: int = 12) -> PoseTracks:
    """One person, who is elsewhere from frame 6 on."""
    shape = np.random.default_rng(4).uniform(20, 60, (17, 2))
    frames = [
        FramePoses(
            i, i / 25, (shape + (40 if i >= 6 else 0))[None], np.full((1, 17), 0.9), np.ones(1),
            np.array([1]),
        )
        for i in range(num_frames)
    ]  # fmt: skip
    return PoseTracks(VideoInfo("clip.mp4", *SIZE, 25.0), COCO17, tuple(frames))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    write_video(folder / "clip.mp4", moving_frames(12, *SIZE))
    tracks = jumping()
    write_tracks("posetrack", folder / "clip", tracks)
    write_tracks("csv", folder / "clip", tracks)
    nobody = tuple(FramePoses.empty(i, i / 25, 17) for i in range(3))
    write_tracks("posetrack", folder / "nobody", replace(tracks, frames=nobody))
    no_ids = [replace(frame, track_ids=np.array([NO_TRACK])) for frame in tracks.frames]
    write_tracks("posetrack", folder / "no_ids", replace(tracks, frames=tuple(no_ids)))
    return folder


def report(*words: object) -> int:
    return cli.run(["report", *(str(word) for word in words)])


def thumbnails(page: str) -> list[np.ndarray]:
    encoded = re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", page)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))) for text in encoded]


def test_page_with_thumbnails(place: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "page.html"
    assert report(place / "clip.json", place / "clip.mp4", "-o", out) == 0
    assert capsys.readouterr().out == f"12 frames, 1 track, 1 to look at: {out}\n"
    page = out.read_text()
    assert "--split 1@0.240s" in page
    assert page.count("<svg") == 4
    assert "<script" not in page
    assert "http" not in page
    (image,) = thumbnails(page)
    assert image.mean() > 60


@pytest.mark.parametrize("words", [("clip.json", "--no-video"), ("clip.csv",)])
def test_without_a_video_thumbnails_are_black(
    place: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    out = tmp_path / "page.html"
    assert report(place / words[0], *words[1:], "-o", out) == 0
    (image,) = thumbnails(out.read_text())
    assert np.median(image) < 12
    assert image.max() > 120


@pytest.mark.parametrize(
    ("poses", "text"), [("nobody", "Nobody was detected"), ("no_ids", "Nobody has a track id")]
)
def test_pages_of_nobody(place: Path, tmp_path: Path, poses: str, text: str) -> None:
    out = tmp_path / "page.html"
    assert report(place / f"{poses}.json", "-o", out) == 0
    assert text in out.read_text()


def test_frames_to_show_differ() -> None:
    from vepe.measures.quality import Finding

    findings = [Finding("gap", i, i / 10, (i % 2,), 1 - i / 1000, "") for i in range(200)]
    chosen = frames_to_show(findings)
    assert len(chosen) == NUM_THUMBNAILS
    of_one = sorted(f.time_s for f in chosen if f.track_ids == (0,))
    assert (np.diff(of_one) >= 0.5 - 1e-9).all()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["clip.json", "-o", "x.pdf"], "written as HTML; name 'x.html'"),
        (["clip.json", "clip.mp4", "--no-video"], "contradict"),
        (["nowhere.json"], "does not exist"),
        (["clip.json", "nowhere.mp4"], "nowhere.mp4"),
        (["clip.json", "-o", "nobody.html", "--sequence", "x"], "no sequence 'x'"),
    ],
)
def test_errors_are_one_sentence(
    place: Path, words: list[str], message: str, capsys, monkeypatch
) -> None:
    monkeypatch.chdir(place)
    before = sorted(place.iterdir())
    assert report(*words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(place.iterdir()) == before
