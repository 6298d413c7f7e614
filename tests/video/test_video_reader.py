"""Reading: exact times, upright frames with square pixels, spans, and errors on bad input."""

from __future__ import annotations

import resource
import weakref
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
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
)

from vepe.errors import VepeError
from vepe.video.decoding import Decoding, first_tick
from vepe.video.reader import open_video
from vepe.video.source import Clock, Span
from vepe.video.upright import _TO_BT709, _linear_table

N = 24
VFR_MS = [0, 40, 80, 95, 300, 333, 334, 1000, 1001, 1500, 1533, 1577, 2000, 2100, 2150, 2160]


def greys(n: int = N) -> list[np.ndarray]:
    return [grey_image(i) for i in range(n)]


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_times_of_a_variable_frame_rate_are_exact(tmp_path: Path, suffix: str) -> None:
    path = make_video(tmp_path / f"vfr.{suffix}", greys(len(VFR_MS)), times_ms=VFR_MS)
    with open_video(path) as video:
        frames = list(video)
    assert [f.time_s for f in frames] == [ms / 1000 for ms in VFR_MS]
    assert [index_of(f.image) for f in frames] == list(range(len(VFR_MS)))
    assert [f.index for f in frames] == list(range(len(VFR_MS)))
    assert video.warning is None


def test_stream_that_starts_late_counts_from_zero(tmp_path: Path) -> None:
    path = make_video(tmp_path / "late.ts", greys(5), times_ms=[5000, 5100, 5200, 5350, 5400])
    with av.open(str(path)) as container:
        assert container.streams.video[0].start_time > 90_000  # else the test tests nothing
    times = [f.time_s for f in open_video(path)]
    np.testing.assert_allclose(times, [0, 0.1, 0.2, 0.35, 0.4], atol=1 / 90_000)
    assert times[0] == 0


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts"])
@pytest.mark.parametrize(
    ("start_s", "end_s", "stride"),
    [
        (0.0, None, 1),
        (0.0, None, 5),
        (0.3, None, 1),  # on a frame
        (0.31, 0.95, 1),
        (1.2, None, 3),
        (1.75, 1.81, 1),  # a single frame
        (2.3, None, 1),  # the last frame
    ],
)
def test_span_is_a_part_of_the_whole(
    tmp_path: Path, suffix: str, start_s: float, end_s: float | None, stride: int
) -> None:
    options = {"g": "7", "bf": "0" if suffix == "avi" else "3"}
    path = make_video(tmp_path / f"a.{suffix}", greys(), options=options)
    whole = list(open_video(path))
    assert len(whole) == N
    expected = [
        f
        for f in whole
        if f.time_s >= start_s and (end_s is None or f.time_s < end_s) and f.index % stride == 0
    ]
    with open_video(path, start_s=start_s, end_s=end_s, stride=stride) as video:
        part = list(video)
    assert [(f.index, f.time_s) for f in part] == [(f.index, f.time_s) for f in expected]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(part, expected, strict=True))
    assert video.warning is None
    # An estimate where the container does not count its frames, or starts a frame late.
    assert video.info.frame_count == pytest.approx(len(part), abs=0 if suffix == "mp4" else 1)


def test_seeking_decodes_from_the_key_frame_before_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_video(tmp_path / "a.mp4", greys(), options={"g": "6", "sc_threshold": "0"})
    decoded = []
    frames = Decoding.frames

    def counted(self: Decoding) -> Iterator[av.VideoFrame]:
        for frame in frames(self):
            decoded.append(frame.pts)
            yield frame

    monkeypatch.setattr(Decoding, "frames", counted)
    video = open_video(path, start_s=2.0)
    decoded.clear()  # opening decodes the first frame
    assert [f.index for f in video] == [20, 21, 22, 23]
    assert len(decoded) == 6  # the key frame is frame 18


