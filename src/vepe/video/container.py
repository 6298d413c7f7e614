"""Opening media containers with PyAV, with errors that a user understands.

Also what both the reader and the audio of the writer must agree on: which stream is the video,
and which moment of the file is time zero.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit

import av
import av.error
import numpy as np
from av.buffer import Buffer
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import UInt8

from vepe.errors import VepeError

NOMINAL_FPS = 25.0
"""Frames per second where a source names none, or an impossible one."""

MAX_FPS = 1000.0
NETWORK_TIMEOUT_S = 10.0

# Demuxers that make pictures of things that are no video: text files become a terminal's screen.
_NOT_VIDEO_FORMATS = frozenset({"tty"})

MAX_FRAME_PIXELS = 100_000_000


def address_of(path: Path) -> str:
    """The path as libav takes it: with a protocol, lest a colon in the name be read as one."""
    return f"file:{path.absolute()}"


def public_name(url: str) -> str:
    """The URL without the user name and password it may hold, for messages and results."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, parts.query, ""))


def open_file(path: Path) -> InputContainer:
    """Opens a media file. Raises VepeError where it is missing, empty, barred or no media."""
    if not path.exists():
        raise VepeError(f"There is no file or folder '{path}'; check the path.")
    try:
        if path.is_file() and path.stat().st_size == 0:
            raise VepeError(f"'{path}' is empty (0 bytes); give a video file.")
        container = av.open(address_of(path))
    except PermissionError:
        raise VepeError(f"'{path}' may not be read; check its permissions.") from None
    except (av.error.FFmpegError, OSError, ValueError):
        raise VepeError(
            f"'{path}' is not a video, or is damaged or cut off; give a video file such as mp4, "
            "mov, mkv, avi or webm."
        ) from None
    if container.format.name in _NOT_VIDEO_FORMATS:
        container.close()
        raise VepeError(f"'{path}' is a text file, not a video; give a video file such as mp4.")
    return container


def open_network(url: str, timeout_s: float = NETWORK_TIMEOUT_S) -> InputContainer:
    """Opens a network address. Raises VepeError where it gives no video within `timeout_s`."""
    name = public_name(url)
    # RTSP over TCP: the default UDP loses packets, and with them parts of pictures.
    options = {"rtsp_transport": "tcp"} if url.lower().startswith("rtsp") else {}
    begun_s = time.monotonic()
    try:
        return av.open(url, options=options, timeout=(timeout_s, timeout_s))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        # By the clock, since some protocols call a timeout invalid data.
        if time.monotonic() - begun_s >= timeout_s:
            reason = f"it did not answer within {timeout_s:g} s"
        elif isinstance(error, av.error.InvalidDataError):
            reason = "it gives no video that can be read"
        else:
            reason = str(getattr(error, "strerror", None) or error).lower()
    raise VepeError(f"'{name}' cannot be opened: {reason}; check the address and the network.")


def video_stream(container: InputContainer, name: str) -> VideoStream:
    """The main video stream, set to decode. Raises VepeError where there is none."""
    # The cover picture of a music file is a video stream too, of one frame.
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & av.stream.Disposition.attached_pic
    ]
    if not streams:
        kind = "only audio" if container.streams.audio else "no pictures"
        raise VepeError(f"'{name}' has no video stream ({kind}); give a file with video.")
    best = container.streams.best("video")
    stream = next((s for s in streams if best is not None and s.index == best.index), streams[0])
    if stream.codec_context is None:
        raise VepeError(
            f"'{name}' is encoded with a codec that cannot be decoded here; convert it to H.264."
        )
    return stream


def check_frame_size(stream: VideoStream, name: str) -> None:
    """Checks the size that a stream states, before any frame is decoded.

    Raises:
        VepeError: where a frame would have more than `MAX_FRAME_PIXELS` pixels.
    """
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > MAX_FRAME_PIXELS:
        raise VepeError(
            f"The frames of '{name}' have {width} x {height} pixels, more than the limit of "
            f"{MAX_FRAME_PIXELS}; scale the video down."
        )


def nominal_fps(stream: VideoStream) -> float:
    """Average frames per second of the stream, or `NOMINAL_FPS` where it names no sane one."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate is not None and 0 < rate <= MAX_FPS:
            return float(rate)
    return NOMINAL_FPS


def zero_pts(stream: VideoStream, first_pts: int | None) -> int:
    """Timestamp that is time 0: the stream's start, or its first frame if that is earlier."""
    known = [pts for pts in (stream.start_time, first_pts) if pts is not None]
    return min(known, default=0)


def time_base_of(stream: VideoStream) -> Fraction:
    """Unit of the stream's timestamps in seconds."""
    return stream.time_base or Fraction(1, 90_000)


def turns_of(frame: av.VideoFrame) -> tuple[bool, bool, bool]:
    """What makes the frame upright: (swap axes, then flip rows, then flip columns).

    Read from the display matrix, which maps a stored pixel (p, q) to the shown pixel
    (a p + c q, b p + d q); see libavutil/display.h. Angles are rounded to quarter turns.
    """
    # PyAV's stubs take the container for a dict of names.
    side_data = cast("Mapping[Any, Buffer]", frame.side_data)
    data = side_data.get(SideDataType.DISPLAYMATRIX)
    if data is None:
        return False, False, False
    a, b, _, c, d = (int(v) for v in np.frombuffer(bytes(data), np.int32)[:5])
    if math.hypot(b, c) > math.hypot(a, d):
        return True, b < 0, c < 0
    return False, d < 0, a < 0


class Upright:
    """Turns decoded frames into upright RGB pictures of one size.

    Keeps one scaler for all frames: setting up a new one for each costs more than the conversion.
    """

    def __init__(self, first: av.VideoFrame) -> None:
        self._stored_size = (first.width, first.height)
        self._swap, self._flip_rows, self._flip_columns = turns_of(first)
        self._scaler = VideoReformatter()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright picture in pixels."""
        width, height = self._stored_size
        return (height, width) if self._swap else (width, height)

    def fits(self, frame: av.VideoFrame) -> bool:
        """Whether the frame has the size of the first one; others are scaled to it."""
        return (frame.width, frame.height) == self._stored_size

    def picture(self, frame: av.VideoFrame) -> UInt8[np.ndarray, "H W 3"]:
        """The frame as upright RGB, contiguous; copied only where rows are padded or turned."""
        width, height = self._stored_size
        # One thread: for a mere change of format, handing out slices costs more than it saves.
        rgb = self._scaler.reformat(frame, width, height, "rgb24", threads=1)
        image: np.ndarray = np.ascontiguousarray(rgb.to_ndarray())
        if self._swap or self._flip_rows or self._flip_columns:
            return self._turned(image)
        return image

    def _turned(self, image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H2 W2 3"]:
        import cv2  # loaded only for turned videos; many times faster here than NumPy's copy

        if self._swap:
            image = cv2.transpose(image)
        if self._flip_rows or self._flip_columns:
            both = self._flip_rows and self._flip_columns
            image = cv2.flip(image, -1 if both else 0 if self._flip_rows else 1)
        return image
