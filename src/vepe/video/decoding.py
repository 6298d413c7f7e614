"""Decoding a container's video stream frame by frame, from its start or from a given time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import chain
from math import ceil

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from vepe.video.container import nominal_fps, time_base_of

# Broadcast recordings flag packets as corrupt after any lost one; their decoders cope with it.
_LOSSY_FORMATS = ("mpegts", "hls", "rtsp", "rtp", "sdp")
_MAX_RESUMES = 1000
"""Damaged places in a container that are passed over before reading is given up."""


class Decoding:
    """One pass over a video stream. It continues behind damage, and remembers that there was some.

    Args:
        container: the open container; the caller closes it.
        stream: its video stream.
        packets: the packets to decode, if not all of the stream.
        resume: whether to go on where the container itself is damaged; for finished files only.

    Attributes:
        container: as given.
        broken: whether reading ended with an error or a packet that is cut off.
        lost: number of packets, behind the first good frame, that could not be decoded.
        lossy: whether the format is made for lossy links, where damage is normal.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        packets: Iterable[Packet[VideoStream]] | None = None,
        *,
        resume: bool = False,
    ) -> None:
        self.container = container
        self.broken = False
        self.lost = 0
        self.lossy = any(name in container.format.name for name in _LOSSY_FORMATS)
        self._stream = stream
        self._packets = container.demux(stream) if packets is None else packets
        self._resume = resume
        self._begun = False
        self._end_pts: int | None = None

    def frames(self) -> Iterator[av.VideoFrame]:
        """Frames in presentation order, as far as they can be decoded.

        Damage before the first good frame is not counted: a recording may start between two key
        frames.
        """
        cut_off = False
        for packet in self._read():
            if packet.size:
                cut_off = packet.is_corrupt and not self.lossy
            try:
                frames = packet.decode()
            except EOFError:
                break
            except av.error.FFmpegError:
                self.lost += self._begun
                continue
            for frame in frames:
                self._note(frame)
                yield frame
        if self.broken:
            yield from self._rest()
        self.broken |= cut_off

    def _read(self) -> Iterator[Packet[VideoStream]]:
        """The packets; a damaged place in the container is passed over if that is allowed."""
        for _ in range(_MAX_RESUMES):
            try:
                yield from self._packets
            except EOFError:
                return
            except av.error.InvalidDataError:
                if not self._resume:
                    break
                self.lost += 1
                self._packets = self.container.demux(self._stream)
            except av.error.FFmpegError:
                break
            else:
                return
        self.broken = True

    def _rest(self) -> Iterator[av.VideoFrame]:
        """Frames that the decoder still buffers when reading ends with an error."""
        with suppress(av.error.FFmpegError, EOFError):
            for frame in self._stream.codec_context.decode(None):
                self._note(frame)
                yield frame

    def _note(self, frame: av.VideoFrame) -> None:
        self._begun = True
        if frame.pts is not None:
            self._end_pts = frame.pts + (frame.duration or 0)

    def ends_early(self, zero: int) -> bool:
        """Whether the last frame ends well before the stream should (`zero` is its start)."""
        expected_s = _stream_duration(self._stream)
        if expected_s is None or self._end_pts is None:
            return False
        end_s = float((self._end_pts - zero) * time_base_of(self._stream))
        return end_s < expected_s - max(0.1, 2.5 / nominal_fps(self._stream))


def first_tick(time_s: float, unit: Fraction) -> int:
    """Smallest number of ticks of `unit` seconds that, as a float, is at least `time_s`."""
    tick = ceil(Fraction(time_s) / unit)
    # 0.1 as a float is above one tenth; the frame at exactly one tenth must not be lost.
    return tick - 1 if float((tick - 1) * unit) >= time_s else tick


def duration_of(container: InputContainer, stream: VideoStream) -> float | None:
    """Length of the video in seconds, as the file states it, or None."""
    stated = _stream_duration(stream)
    if stated is None and container.duration:
        stated = container.duration / av.time_base
    return stated


def _stream_duration(stream: VideoStream) -> float | None:
    if stream.duration:
        return float(stream.duration * time_base_of(stream))
    # Matroska has it as a tag "HH:MM:SS.fraction".
    parts = stream.metadata.get("DURATION", "").split(":")
    try:
        hours, minutes, seconds = (float(part) for part in parts)
    except ValueError:
        return None
    return hours * 3600 + minutes * 60 + seconds


def seek(
    container: InputContainer, stream: VideoStream, start_pts: int
) -> tuple[Decoding, int] | None:
    """A decoder at the key frame before `start_pts`, and the number of frames before that time.

    All packets before the start are read, but not decoded: this makes the number exact, and
    reading is cheap. None if timestamps are missing, the stream starts without a key frame, or the
    container cannot seek there; the caller then decodes from the beginning.
    """
    key_pts, passed = None, 0
    for packet in container.demux(stream):
        if packet.size == 0:
            break
        if packet.pts is None or packet.dts is None or packet.is_corrupt:
            return None
        if passed == 0 and not (packet.is_keyframe or packet.is_discard):
            return None  # packets before the first key frame give no frames: not countable
        if packet.dts >= start_pts:
            break  # a frame is never shown before it is decoded
        if packet.pts < start_pts and not packet.is_discard:
            passed += 1
        if packet.is_keyframe and packet.pts <= start_pts:
            key_pts = packet.pts
    if key_pts is None or passed == 0:
        return None
    container.seek(key_pts, stream=stream, backward=True)
    packets = container.demux(stream)
    first = next(packets, None)
    if first is None or not first.is_keyframe or first.pts is None or first.pts > key_pts:
        return None
    return Decoding(container, stream, chain([first], packets), resume=True), passed