@pytest.mark.parametrize(
    ("rotation", "order"),
    [
        ((0, False, False), (0, 1, 2, 3)),
        ((90, False, False), (1, 3, 0, 2)),
        ((180, False, False), (3, 2, 1, 0)),
        ((-90, False, False), (2, 0, 3, 1)),
        ((0, True, False), (1, 0, 3, 2)),
        ((0, False, True), (2, 3, 0, 1)),
        ((90, True, False), (3, 1, 2, 0)),
        ((-90, True, False), (0, 2, 1, 3)),
    ],
)
def test_rotated_phone_video_comes_upright(
    tmp_path: Path, rotation: tuple[float, bool, bool], order: tuple[int, ...]
) -> None:
    """`order`: which stored corner is shown upper left, upper right, lower left, lower right."""
    path = make_video(tmp_path / "phone.mp4", [corner_image(64, 48)] * 2, rotation=rotation)
    with open_video(path) as video:
        image = next(iter(video)).image
    upright = (48, 64) if rotation[0] in (90, -90) else (64, 48)
    assert (video.info.width, video.info.height) == upright
    assert image.shape == (upright[1], upright[0], 3)
    colours = [image[y, x] for y in (6, -7) for x in (6, -7)]
    for colour, corner in zip(colours, order, strict=True):
        assert np.abs(colour.astype(int) - CORNERS[corner]).max() < 40
    assert image.flags.c_contiguous


@pytest.mark.parametrize(
    ("width", "height", "codec", "pix_fmt", "suffix"),
    [
        (1, 1, "ffv1", "bgr0", "mkv"),
        (1, 1, "libx264", "yuv444p", "mp4"),
        (63, 47, "libx264", "yuv444p", "mp4"),
        (33, 21, "mjpeg", "yuvj420p", "avi"),
        (641, 3, "ffv1", "bgr0", "mkv"),
    ],
)
@pytest.mark.parametrize("frames", [1, 3])
def test_odd_and_smallest_sizes(
    tmp_path: Path, width: int, height: int, codec: str, pix_fmt: str, suffix: str, frames: int
) -> None:
    images = [grey_image(3 * i, width, height) for i in range(frames)]
    path = make_video(tmp_path / f"odd.{suffix}", images, codec=codec, pix_fmt=pix_fmt)
    with open_video(path) as video:
        read = list(video)
    assert (video.info.width, video.info.height) == (width, height)
    assert [index_of(f.image) for f in read] == [3 * i for i in range(frames)]
    assert all(f.image.shape == (height, width, 3) for f in read)
    assert all(f.image.dtype == np.uint8 for f in read)


def test_can_be_read_again_until_closed(tmp_path: Path) -> None:
    video = open_video(make_video(tmp_path / "a.mp4", greys(6)))
    assert [f.index for f in video] == [f.index for f in video] == list(range(6))
    begun = iter(video)
    next(begun)
    video.close()
    video.close()
    assert list(begun) == []


def test_memory_stays_constant(tmp_path: Path) -> None:
    """400 frames of 0.9 MB: none is held, and the process does not grow with them."""
    image = grey_image(3, 640, 480)
    path = make_video(
        tmp_path / "long.mp4", [image] * 400, options={"preset": "ultrafast", "g": "50"}
    )
    alive: list[weakref.ref[np.ndarray]] = []
    peak_kb = 0
    for frame in open_video(path):
        alive.append(weakref.ref(frame.image))
        assert sum(r() is not None for r in alive[-8:]) <= 2
        if frame.index == 50:
            peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert len(alive) == 400
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_kb) / 1024
    assert grown_mb < 60  # all frames would be 350 MB


def test_joined_recordings_continue_in_time_and_size(tmp_path: Path) -> None:
    """Two transport streams in one file: the clock starts again, and the image is larger."""
    one = make_video(tmp_path / "1.ts", [grey_image(i) for i in range(8)])
    two = make_video(tmp_path / "2.ts", [grey_image(8 + i, 128, 96) for i in range(8)])
    both = tmp_path / "both.ts"
    both.write_bytes(one.read_bytes() + two.read_bytes())
    with open_video(both) as video:
        frames = list(video)
    assert [index_of(f.image) for f in frames] == list(range(16))
    np.testing.assert_allclose([f.time_s for f in frames], np.arange(16) / 10, atol=1e-3)
    assert {f.image.shape for f in frames} == {(48, 64, 3)}
    assert video.warning is not None
    assert "changes its image size at frame 8" in video.warning


