"""What the arguments of `vepe track` name."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from vepe.errors import VepeError
from vepe.video.reader import open_video
from vepe.video.sources import list_sources, refuse_single_images, result_name, unique_names
from vepe.video.web_page import is_page, media_address


def files(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith((".png", ".jpg")):
            Image.new("RGB", (8, 8)).save(folder / name)
        else:
            (folder / name).write_bytes(b"x")
    return folder


def listed(*arguments: object) -> list[str]:
    return [Path(s.source).name for s in list_sources([str(a) for a in arguments]).sources]


def test_a_folder_of_videos_is_a_batch_in_natural_order(tmp_path: Path) -> None:
    files(tmp_path, "clip10.mp4", "clip2.MOV", ".hidden.mp4", "notes.md")
    assert listed(tmp_path) == ["clip2.MOV", "clip10.mp4"]
    assert list_sources([str(tmp_path)]).several


def test_a_folder_of_frames_is_one_video(tmp_path: Path) -> None:
    files(tmp_path, "a/0.jpg", "a/1.jpg")
    result = list_sources([str(tmp_path / "a")])
    assert [(s.source, s.name) for s in result.sources] == [(str(tmp_path / "a"), "a")]
    assert not result.several


@pytest.mark.parametrize(
    ("names", "taken", "says"),
    [
        (
            ["a.mp4", "b.mp4", "cover.jpg"],
            ["a.mp4", "b.mp4"],
            "2 videos are tracked; 1 image is left out: to track it, use a folder of images",
        ),
        (
            ["0.jpg", "1.jpg", "preview.mp4"],
            ["mixed"],
            "2 images are tracked as one video; 1 video is left out: to track it, use a",
        ),
    ],
)
def test_a_mixed_folder_says_what_it_took(names, taken, says, tmp_path: Path) -> None:
    folder = files(tmp_path / "mixed", *names)
    assert listed(folder) == taken
    (note,) = list_sources([str(folder)]).notes
    assert says in note


def test_patterns_lists_and_repeats(tmp_path: Path, monkeypatch) -> None:
    files(tmp_path, "clips/b.mp4", "clips/a.mp4", "clips/readme", "frames/x/0.png", "one.mov")
    (tmp_path / "list.txt").write_text("# mine\nclips/*.mp4\n\none.mov\nrtsp://camera/1\n")
    monkeypatch.chdir(tmp_path)
    assert listed("clips/*") == ["a.mp4", "b.mp4"]
    assert "1 file without the ending of a video" in list_sources(["clips/*"]).notes[0]
    assert listed("list.txt") == ["a.mp4", "b.mp4", "one.mov", "1"]
    assert listed("one.mov", "./one.mov", tmp_path / "one.mov") == ["one.mov"]
    assert listed("frames/*", "0", "missing.mp4") == ["x", "0", "missing.mp4"]


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("nosuch*.mp4", "No video matches 'nosuch*.mp4'"),
        ("*.png", "matches images; give their folder"),
        ("list.txt", "Line 1 of 'list.txt' names no video"),
        ("binary.txt", "'binary.txt' is no list of videos"),
        ("empty.txt", "'empty.txt' names no video"),
    ],
)
def test_what_names_no_video(argument: str, says: str, tmp_path: Path, monkeypatch) -> None:
    files(tmp_path, "a.png")
    (tmp_path / "list.txt").write_text("a\x1b[0m.mp4\n")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty.txt").write_text("\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VepeError) as caught:
        list_sources([argument])
    assert says in str(caught.value)


def test_stdin_is_alone() -> None:
    assert [(s.source, s.name) for s in list_sources(["-"]).sources] == [("-", "stdin")]
    with pytest.raises(VepeError, match="give it alone"):
        list_sources(["-", "a.mp4"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["a.png"], "vepe predict 'a.png' -o a.json"), (["a.png", "b.png"], "and 1 more are images")],
)
def test_single_images_are_for_predict(arguments, says, tmp_path: Path, monkeypatch) -> None:
    files(tmp_path, "a.png", "b.png", "c.mp4")
    monkeypatch.chdir(tmp_path)
    refuse_single_images(["c.mp4", "nosuch.png"])
    with pytest.raises(VepeError) as caught:
        refuse_single_images(arguments)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("a/my.clip.mp4", "my.clip"),
        ("0", "camera0"),
        ("-", "stdin"),
        ("screen", "screen"),
        ("rtsp://host:554/live/front door.sdp", "front_door"),
        ("rtsp://host:554", "host_554"),
        ("rtsp://user:secret@host/v1", "v1"),
        ("https://host/v.mp4?a=1/2", "v"),
        ("rtsp://host/..", "video"),
        ("https://www.youtube.com/watch?v=Ab-1x&t=3", "youtube_Ab-1x"),
        ("https://youtu.be/Ab-1x?si=x", "youtube_Ab-1x"),
        ("https://vimeo.com/1234", "vimeo_1234"),
    ],
)
def test_result_names(source: str, name: str) -> None:
    assert result_name(source) == name


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (["a/run.mp4", "b/run.mp4"], ["a_run", "b_run"]),
        (["run.mp4", "run.mov"], ["run_mp4", "run_mov"]),
        (["x/a/run.mp4", "y/a/run.mp4", "z.mp4"], ["x_a_run", "y_a_run", "z"]),
        (["a/Run.mp4", "b/run.MP4"], ["a_Run", "b_run"]),
        (["a/run.mp4", "b/run.mp4", "a_run.mp4"], ["a_run", "b_run", "a_run-2"]),
        (["a/run.mp4", "a/run.mov", "b/run.mp4"], ["a_run_mp4", "a_run_mov", "b_run_mp4"]),
        (["https://h/v.mp4?1", "https://h/v.mp4?2"], ["v", "v-2"]),
    ],
)
def test_two_sources_of_one_name_get_different_results(sources, names) -> None:
    assert unique_names(sources) == names


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("https://www.youtube.com/watch?v=1", True),
        ("https://m.youtube.com/watch?v=1", True),
        ("https://youtu.be/1", True),
        ("https://notyoutube.com/1", False),
        ("rtsp://youtube.com/1", False),
        ("https://host/youtube.com.mp4", False),
    ],
)
def test_pages(url: str, page: bool) -> None:
    assert is_page(url) == page


def fake_yt_dlp(found: object) -> SimpleNamespace:
    """Stands for the package: `found` is what it extracts, or its error."""

    class DownloadError(Exception):
        pass

    class YoutubeDL:
        def __init__(self, options: dict) -> None:
            assert options["noplaylist"]

        def __enter__(self) -> YoutubeDL:
            return self

        def __exit__(self, *_: object) -> None: ...

        def extract_info(self, url: str, *, download: bool) -> object:
            if isinstance(found, str):
                raise DownloadError(found)
            return found

    return SimpleNamespace(YoutubeDL=YoutubeDL, utils=SimpleNamespace(DownloadError=DownloadError))


@pytest.mark.parametrize(
    ("package", "says"),
    [
        (None, r"needs the package yt-dlp; install it with pip install '\.\[youtube\]'"),
        (fake_yt_dlp("\x1b[0;31mERROR:\x1b[0m [youtube] 1: Private.\nmore"), "Private"),
        (fake_yt_dlp({"entries": []}), "is no page of one video"),
    ],
)
def test_pages_without_a_video(package, says: str, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "yt_dlp", package)
    with pytest.raises(VepeError, match=says):
        media_address("https://youtu.be/1")


def test_the_video_of_a_page(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "yt_dlp", fake_yt_dlp({"url": "https://host/v.mp4"}))
    assert media_address("https://youtu.be/1") == "https://host/v.mp4"


def test_the_screen_without_a_display(monkeypatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(VepeError, match=r"no X display to capture|cannot capture"):
        open_video("screen")
    monkeypatch.setattr(sys, "platform", "sunos5")
    with pytest.raises(VepeError, match="cannot capture the screen here"):
        open_video("screen")
