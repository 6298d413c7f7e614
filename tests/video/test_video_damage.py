"""Damaged files and files that are no video: what is left is read, the rest is said."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from tiny_videos import grey_picture, make_audio, make_video

from vepe.errors import VepeError
from vepe.video.reader import open_video


def noisy(n: int, rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(n)]


@pytest.mark.parametrize(
    ("suffix", "muxer"),
    [("mp4", {"movflags": "+faststart"}), ("mkv", {}), ("avi", {})],
)
@pytest.mark.parametrize("seek_s", [0.0, 0.4])
def test_truncated_video_gives_what_is_left_and_says_so(
    tmp_path: Path, rng: np.random.Generator, suffix: str, muxer: dict[str, str], seek_s: float
) -> None:
    path = make_video(
        tmp_path / f"cut.{suffix}", noisy(20, rng), muxer=muxer, options={"g": "4", "bf": "0"}
    )
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with open_video(path, start_s=seek_s) as video:
        frames = list(video)
    assert 3 <= len(frames) < 16
    assert video.warning is not None
    count = frames[-1].index + 1
    assert f"after {count} frames" in video.warning
    assert path.name in video.warning
    with open_video(path, end_s=0.2) as early:  # a span before the cut has nothing to complain of
        assert 1 <= len(list(early)) <= 2
    assert early.warning is None


def test_damage_midway_stops_there(tmp_path: Path, rng: np.random.Generator) -> None:
    path = make_video(tmp_path / "bad.avi", noisy(20, rng), codec="ffv1", pix_fmt="bgr0")
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    start, size = places[9]
    data[start + 8 : start + 8 + size] = b"\xff" * size
    path.write_bytes(data)
    with open_video(path) as video:
        frames = list(video)
    assert [f.index for f in frames][:9] == list(range(9))
    assert len(frames) < 20
    assert video.warning is not None
    assert f"after {len(frames)} frames" in video.warning


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("text.mp4", b"This is no video.\n" * 99, "is not a video"),
        ("zero.mp4", b"", "is empty (0 bytes)"),
        ("noise.mkv", bytes(range(256)) * 64, "is not a video"),
        ("notes.txt", b"A terminal would show this.\n" * 99, "is a text file, not a video"),
        ("photo.jpg", b"not a photo", "is not a picture"),
        ("empty.png", b"", "is empty (0 bytes)"),
    ],
)
def test_no_video_is_refused_in_one_sentence(
    tmp_path: Path, name: str, content: bytes, says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(VepeError) as caught:
        open_video(path)
    text = str(caught.value)
    assert says in text
    assert name in text
    assert "\n" not in text
    assert capfd.readouterr() == ("", "")  # libav has not written its own


def test_missing_file_and_no_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VepeError, match=r"no file or folder .*nowhere.mp4"):
        open_video(tmp_path / "nowhere.mp4")
    with pytest.raises(VepeError, match="No video is named"):
        open_video("")


def test_video_cut_off_before_its_index_is_refused(tmp_path: Path) -> None:
    path = make_video(tmp_path / "cut.mp4", [grey_picture(i) for i in range(24)])
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(VepeError, match="not a video, or is damaged or cut off"):
        open_video(path)


def test_video_of_which_nothing_can_be_decoded_is_refused(tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "bad.mp4", [grey_picture(i) for i in range(4)], muxer={"movflags": "+faststart"}
    )
    data = path.read_bytes()
    start = data.index(b"mdat") + 4
    path.write_bytes(data[:start] + b"\x00" * (len(data) - start))
    with pytest.raises(VepeError, match=r"No frame of .*bad.mp4' can be decoded"):
        open_video(path)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.m4a", "aac"), ("a.mp3", "mp3"), ("a.wav", "pcm_s16le")]
)
def test_sound_alone_is_refused(tmp_path: Path, name: str, codec: str) -> None:
    path = make_audio(tmp_path / name, codec)
    with pytest.raises(VepeError, match=r"has no video stream \(only audio\)"):
        open_video(path)


def test_the_cover_picture_of_music_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    make_video(path, [grey_picture(3)], codec="png", pix_fmt="rgb24", audio_codec="aac", audio_s=1)
    with av.open(str(path)) as source, av.open(str(tmp_path / "cover.mp4"), "w") as target:
        picture, sound = source.streams.video[0], source.streams.audio[0]
        copies = {s.index: target.add_stream_from_template(s) for s in (picture, sound)}
        copies[picture.index].disposition = av.stream.Disposition.attached_pic
        for packet in source.demux(picture, sound):
            if packet.size:
                packet.stream = copies[packet.stream.index]
                target.mux(packet)
    with pytest.raises(VepeError, match=r"has no video stream \(only audio\)"):
        open_video(tmp_path / "cover.mp4")