def test_recording_that_starts_without_a_key_frame(tmp_path: Path) -> None:
    """A stream cut in front of a key frame's successors: the frames that can be decoded count."""
    path = make_video(tmp_path / "a.ts", greys(), options={"g": "8", "bf": "0"})
    with av.open(str(path)) as container:
        place = [p.pos for p in container.demux(video=0) if p.size][3]
    path.write_bytes(path.read_bytes()[place // 188 * 188 :])
    whole = list(open_video(path))
    assert index_of(whole[-1].image) == N - 1
    assert 16 <= len(whole) < N
    part = list(open_video(path, start_s=whole[6].time_s))
    assert [(f.index, f.time_s) for f in part] == [(f.index, f.time_s) for f in whole[6:]]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"start_s": -1}, "start is -1"),
        ({"start_s": float("nan")}, "start is nan"),
        ({"start_s": 2, "end_s": 1}, "end at 1 s is not after the start at 2 s"),
        ({"stride": 0}, "stride is 0"),
        ({"start_s": 99}, "ends at 2.40 s, before the start at 99 s"),
        ({"fps": 0}, "0 frames per second"),
    ],
)
def test_impossible_spans_are_refused(tmp_path: Path, options: dict[str, float], says: str) -> None:
    path = make_video(tmp_path / "a.mp4", greys())
    with pytest.raises(VepeError, match=says):
        open_video(path, **options)  # type: ignore[arg-type]


def test_a_span_between_two_frames_is_refused(tmp_path: Path) -> None:
    video = open_video(make_video(tmp_path / "a.mp4", greys()), start_s=0.51, end_s=0.55)
    with pytest.raises(VepeError, match=r"No frame of .* lies in the span"):
        list(video)


