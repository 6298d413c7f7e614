"""Writing: times and sound come back as they went in, and the file is there whole or not at all."""

from __future__ import annotations

import errno
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from tiny_videos import (
    CORNERS,
    corner_image,
    grey_image,
    index_of,
    make_video,
    onset_s,
    read_sound,
)

from vepe.errors import VepeError
from vepe.video.reader import open_video
from vepe.video.writer import DEFAULT_TIME_BASE, VideoWriter

VFR_S = [0.0, 0.04, 0.08, 0.0951, 0.3, 1 / 3, 0.3343, 1.0, 1.00101, 1.5, 1.5333, 2.0, 2.16]


def write(path: Path, times_s: list[float], **options: object) -> VideoWriter:
    """A video of grey images at these times."""
    settings: dict[str, object] = {"width": 64, "height": 48, "fps": 10.0} | options
    with VideoWriter(path, **settings) as writer:  # type: ignore[arg-type]
        for i, time_s in enumerate(times_s):
            writer.write(grey_image(i, writer._size[0], writer._size[1]), time_s)
    return writer


def test_times_come_back_to_within_the_time_base(tmp_path: Path) -> None:
    writer = write(tmp_path / "a.mp4", VFR_S)
    frames = list(open_video(tmp_path / "a.mp4"))
    assert writer.frames_written == len(frames) == len(VFR_S)
    error = np.abs(np.array([f.time_s for f in frames]) - VFR_S)
    assert error.max() <= DEFAULT_TIME_BASE
    assert [index_of(f.image) for f in frames] == list(range(len(VFR_S)))


@pytest.mark.parametrize(
    "times_s",
    [
        VFR_S,
        [0.0, 0.1, 0.2, 0.9, 1.0, 1.9],
        [*(i / 25 for i in range(20)), 0.8, 1.3, 1.8, 2.3],  # slower and slower
        [0.0, 0.5, 1.0, 1.5, *(2 + i / 100 for i in range(20))],
        [0.3, 0.34, 1.7],
        [0.0],
    ],
)
def test_uneven_times_end_when_the_last_frame_does(tmp_path: Path, times_s: list[float]) -> None:
    write(tmp_path / "a.mp4", times_s, fps=25.0)
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        length_s = stream.duration * stream.time_base
    assert float(length_s) == pytest.approx(times_s[-1] + 1 / 25 - times_s[0], abs=1e-3)
    frames = list(open_video(tmp_path / "a.mp4"))
    assert [index_of(f.image) for f in frames] == list(range(len(times_s)))


@pytest.mark.parametrize("unit", [Fraction(1, 10_688), Fraction(1001, 24_000), Fraction(1, 1000)])
def test_time_base_of_the_source_keeps_times_exact(tmp_path: Path, unit: Fraction) -> None:
    times = [float(tick * unit) for tick in (0, 1, 2, 5, 11, 12, 40)]
    write(tmp_path / "a.mp4", times, time_base=unit)
    assert [f.time_s for f in open_video(tmp_path / "a.mp4")] == times


def test_times_that_do_not_increase_move_one_tick(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", [0.0, 0.1, 0.1, 0.05, 0.2])
    ticks = [f.time_s * 90_000 for f in open_video(tmp_path / "a.mp4")]
    np.testing.assert_allclose(ticks, [0, 9000, 9001, 9002, 18_000], atol=1e-6)


def test_start_becomes_time_zero(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", [12.0, 12.1, 12.3], start_s=12.0)
    times = [f.time_s for f in open_video(tmp_path / "a.mp4")]
    np.testing.assert_allclose(times, [0, 0.1, 0.3], atol=1e-9)


def test_file_is_h264_yuv420p_with_its_index_in_front_and_its_colours_right(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with VideoWriter(path, width=64, height=48, fps=25) as writer:
        for i in range(60):
            writer.write(corner_image(), i / 25)
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert stream.frames == 60
        assert float(stream.average_rate) == pytest.approx(25)
        assert stream.duration * stream.time_base == pytest.approx(60 / 25)
        keys = [p.pts for p in container.demux(stream) if p.size and p.is_keyframe]
        assert len(keys) == 2
    image = next(iter(open_video(path))).image
    for corner, (y, x) in zip(CORNERS, ((9, 9), (9, 54), (38, 9), (38, 54)), strict=True):
        assert np.abs(image[y, x].astype(int) - corner).max() <= 6


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 2), (63, 47), (64, 47), (2, 2)])
def test_odd_sizes_are_padded_with_their_edge(tmp_path: Path, width: int, height: int) -> None:
    write(tmp_path / "a.mp4", [0.0, 0.1, 0.2], width=width, height=height)
    with open_video(tmp_path / "a.mp4") as video:
        frames = list(video)
    assert (video.info.width, video.info.height) == (width + width % 2, height + height % 2)
    assert [index_of(f.image) for f in frames] == [0, 1, 2]
    assert np.ptp(frames[2].image.astype(int)) <= 6  # the padding has the image's grey


