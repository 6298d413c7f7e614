"""Tiny videos for tests, made when they are needed; a frame's brightness encodes its index."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

STEP = 8
"""Grey levels between two frames: far more than a codec loses."""

TIME_BASE = Fraction(1, 1000)
AVI_TIME_BASE = Fraction(1, 10)  # AVI knows frame numbers alone; 1/1000 would mean 1000 fps
CORNERS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255))
"""Colours of the upper left, upper right, lower left and lower right quarter."""


def grey_image(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A flat image whose level says which frame it is (for indices 0 to 28)."""
    return np.full((height, width, 3), 16 + STEP * index, np.uint8)


def index_of(image: np.ndarray) -> int:
    """The frame index that a flat image shows."""
    return round((float(image.mean()) - 16) / STEP)


def corner_image(width: int = 64, height: int = 48) -> np.ndarray:
    """An image of four coloured quarters, which shows every turn and mirror."""
    image = np.zeros((height, width, 3), np.uint8)
    half_h, half_w = height // 2, width // 2
    image[:half_h, :half_w], image[:half_h, half_w:] = CORNERS[0], CORNERS[1]
    image[half_h:, :half_w], image[half_h:, half_w:] = CORNERS[2], CORNERS[3]
    return image


def tone(seconds: float, rate: int, silent_s: float = 0.0) -> np.ndarray:
    """(1, samples) int16 of a 440 Hz tone, silent before `silent_s`."""
    t = np.arange(round(seconds * rate)) / rate
    wave = np.where(t >= silent_s, np.sin(2 * np.pi * 440 * t), 0.0)
    return np.asarray(wave * 12_000, np.int16)[None]


def make_video(
    path: Path,
    images: Sequence[np.ndarray],
    *,
    times_ms: Sequence[int] | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rotation: tuple[float, bool, bool] | None = None,
    audio_codec: str | None = None,
    audio_s: float = 0.0,
    silent_s: float = 0.0,
    options: dict[str, str] | None = None,
    muxer: dict[str, str] | None = None,
    sample_aspect: Fraction | None = None,
) -> Path:
    """Writes images at the times given (ms; else 100 ms apart), with a tone if asked."""
    times = list(times_ms) if times_ms is not None else [100 * i for i in range(len(images))]
    unit = AVI_TIME_BASE if path.suffix == ".avi" else TIME_BASE
    with av.open(str(path), "w", options=muxer or {}) as container:
        stream = container.add_stream(codec, rate=10, options=options or {})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = unit
        if sample_aspect is not None:
            stream.codec_context.sample_aspect_ratio = sample_aspect
        if rotation is not None:
            stream.set_display_rotation(*rotation)
        sound = None
        if audio_codec is not None:
            sound = container.add_stream(audio_codec, rate=44_100)
            sound.layout = "mono"
        for image, time_ms in zip(images, times, strict=True):
            frame = av.VideoFrame.from_ndarray(image).reformat(format=pix_fmt)
            frame.pts, frame.time_base = round(Fraction(time_ms, 1000) / unit), unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            for packet in _sound_packets(sound, tone(audio_s, 44_100, silent_s)):
                container.mux(packet)
    return path


def make_audio(path: Path, codec: str, seconds: float = 1.0) -> Path:
    """A file that holds nothing but a tone."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream(codec, rate=44_100)
        sound.layout = "mono"
        for packet in _sound_packets(sound, tone(seconds, 44_100)):
            container.mux(packet)
    return path


def _sound_packets(stream: av.AudioStream, samples: np.ndarray) -> list[av.Packet]:
    resampler = av.AudioResampler(stream.format, stream.layout, stream.rate, frame_size=1024)
    frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = stream.rate, 0, Fraction(1, stream.rate)
    packets: list[av.Packet] = []
    for piece in (*resampler.resample(frame), *resampler.resample(None)):
        packets += stream.encode(piece)
    return packets + stream.encode(None)


def read_sound(path: Path) -> tuple[np.ndarray, int, float, str]:
    """Samples (mono, -1..1), rate, time of the first sample in s, codec of a file's sound."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler("flt", "mono", stream.rate)
        pieces, first_s = [], None
        for frame in container.decode(stream):
            first_s = frame.time if first_s is None else first_s
            pieces += [piece.to_ndarray()[0] for piece in resampler.resample(frame)]
        return np.concatenate(pieces), stream.rate, first_s or 0.0, stream.codec.canonical_name


def onset_s(path: Path) -> float:
    """Time at which the sound of a file first becomes loud."""
    samples, rate, first_s, _ = read_sound(path)
    return first_s + float(np.argmax(np.abs(samples) > 0.1)) / rate