def test_repeated_timestamps_in_a_file(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", greys(8), codec="mjpeg", pix_fmt="yuvj420p")
    stamps = [0, 100, 100, 300, 400, 500, 500, 700]
    with av.open(str(path)) as source, av.open(str(tmp_path / "b.mkv"), "w") as target:
        copy = target.add_stream_from_template(source.streams.video[0])
        packets = [p for p in source.demux(video=0) if p.size]
        for packet, stamp in zip(packets, stamps, strict=True):
            packet.stream, packet.pts, packet.dts = copy, stamp, stamp
            target.mux(packet)
    times = [f.time_s for f in open_video(tmp_path / "b.mkv")]
    assert all(a < b for a, b in pairwise(times))
    good = [i for i, stamp in enumerate(stamps) if stamp not in stamps[:i]]
    assert [times[i] for i in good] == [stamps[i] / 1000 for i in good]


def elementary_stream(path: Path) -> Path:
    """A bare H.264 stream of eight frames, which states 30 fps in its header."""
    with av.open(str(path), "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(8):
            frame = av.VideoFrame.from_ndarray(grey_image(i)).reformat(format="yuv420p")
            frame.pts, frame.time_base = i, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_elementary_stream_has_the_rate_of_its_codec(tmp_path: Path) -> None:
    path = elementary_stream(tmp_path / "raw.h264")
    with open_video(path) as video:
        times = [f.time_s for f in video]
    assert video.info.fps == 30
    np.testing.assert_allclose(times, np.arange(8) / 30)
    assert video.warning is None


def test_assumed_rate_is_reported(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "raw.mjpeg"), "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for i in range(4):
            frame = av.VideoFrame.from_ndarray(grey_image(i)).reformat(format="yuvj420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with open_video(tmp_path / "raw.mjpeg") as video:
        assert len(list(video)) == 4
    assert video.warning is not None
    assert "25 frames per second are assumed" in video.warning
    assert not video.incomplete


# ---- what a player shows ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("aspect", "rotation", "size"),
    [
        (Fraction(64, 45), None, (91, 48)),
        (Fraction(8, 9), None, (57, 48)),
        (Fraction(1), None, (64, 48)),
        (Fraction(2), (90.0, False, False), (48, 128)),
        (Fraction(1, 500), None, (64, 48)),  # taken for an error
    ],
)
def test_pixels_become_square(
    tmp_path: Path,
    aspect: Fraction,
    rotation: tuple[float, bool, bool] | None,
    size: tuple[int, int],
) -> None:
    path = make_video(
        tmp_path / "a.mp4", [corner_image()] * 3, sample_aspect=aspect, rotation=rotation
    )
    with open_video(path) as video:
        frames = list(video)
    assert (video.info.width, video.info.height) == size
    assert frames[0].image.shape == (size[1], size[0], 3)


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_is_tone_mapped(tmp_path: Path, transfer: int) -> None:
    """Four saturated BT.709 colours at reference white, encoded as HDR, come back as themselves."""
    to_bt2020 = np.linalg.inv(_TO_BT709)
    linear = (corner_image() / 255.0) @ to_bt2020.T
    table = _linear_table(transfer)
    signal = np.interp(linear, table, np.linspace(0, 1, len(table)))
    path = tmp_path / "hdr.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace = transfer, 9, 9
        frame = av.VideoFrame.from_ndarray(
            np.rint(signal * 65535).astype(np.uint16), format="rgb48le"
        ).reformat(format="yuv420p10le", dst_colorspace=9, dst_color_range=1)
        frame.pts, frame.time_base = 0, Fraction(1, 10)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (frame,) = open_video(path)
    corners = [frame.image[y, x].astype(int) for y in (8, -8) for x in (8, -8)]
    for corner, colour in zip(corners, CORNERS, strict=True):
        bright = np.asarray(colour) == 255
        assert corner[bright].min() > 215, (corner, colour)
        assert corner[~bright].max(initial=0) < 60, (corner, colour)


# ---- rules shared by all sources ----------------------------------------------------------------


def test_clock_keeps_times_increasing() -> None:
    clock = Clock(fps=10)
    raw = [0.0, 0.5, None, 0.7, 0.85, 0.05, 0.15, None]
    times = [clock.next_time(r) for r in raw]
    np.testing.assert_allclose(times, [0, 0.5, 0.6, 0.7, 0.85, 0.95, 1.05, 1.15])


def test_repeated_timestamps_move_their_frames_alone() -> None:
    clock = Clock(fps=25)
    raw = [0.0, 0.04, 0.04, 0.04, 0.16, 0.2, 0.24, 0.24, 0.32, 0.30, 0.36]
    times = [clock.next_time(r) for r in raw]
    assert all(a < b for a, b in pairwise(times))
    for i in (0, 1, 4, 5, 6, 8, 10):  # the others repeat a timestamp or go back
        assert times[i] == raw[i]
    repeated = [Clock(fps=25).next_time(1.0) for _ in range(3)]
    assert repeated == [1.0] * 3
    still = Clock(fps=25)
    many = [still.next_time(1.0) for _ in range(100)]
    assert all(a < b for a, b in pairwise(many))
    assert many[-1] < 1.041


def test_jump_back_of_a_second_shifts_all_later_frames() -> None:
    clock = Clock(fps=10)
    times = [clock.next_time(r) for r in (0.0, 1.0, 2.0, 0.5, 0.6, 0.8)]
    np.testing.assert_allclose(times, [0, 1, 2, 2.1, 2.2, 2.4])


@pytest.mark.parametrize("stride", [1, 2, 7])
@pytest.mark.parametrize(("start_s", "end_s"), [(0, None), (0.5, 1.7), (3.3, 99), (0.04, 0.08)])
@pytest.mark.parametrize("fps", [25.0, 30000 / 1001, 10.0])
def test_frame_count_of_a_span(
    start_s: float, end_s: float | None, stride: int, fps: float
) -> None:
    span = Span(start_s, end_s, stride)
    counted = sum(span.includes(i, i / fps) for i in range(120))
    assert span.frame_count(120, fps) == counted


@pytest.mark.parametrize("numerator", [0, 1, 1001, 3003, 12345])
@pytest.mark.parametrize("unit", [10, 12_800, 90_000])
def test_first_tick_finds_a_frame_given_by_its_own_time(numerator: int, unit: int) -> None:
    base = Fraction(1, unit)
    assert first_tick(float(numerator * base), base) == numerator
    assert first_tick(float((numerator + Fraction(1, 2)) * base), base) == numerator + 1


# ---- real clips ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "size", "frames", "last_s"),
    [
        ("store_aisle", (480, 270), 67, 66 / 16.7),
        ("walking", (480, 270), 35, 34 / 12.5),
        ("pedestrians", (768, 576), 120, 11.9),
        ("bedroom", (960, 540), 200, 199 / 30),
    ],
)
def test_real_clips(
    shared_dir: Path, name: str, size: tuple[int, int], frames: int, last_s: float
) -> None:
    path = shared_dir / "data" / "demo" / f"{name}.mp4"
    if not path.exists():
        pytest.skip("the clip is not here")
    with open_video(path) as video:
        assert (video.info.width, video.info.height) == size
        assert video.info.frame_count == frames
        assert not video.info.has_audio
        times = [f.time_s for f in video]
    assert len(times) == frames
    assert times[0] == 0
    assert times[-1] == pytest.approx(last_s, abs=1e-3)
    assert video.warning is None
