"""`open_video`: frames with exact timestamps from whatever holds moving pictures."""

from __future__ import annotations

import re
from pathlib import Path

from vepe.errors import VepeError
from vepe.video.source import Span, VideoSource

__all__ = ["VideoSource", "open_video"]

_URL = re.compile(r"(rtsps?|rtmps?|https?|udp|rtp|srt|tcp)://", re.IGNORECASE)
FOLDER_FPS = 25.0
"""Frames per second of a folder of pictures, unless told."""

_ENDED_BY = re.compile(r"https?://", re.IGNORECASE)


def open_video(
    source: str | Path | int,
    *,
    start_s: float = 0.0,
    end_s: float | None = None,
    stride: int = 1,
    fps: float | None = None,
) -> VideoSource:
    """Opens a video for reading.

    Args:
        source: a video file; a folder of pictures (one video, in natural order) or a single
            picture; a camera's number (`0` or `"0"`); an rtsp, rtmp, udp, srt, http or https URL.
        start_s: time in seconds of the first wanted frame; the source's first frame is near 0.
        end_s: time at which to stop; a frame at exactly this time is left out.
        stride: reads every n-th frame, those whose index in the source divides by it. Indices
            and times stay the source's own.
        fps: frames per second of a folder of pictures, 25 unless given; others have their own.

    Returns:
        A context manager that iterates `Frame` values: RGB uint8, upright (rotation that a phone
        noted in the file is applied), `time_s` from the source's own timestamps, memory constant.

    Raises:
        VepeError: where it cannot be opened, holds no frame to read, or `fps` is given for what is
            no folder; the text says why.
    """
    span = Span(start_s, end_s, stride)
    if fps is not None and not 0 < fps <= 1000:
        raise VepeError(f"{fps:g} frames per second are not possible; give 1 to 1000.")
    if isinstance(source, int):
        _refuse(fps)
        return _camera(source, span)
    if isinstance(source, str) and _URL.match(source):
        _refuse(fps)
        return _network(source, span)
    if not str(source).strip():
        raise VepeError("No video is named; give a file, a folder, a camera's number or a URL.")
    path = Path(source)
    if not path.exists() and str(source).isdecimal():
        _refuse(fps)
        return _camera(int(str(source)), span)
    from vepe.video.images import is_image_file

    if path.is_dir() or is_image_file(path):
        from vepe.video.images import FolderSource

        return FolderSource(path, span, FOLDER_FPS if fps is None else fps)
    if path.exists():
        _refuse(fps)
    from vepe.video.file import FileSource

    return FileSource(path, span)


def _refuse(fps: float | None) -> None:
    """Raises VepeError where a frame rate is given for what has times of its own."""
    if fps is not None:
        raise VepeError(
            f"The frame rate {fps:g} is for folders of pictures, but this source has times of its "
            "own; leave fps out."
        )


def _camera(index: int, span: Span) -> VideoSource:
    from vepe.video.live import camera_source

    if index < 0:
        raise VepeError(f"There is no camera {index}; cameras count from 0.")
    return camera_source(index, span)


def _network(url: str, span: Span) -> VideoSource:
    """A finished file on a web server is read whole like a file; all else is live."""
    from vepe.video.container import open_network
    from vepe.video.file import FileSource
    from vepe.video.live import stream_source

    container = open_network(url)
    if _ENDED_BY.match(url) and container.duration:
        container.close()
        return FileSource(url, span)
    return stream_source(container, url, span)
