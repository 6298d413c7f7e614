"""Frames of a video file (or of a finished file on a web server), with exact timestamps."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.container import InputContainer
from av.video.stream import VideoStream

from vepe.errors import VepeError
from vepe.types import Frame, VideoInfo
from vepe.video.container import (
    check_frame_size,
    has_timestamps,
    nominal_fps,
    open_file,
    open_network,
    public_name,
    stated_fps,
    time_base_of,
    video_stream,
    zero_pts,
)
from vepe.video.decoding import Decoding, duration_of, first_tick, seek
from vepe.video.source import Clock, Span, VideoSource
from vepe.video.upright import Upright


class FileSource(VideoSource):
    """A video that has an end. Every iteration opens the file again and starts over.

    Args:
        location: path of the file, or URL of one on a web server.
        span: the part to read.
        damaged: whether it is known to be damaged, even if libav does not say so.

    Raises:
        VepeError: if it cannot be opened, has no video stream, no frame of it can be decoded, or
            it ends before the span starts.
    """

    def __init__(self, location: Path | str, span: Span, *, damaged: bool = False) -> None:
        self._location = location
        self._known_damage = damaged
        self._span = span
        self._name = location.name if isinstance(location, Path) else public_name(location)
        self._closed = threading.Event()
        with self._open() as container:
            stream = video_stream(container, self._label)
            check_frame_size(stream, self._label)
            first = next(Decoding(container, stream, resume=True).frames(), None)
            if first is None:
                raise VepeError(
                    f"No frame of '{self._label}' can be decoded; it is damaged or cut off."
                )
            self.time_base = time_base_of(stream)
            self._zero = zero_pts(stream, first.pts)
            self._upright = Upright(first, stream.sample_aspect_ratio)
            self._states_fps = stated_fps(stream) is not None
            self._has_timestamps = has_timestamps(container)
            self.info = self._describe(container, stream)

    @property
    def _label(self) -> str:
        return str(self._location) if isinstance(self._location, Path) else self._name

    def _open(self) -> InputContainer:
        if isinstance(self._location, Path):
            return open_file(self._location)
        return open_network(self._location)

    def _describe(self, container: InputContainer, stream: VideoStream) -> VideoInfo:
        fps = nominal_fps(stream)
        duration_s = duration_of(container, stream)
        total = stream.frames or (round(duration_s * fps) if duration_s else 0)
        if duration_s and self._span.start_s >= duration_s:
            raise VepeError(
                f"'{self._label}' ends at {duration_s:.2f} s, before the start at "
                f"{self._span.start_s:g} s; give an earlier start."
            )
        if total and self._span.start_s == 0 and self._span.end_s is None:
            # Exact if the container counts its frames, whatever their times.
            count: int | None = -(-total // self._span.stride)
        else:
            count = self._span.frame_count(total, fps) if total else None
        return VideoInfo(
            name=self._name,
            width=self._upright.size[0],
            height=self._upright.size[1],
            fps=fps,
            frame_count=count,
            path=self._location if isinstance(self._location, Path) else None,
            has_audio=bool(container.streams.audio),
        )

    def __iter__(self) -> Iterator[Frame]:
        self.warning, self.incomplete = None, False
        unit = self.time_base or Fraction(1, 90_000)
        start_pts = self._zero + first_tick(self._span.start_s, unit)
        decoding, passed = self._decoding_from(start_pts)
        clock = Clock(self.info.fps)
        index, num_read, num_damaged = passed, 0, 0
        with decoding.container:
            for frame in decoding.frames():
                if self._closed.is_set():
                    return
                if passed and frame.pts is not None and frame.pts < start_pts:
                    continue  # between the key frame and the start: counted already
                raw_s = None
                if self._has_timestamps and frame.pts is not None:
                    raw_s = float((frame.pts - self._zero) * unit)
                time_s = clock.next_time(raw_s)
                if self._span.is_over(time_s):
                    break
                if self._span.includes(index, time_s):
                    self._note_size(frame, index)
                    yield Frame(index, time_s, self._upright.image(frame))
                    num_read += 1
                num_damaged += frame.is_corrupt and not decoding.lossy
                index += 1
            else:
                self._note_end(decoding, index)
            self._note_damage(decoding.lost, num_damaged)
            if self._known_damage and not self.incomplete:
                self.incomplete = True
                self._warn(
                    f"'{self._label}' is damaged; its frames were decoded as far as possible."
                )
        self._note_assumed_rate()
        if not num_read:
            raise VepeError(
                f"No frame of '{self._label}' lies in the span (it has {index} frames); "
                "give an earlier start, a later end or a smaller stride."
            )

    def num_decodable(self) -> int:
        """Number of frames that can be decoded; decodes them all."""
        with self._open() as container:
            decoding = Decoding(container, video_stream(container, self._label), resume=True)
            return sum(1 for _ in decoding.frames())

    def close(self) -> None:
        """Ends a running iteration at its next frame; may be called from another thread."""
        self._closed.set()

    def _decoding_from(self, start_pts: int) -> tuple[Decoding, int]:
        """A decoder placed at or before `start_pts`, and the number of frames before that time.

        If the file cannot be searched safely, it is decoded from its start: 0 frames passed.
        """
        if self._span.start_s > 0 and self._has_timestamps:
            container = self._open()
            with suppress(av.error.FFmpegError):
                target = seek(container, video_stream(container, self._label), start_pts)
                if target is not None:
                    return target
            container.close()
        container = self._open()
        stream = video_stream(container, self._label)
        return Decoding(container, stream, resume=True), 0

    def _note_size(self, frame: av.VideoFrame, index: int) -> None:
        if self.warning is None and not self._upright.fits(frame):
            self._warn(
                f"'{self._label}' changes its image size at frame {index}; from there on its "
                f"frames are scaled to {self.info.width}x{self.info.height}."
            )

    def _note_end(self, decoding: Decoding, frames: int) -> None:
        if decoding.broken or decoding.ends_early(self._zero):
            self.incomplete = True
            self._warn(
                f"'{self._label}' is damaged or cut off: after {frames} frames no more could be "
                "decoded; the results stop there."
            )

    def _note_damage(self, num_lost: int, num_damaged: int) -> None:
        if num_lost:
            self.incomplete = True
            self._warn(
                f"'{self._label}' is damaged: {num_lost} of its frames could not be decoded; they "
                "are missing from the results."
            )
        elif num_damaged:
            self.incomplete = True
            self._warn(
                f"'{self._label}' is damaged: {num_damaged} of its frames were decoded in part."
            )

    def _note_assumed_rate(self) -> None:
        if not self._has_timestamps and not self._states_fps:
            self._warn(
                f"'{self._label}' has no timestamps; {self.info.fps:g} frames per second are "
                "assumed."
            )

    def _warn(self, sentence: str) -> None:
        self.warning = sentence if self.warning is None else f"{self.warning} {sentence}"
