"""Opening media containers with PyAV, with errors that a user understands.

Also what the reader and the audio track of the writer must agree on: which stream is the video,
and which timestamp of the file is time zero.
"""

from __future__ import annotations

import time
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import av
import av.error
from av.container import Container, InputContainer
from av.video.stream import VideoStream

from vepe.errors import VepeError
from vepe.limits import advice, limit

NOMINAL_FPS = 25.0
"""Frames per second if a source states none, or an impossible rate."""

MAX_FPS = 1000.0
NETWORK_TIMEOUT_S = 10.0

# Demuxers that make images of files that are not video: text becomes a terminal's screen.
_NOT_VIDEO_FORMATS = frozenset({"tty"})
# Bare codec streams: they have no timestamps, and libav assumes 25 frames per second.
_ELEMENTARY_FORMATS = frozenset({
    "h264", "hevc", "vvc", "evc", "obu", "m4v", "mpegvideo", "mjpeg", "h261", "h263", "cavsvideo",
    "dirac", "vc1",
})  # fmt: skip


def address_of(path: Path) -> str:
    """The path as libav takes it; the protocol keeps a colon in the name from being read as one."""
    return f"file:{path.absolute()}"


def public_name(url: str) -> str:
    """The URL without the user name and password it may hold, for messages and results."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, parts.query, ""))


def open_file(path: Path) -> InputContainer:
    """Opens a media file. Raises VepeError if it is missing, empty, unreadable or not media."""
    if not path.exists():
        raise VepeError(f"There is no file or folder '{path}'; check the path.")
    if not path.is_file() and not path.is_dir():  # opening a pipe would wait for its writer
        raise VepeError(
            f"'{path}' is no regular file; give a video file, or pipe the video to `vepe track -`."
        )
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
    """Opens a network address. Raises VepeError if it gives no video within `timeout_s`."""
    name = public_name(url)
    # RTSP over TCP: UDP, the default, loses packets and with them parts of images.
    options = {"rtsp_transport": "tcp"} if url.lower().startswith("rtsp") else {}
    begun_s = time.monotonic()
    try:
        return av.open(url, options=options, timeout=(timeout_s, timeout_s))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        # By the clock, since some protocols report a timeout as invalid data.
        if time.monotonic() - begun_s >= timeout_s:
            reason = f"it did not answer within {timeout_s:g} s"
        elif isinstance(error, av.error.InvalidDataError):
            reason = "it gives no video that can be read"
        else:
            reason = str(getattr(error, "strerror", None) or error).lower()
    raise VepeError(f"'{name}' cannot be opened: {reason}; check the address and the network.")


def video_stream(container: InputContainer, name: str) -> VideoStream:
    """The main video stream, ready to decode. Raises VepeError if there is none."""
    # The cover image of a music file is a video stream too, with one frame.
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & av.stream.Disposition.attached_pic
    ]
    if not streams:
        kind = "only audio" if container.streams.audio else "no images"
        raise VepeError(f"'{name}' has no video stream ({kind}); give a file with video.")
    best = container.streams.best("video")
    stream = next((s for s in streams if best is not None and s.index == best.index), streams[0])
    if stream.codec_context is None:
        raise VepeError(
            f"'{name}' is encoded with a codec that cannot be decoded here; convert it to H.264."
        )
    # Frames that turn out to be larger than the stream states are not decoded either.
    stream.codec_context.options = {"max_pixels": str(min(limit("VEPE_MAX_PIXELS"), 2**31 - 1))}
    return stream


def check_frame_size(stream: VideoStream, name: str) -> None:
    """Checks the size that a stream states, before any frame is decoded.

    Raises:
        VepeError: if a frame would have more pixels than VEPE_MAX_PIXELS.
    """
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > limit("VEPE_MAX_PIXELS"):
        raise VepeError(
            f"The frames of '{name}' have {width} x {height} pixels, more than the limit; scale "
            f"the video down, {advice('VEPE_MAX_PIXELS')}."
        )


def nominal_fps(stream: VideoStream) -> float:
    """Frames per second that the stream states, or `NOMINAL_FPS` if it states no sane rate."""
    return stated_fps(stream) or NOMINAL_FPS


def has_timestamps(container: Container) -> bool:
    """Whether frames have times of their own; those of elementary streams are made up by libav."""
    return container.format.name not in _ELEMENTARY_FORMATS


def stated_fps(stream: VideoStream) -> float | None:
    """Frames per second that the stream states: its average, or the codec's own rate; else None.

    For elementary streams, which have no timestamps, only the codec's own rate counts. libav
    takes 25 fps where the codec states none, so that 25 counts as not stated.
    """
    rates = [stream.average_rate, stream.guessed_rate, stream.base_rate]
    if not has_timestamps(stream.container):
        own_rate = stream.codec_context.framerate
        rates = [None if own_rate == NOMINAL_FPS else own_rate]
    return next((float(rate) for rate in rates if rate and 0 < rate <= MAX_FPS), None)


def zero_pts(stream: VideoStream, first_pts: int | None) -> int:
    """Timestamp that is time 0: the stream's start, or its first frame if that is earlier."""
    known = [pts for pts in (stream.start_time, first_pts) if pts is not None]
    return min(known, default=0)


def time_base_of(stream: VideoStream) -> Fraction:
    """Unit of the stream's timestamps in seconds."""
    return stream.time_base or Fraction(1, 90_000)
