"""The audio of a source for a written video: copied if MP4 can hold it, else encoded as AAC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from math import ceil
from pathlib import Path

import av
import av.error
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from vepe.video.container import open_file, zero_pts
from vepe.video.decoding import Decoding

COPIED_CODECS = frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"})
"""Codecs that MP4 can hold and common players support; all others become AAC."""

_AAC_FRAME = 1024
_AAC_RATES = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000})


class AudioTrack:
    """Packets of a file's main audio stream, shifted so that `start_s` of its video is time 0.

    Must be created before the output's header is written, since it adds a stream to it.

    Attributes:
        warning: one sentence if the audio is left out or ends early, else None.

    Raises:
        VepeError: if the file cannot be opened.
    """

    def __init__(self, path: Path, output: OutputContainer, start_s: float) -> None:
        self.warning: str | None = None
        self._path = path
        self._name = path.name
        self._container = open_file(path)
        self._packets: Iterator[Packet] = iter(())
        self._pending: Packet | None = None
        streams = self._container.streams.audio
        if not streams:
            return
        best = self._container.streams.best("audio")
        stream = streams[0] if best is None else next(s for s in streams if s.index == best.index)
        zero_s = self._video_zero_s() + Fraction(start_s)
        if getattr(stream, "codec_context", None) is None:
            self.warning = f"The audio of '{self._name}' cannot be decoded; it is left out."
        elif stream.codec.canonical_name in COPIED_CODECS:
            copy = output.add_stream_from_template(stream)
            self._packets = self._copied(stream, copy, zero_s)
        else:
            rate = stream.codec_context.sample_rate
            target = output.add_stream("aac", rate=rate if rate in _AAC_RATES else 48_000)
            target.codec_context.layout = "mono" if stream.codec_context.channels == 1 else "stereo"
            self._packets = self._encoded(stream, target, zero_s)

    def _video_zero_s(self) -> Fraction:
        """Time 0 of the video, as the reader counts it, in the file's own timestamps."""
        stream = self._container.streams.best("video")
        if stream is None or stream.time_base is None:
            return Fraction(0)
        if stream.start_time is not None:
            return stream.start_time * stream.time_base
        with open_file(self._path) as probe:
            video = probe.streams.video[0]
            first = next(Decoding(probe, video).frames(), None)
            return zero_pts(video, first.pts if first else None) * stream.time_base

    def until(self, time_s: float) -> Iterator[Packet]:
        """The next packets that lie mostly before `time_s` of the output, ready for the muxer."""
        while True:
            packet = self._pending or self._next()
            if packet is None:
                return
            assert packet.pts is not None
            if (packet.pts + (packet.duration or 0) / 2) * packet.time_base >= time_s:
                self._pending = packet
                return
            self._pending = None
            yield packet

    def _next(self) -> Packet | None:
        """The next packet, or None at the end; damaged audio ends the audio, not the video."""
        try:
            return next(self._packets, None)
        except av.error.FFmpegError:
            self.warning = f"The audio of '{self._name}' is damaged; it stops early."
            return None

    def _read(self, stream: AudioStream, start_pts: int) -> Iterator[Packet]:
        """The stream's packets from shortly before `start_pts`, flush packets left out."""
        if start_pts > (stream.start_time or 0):
            back = ceil(1 / (stream.time_base or 1))
            with suppress(av.error.FFmpegError):
                self._container.seek(start_pts - back, stream=stream)
        for packet in self._container.demux(stream):
            if packet.size and packet.pts is not None:
                yield packet

    def _copied(self, stream: AudioStream, copy: Stream, zero_s: Fraction) -> Iterator[Packet]:
        unit = stream.time_base or Fraction(1, 1000)
        start_pts = round(zero_s / unit)
        for packet in self._read(stream, start_pts):
            # The packet across the start stays: codecs overlap, and MP4 trims with an edit list.
            assert packet.pts is not None
            if packet.pts + (packet.duration or 0) < start_pts:
                continue
            packet.pts -= start_pts
            packet.dts = packet.pts
            packet.stream = copy
            yield packet

    def _encoded(
        self, stream: AudioStream, target: AudioStream, zero_s: Fraction
    ) -> Iterator[Packet]:
        unit = stream.time_base or Fraction(1, 1000)
        start_pts = round(zero_s / unit)
        resampler = av.AudioResampler("fltp", target.layout, target.rate, frame_size=_AAC_FRAME)
        for packet in self._read(stream, start_pts):
            try:
                frames = stream.decode(packet)
            except av.error.FFmpegError:
                continue  # a click is better than no audio
            for frame in frames:
                if frame.pts is None or frame.time_base is None:
                    continue
                end_s = frame.pts * frame.time_base + Fraction(frame.samples, frame.sample_rate)
                if end_s <= zero_s:
                    continue
                frame.pts -= round(zero_s / frame.time_base)
                for piece in resampler.resample(frame):
                    yield from target.encode(piece)
        for piece in resampler.resample(None):
            yield from target.encode(piece)
        yield from target.encode(None)

    def close(self) -> None:
        """Closes the source file; may be called twice."""
        self._container.close()
