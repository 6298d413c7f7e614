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
    Upright,
    check_frame_size,
    nominal_fps,
    open_file,
    open_network,
    public_name,
    time_base_of,
    video_stream,
    zero_pts,
)
from vepe.video.decoding import Decoding, duration_of, first_tick, seek
from vepe.video.source import Clock, Span, VideoSource


class FileSource(VideoSource):
    """A video that has an end. Every iteration opens the file anew and starts over.

    Args:
        place: path of the file, or URL of one on a web server.
        span: the wanted part.

    Raises:
        VepeError: where it cannot be opened, has no video stream, holds no frame that can be
            decoded, or ends before the span starts.
    """

    def __init__(self, place: Path | str, span: Span) -> None:
        self._place = place
        self._span = span
        self._name = place.name if isinstance(place, Path) else public_name(place)
        self._closed = threading.Event()
        with self._open() as container:
            stream = video_stream(container, self._label)
            check_frame_size(stream, self._label)
            first = next(Decoding(container, stream).frames(), None)
            if first is None:
                raise VepeError(
                    f"No frame of '{self._label}' can be decoded; it is damaged or cut off."
                )
            self.time_base = time_base_of(stream)
            self._zero = zero_pts(stream, first.pts)
            self._picture = Upright(first)
            self.info = self._describe(container, stream)

    @property
    def _label(self) -> str:
        return str(self._place) if isinstance(self._place, Path) else self._name

    def _open(self) -> InputContainer:
        if isinstance(self._place, Path):
            return open_file(self._place)
        return open_network(self._place)

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
            # Exact where the container counts its frames, whatever their times.
            count: int | None = -(-total // self._span.stride)
        else:
            count = self._span.frame_count(total, fps) if total else None
        return VideoInfo(
            name=self._name,
            width=self._picture.size[0],
            height=self._picture.size[1],
            fps=fps,
            frame_count=count,
            path=self._place if isinstance(self._place, Path) else None,
            has_audio=bool(container.streams.audio),
        )

    def __iter__(self) -> Iterator[Frame]:
        self.warning = None
        unit = self.time_base or Fraction(1, 90_000)
        start_pts = self._zero + first_tick(self._span.start_s, unit)
        decoding, passed = self._decoding_from(start_pts)
        clock = Clock(self.info.fps)
        index, given = passed, 0
        with decoding.container:
            for frame in decoding.frames():
                if self._closed.is_set():
                    return
                if passed and frame.pts is not None and frame.pts < start_pts:
                    continue  # between the key frame and the start: counted already
                raw_s = None if frame.pts is None else float((frame.pts - self._zero) * unit)
                time_s = clock.tell(raw_s)
                if self._span.is_over(time_s):
                    break
                if self._span.wants(index, time_s):
                    self._note_size(frame, index)
                    yield Frame(index, time_s, self._picture.picture(frame))
                    given += 1
                index += 1
            else:
                self._note_end(decoding, index)
        if not given:
            raise VepeError(
                f"No frame of '{self._label}' lies in the wanted span (it has {index} frames); "
                "give an earlier start, a later end or a smaller stride."
            )

    def close(self) -> None:
        """Ends a running iteration at its next frame; may be called from another thread."""
        self._closed.set()

    def _decoding_from(self, start_pts: int) -> tuple[Decoding, int]:
        """A decoder placed at or before `start_pts`, and how many frames lie before that time.

        Where the file cannot be searched safely, it is decoded from its start: 0 frames passed.
        """
        if self._span.start_s > 0:
            container = self._open()
            with suppress(av.error.FFmpegError):
                found = seek(container, video_stream(container, self._label), start_pts)
                if found is not None:
                    return found
            container.close()
        container = self._open()
        return Decoding(container, video_stream(container, self._label)), 0

    def _note_size(self, frame: av.VideoFrame, index: int) -> None:
        if self.warning is None and not self._picture.fits(frame):
            self.warning = (
                f"'{self._label}' changes its picture size at frame {index}; from there on its "
                f"frames are scaled to {self.info.width}x{self.info.height}."
            )

    def _note_end(self, decoding: Decoding, frames: int) -> None:
        if decoding.broken or decoding.ends_early(self._zero):
            self.warning = (
                f"'{self._label}' is damaged or cut off: after {frames} frames no more could be "
                "decoded; the results stop there."
            )
