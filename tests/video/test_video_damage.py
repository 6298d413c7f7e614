"""Damaged files are read as far as possible and reported; files that are not video are refused."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from tiny_videos import grey_image, make_audio, make_video

from vepe.errors import VepeError
from vepe.video.reader import open_video


def noisy(n: int, rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(n)]


@pytest.mark.parametrize(
    ("suffix", "muxer"),
    [("mp4", {"movflags": "+faststart"}), ("mkv", {}), ("avi", {})],
)
@pytest.mark.parametrize("seek_s", [0.0, 0.4])
def test_truncated_video_gives_the_rest_with_a_warning(
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
    assert video.incomplete
    with open_video(path, end_s=0.2) as early:  # a span before the cut is complete
        assert 1 <= len(list(early)) <= 2
    assert early.warning is None
    assert not early.incomplete


def test_reading_continues_behind_damage(tmp_path: Path, rng: np.random.Generator) -> None:
    path = make_video(tmp_path / "bad.avi", noisy(20, rng), codec="ffv1", pix_fmt="bgr0")
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    start, size = places[9]
    data[start + 16 : start + size - 16] = b"\xff" * (size - 32)
    path.write_bytes(data)
    with open_video(path) as video:
        frames = list(video)
    times = [round(f.time_s, 3) for f in frames]
    assert times == [i / 10 for i in range(20) if i != 9]
    assert video.incomplete
    assert video.warning is not None
    assert "1 of its frames could not be decoded" in video.warning


def test_damaged_packet_headers_are_passed_over(tmp_path: Path, rng: np.random.Generator) -> None:
    """Five packets are overwritten with their headers: the demuxer has to find the next one."""
    path = make_video(tmp_path / "bad.avi", noisy(20, rng), codec="mjpeg", pix_fmt="yuvj420p")
    with av.open(str(path)) as container:
        offsets = [p.pos for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    data[offsets[9] - 4 : offsets[14] - 4] = rng.bytes(offsets[14] - offsets[9])
    path.write_bytes(data)
    with open_video(path) as video:
        frames = list(video)
    assert 14 <= len(frames) < 20
    assert video.incomplete
    assert video.warning is not None


@pytest.mark.parametrize("chunk", [b"acTL", b"IHDR"])
def test_animated_png_is_read_behind_damage(
    tmp_path: Path, rng: np.random.Generator, chunk: bytes
) -> None:
    """A wrong checksum of a chunk ends Pillow's reading, but not libav's."""
    path = tmp_path / "a.png"
    images = [Image.fromarray(image) for image in noisy(6, rng)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=80)
    data = bytearray(path.read_bytes())
    at = data.index(chunk)
    end = at + 4 + int.from_bytes(data[at - 4 : at], "big")
    data[end] ^= 0xFF
    path.write_bytes(data)
    with open_video(path) as video:
        frames = list(video)
    assert len(frames) >= 5
    assert video.incomplete
    assert video.warning is not None
    assert "is damaged" in video.warning


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("text.mp4", b"This is no video.\n" * 99, "is not a video"),
        ("zero.mp4", b"", "is empty (0 bytes)"),
        ("noise.mkv", bytes(range(256)) * 64, "is not a video"),
        ("notes.txt", b"A terminal would show this.\n" * 99, "is a text file, not a video"),
        ("photo.jpg", b"not a photo", "is not an image"),
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


def test_missing_file_and_empty_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VepeError, match=r"no file or folder .*nowhere.mp4"):
        open_video(tmp_path / "nowhere.mp4")
    with pytest.raises(VepeError, match="No video is named"):
        open_video("")


def test_video_cut_off_before_its_index_is_refused(tmp_path: Path) -> None:
    path = make_video(tmp_path / "cut.mp4", [grey_image(i) for i in range(24)])
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(VepeError, match="not a video, or is damaged or cut off"):
        open_video(path)


def test_undecodable_video_is_refused(tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "bad.mp4", [grey_image(i) for i in range(4)], muxer={"movflags": "+faststart"}
    )
    data = path.read_bytes()
    start = data.index(b"mdat") + 4
    path.write_bytes(data[:start] + b"\x00" * (len(data) - start))
    with pytest.raises(VepeError, match=r"No frame of .*bad.mp4' can be decoded"):
        open_video(path)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.m4a", "aac"), ("a.mp3", "mp3"), ("a.wav", "pcm_s16le")]
)
def test_audio_only_is_refused(tmp_path: Path, name: str, codec: str) -> None:
    path = make_audio(tmp_path / name, codec)
    with pytest.raises(VepeError, match=r"has no video stream \(only audio\)"):
        open_video(path)


def test_cover_image_of_music_is_not_a_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    make_video(path, [grey_image(3)], codec="png", pix_fmt="rgb24", audio_codec="aac", audio_s=1)
    with av.open(str(path)) as source, av.open(str(tmp_path / "cover.mp4"), "w") as target:
        image, sound = source.streams.video[0], source.streams.audio[0]
        copies = {s.index: target.add_stream_from_template(s) for s in (image, sound)}
        copies[image.index].disposition = av.stream.Disposition.attached_pic
        for packet in source.demux(image, sound):
            if packet.size:
                packet.stream = copies[packet.stream.index]
                target.mux(packet)
    with pytest.raises(VepeError, match=r"has no video stream \(only audio\)"):
        open_video(tmp_path / "cover.mp4")