def test_one_frame_is_a_video(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", [0.0])
    assert len(list(open_video(tmp_path / "a.mp4"))) == 1


def test_non_contiguous_images_are_written_correctly(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", width=64, height=48, fps=10) as writer:
        writer.write(corner_image()[:, ::-1], 0.0)
    image = next(iter(open_video(tmp_path / "a.mp4"))).image
    assert np.abs(image[6, 6].astype(int) - CORNERS[1]).max() < 20


# ---- sound --------------------------------------------------------------------------------------

FRAMES = [grey_image(i % 24) for i in range(30)]  # 3 seconds at 10 fps


@pytest.mark.parametrize(
    ("suffix", "codec", "becomes"),
    [
        ("mp4", "aac", "aac"),
        ("ts", "aac", "aac"),  # its packets have another framing than MP4's
        ("mkv", "libmp3lame", "mp3"),
        ("mkv", "ac3", "ac3"),
        ("mkv", "flac", "flac"),
        ("mov", "pcm_s16le", "aac"),
        ("mkv", "mp2", "aac"),
    ],
)
@pytest.mark.parametrize(("start_s", "end_s"), [(0.0, None), (0.5, None), (0.7, 2.3)])
def test_audio_keeps_its_time_and_is_cut_to_the_span(
    tmp_path: Path, suffix: str, codec: str, becomes: str, start_s: float, end_s: float | None
) -> None:
    """The tone sets in at 1.5 s of the source; it must set in at 1.5 - start of the result."""
    source = make_video(
        tmp_path / f"in.{suffix}", FRAMES, audio_codec=codec, audio_s=3.0, silent_s=1.5
    )
    target = tmp_path / "out.mp4"
    with open_video(source, start_s=start_s, end_s=end_s) as video:
        assert video.info.has_audio
        with VideoWriter(
            target, width=64, height=48, fps=10, audio_from=video.info.path, start_s=start_s
        ) as writer:
            for frame in video:
                writer.write(frame.image, frame.time_s)
    assert writer.warning is None
    samples, rate, first_s, name = read_sound(target)
    assert name == becomes
    wanted_s = (end_s or 3.0) - start_s
    assert first_s + len(samples) / rate == pytest.approx(wanted_s, abs=0.1)
    assert onset_s(target) == pytest.approx(
        onset_s(source) - stream_start_s(source) - start_s, abs=0.03
    )
    times = [f.time_s for f in open_video(target)]
    assert len(times) == round(wanted_s * 10)
    np.testing.assert_allclose(times, np.arange(len(times)) / 10, atol=2e-5)


def stream_start_s(path: Path) -> float:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return float((stream.start_time or 0) * stream.time_base)


def test_audio_and_video_are_interleaved(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", FRAMES, audio_codec="aac", audio_s=3.0)
    write(tmp_path / "out.mp4", [i / 10 for i in range(24)], audio_from=source)
    with av.open(str(tmp_path / "out.mp4")) as container:
        kinds = [p.stream.type for p in container.demux() if p.size]
    last_video = len(kinds) - 1 - kinds[::-1].index("video")
    assert "audio" in kinds[: last_video // 2]


def test_source_without_audio_gives_none(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", FRAMES)
    write(tmp_path / "out.mp4", [0.0, 0.1], audio_from=source)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert not container.streams.audio


# ---- ends ---------------------------------------------------------------------------------------


def left_in(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))  # noqa: PTH208 (hidden files count)


def test_ctrl_c_leaves_a_playable_video(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", FRAMES, audio_codec="aac", audio_s=3.0)
    target = tmp_path / "out" / "a.mp4"

    def interrupted() -> None:
        with VideoWriter(target, width=64, height=48, fps=10, audio_from=source) as writer:
            for i in range(15):
                writer.write(grey_image(i), i / 10)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [index_of(f.image) for f in open_video(target)] == list(range(15))
    samples, rate, _, _ = read_sound(target)
    assert len(samples) / rate == pytest.approx(1.5, abs=0.1)
    assert left_in(tmp_path / "out") == ["a.mp4"]


def test_any_other_error_leaves_nothing_and_keeps_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("old")

    def failing() -> None:
        with VideoWriter(tmp_path / "a.mp4", width=64, height=48, fps=10) as writer:
            writer.write(grey_image(0), 0.0)
            assert len(left_in(tmp_path)) == 2
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    assert left_in(tmp_path) == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_text() == "old"


def test_finished_file_appears_only_on_close(tmp_path: Path) -> None:
    for keep in (True, False):
        path = tmp_path / f"{keep}.mp4"
        writer = VideoWriter(path, width=64, height=48, fps=10)
        writer.write(grey_image(0), 0.0)
        writer.finish()
        assert not path.exists()
        with pytest.raises(ValueError, match="closed"):
            writer.write(grey_image(1), 0.1)
        (writer.close if keep else writer.discard)()
    assert [p.name for p in tmp_path.iterdir()] == ["True.mp4"]
    assert len(list(open_video(tmp_path / "True.mp4"))) == 1


def test_close_and_discard_may_be_called_again(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "a.mp4", width=64, height=48, fps=10)
    writer.write(grey_image(1), 0.0)
    writer.close()
    content = (tmp_path / "a.mp4").read_bytes()
    writer.close()
    writer.discard()
    assert (tmp_path / "a.mp4").read_bytes() == content
    with pytest.raises(ValueError, match="closed"):
        writer.write(grey_image(1), 0.1)


def test_no_frame_makes_no_file(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", [])
    assert left_in(tmp_path) == []


def test_wrong_images_raise_value_error(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", width=64, height=48, fps=10) as writer:
        with pytest.raises(ValueError, match=r"expected uint8 \(48, 64, 3\)"):
            writer.write(grey_image(0, 48, 64), 0.0)
        with pytest.raises(ValueError, match="expected uint8"):
            writer.write(grey_image(0).astype(np.float32), 0.0)  # type: ignore[arg-type]


# ---- where nothing can be written ---------------------------------------------------------------


def test_missing_folders_are_created(tmp_path: Path) -> None:
    write(tmp_path / "x" / "y" / "a.mp4", [0.0])
    assert left_in(tmp_path / "x" / "y") == ["a.mp4"]


@pytest.mark.parametrize("place", ["file", "file/deeper"])
def test_output_folder_that_is_a_file_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("I am a file")
    with pytest.raises(VepeError, match="is a file, not a folder"):
        VideoWriter(tmp_path / place / "a.mp4", width=64, height=48, fps=10)


def test_output_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VepeError, match="is a folder; give the name of a video file"):
        VideoWriter(tmp_path, width=64, height=48, fps=10)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_folder_without_write_permission_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Simulated, since root may write everywhere."""

    def barred(path: Path) -> None:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr("vepe.video.writer.claim_file", barred)
    with pytest.raises(VepeError, match="may not be written to") as caught:
        VideoWriter(tmp_path / "a.mp4", width=64, height=48, fps=10)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(VepeError, match="may not be written to"):
        VideoWriter(tmp_path / "a.mp4", width=64, height=48, fps=10)


@pytest.mark.parametrize("when", ["writing", "closing"])
def test_full_disk_is_reported_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Simulated where the muxer is handed a packet; tried by hand on a full tmpfs as well."""

    class Full:
        """A container whose disk is full."""

        def __init__(self, real: av.container.OutputContainer) -> None:
            self._real = real

        def mux(self, packet: av.Packet) -> None:
            if when == "writing":
                raise av.error.OSError(errno.ENOSPC, "No space left on device")
            self._real.mux(packet)

        def close(self) -> None:
            self._real.close()
            raise av.error.OSError(errno.ENOSPC, "No space left on device")

    def fill() -> None:
        with VideoWriter(tmp_path / "a.mp4", width=64, height=48, fps=10) as writer:
            monkeypatch.setattr(writer, "_container", Full(writer._container))
            for i in range(200):
                writer.write(grey_image(i % 24), i / 10)
            assert when == "closing"

    with pytest.raises(VepeError, match="The disk is full") as caught:
        fill()
    assert str(tmp_path) in str(caught.value)
    assert left_in(tmp_path) == []


def test_writing_over_its_own_source_is_refused(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", FRAMES)
    with pytest.raises(VepeError, match="would replace the video it is made from"):
        VideoWriter(source, width=64, height=48, fps=10, audio_from=source)


def test_audio_from_a_missing_file_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(VepeError, match="no file or folder"):
        VideoWriter(
            tmp_path / "a.mp4", width=64, height=48, fps=10, audio_from=tmp_path / "none.mp4"
        )
    assert left_in(tmp_path) == []


def test_real_clip_survives_the_round_trip(shared_dir: Path, tmp_path: Path) -> None:
    clip = shared_dir / "data" / "demo" / "store_aisle.mp4"
    if not clip.exists():
        pytest.skip("the clip is not here")
    with open_video(clip, end_s=1.5) as video:
        frames = list(video)
        info = video.info
    with VideoWriter(
        tmp_path / "a.mp4",
        width=info.width,
        height=info.height,
        fps=info.fps,
        audio_from=clip,
        time_base=video.time_base,
    ) as writer:
        for frame in frames:
            writer.write(frame.image, frame.time_s)
    again = list(open_video(tmp_path / "a.mp4"))
    assert [f.time_s for f in again] == [f.time_s for f in frames]
    worst = max(
        np.abs(a.image.astype(int) - b.image).mean() for a, b in zip(frames, again, strict=True)
    )
    assert worst < 4


def test_disk_that_is_full_at_the_end_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    (tmp_path / ".a.mp4.vepe-part").write_bytes(b"left by a killed process")
    writer = VideoWriter(path, width=64, height=48, fps=10)
    writer.write(np.zeros((48, 64, 3), np.uint8), 0.0)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(VepeError, match="disk is full"):
        writer.close()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
