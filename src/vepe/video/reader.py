"""`open_video`: frames with exact timestamps from files, folders, cameras and streams."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from vepe.errors import VepeError
from vepe.video.source import Span, VideoSource

__all__ = ["VideoSource", "open_video"]

_URL = re.compile(r"(rtsps?|rtmps?|https?|udp|rtp|srt|tcp)://", re.IGNORECASE)
SCREEN = "screen"
"""The source that is the screen of this computer, unless a file has this name."""

FOLDER_FPS = 25.0
"""Frames per second of a folder of images, unless the caller gives another rate."""

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
        source: a video file; a folder of images (one video, in natural order) or a single
            image, which may be animated; a camera's number (`0` or `"0"`); `screen`; an rtsp, rtmp,
            udp, srt, http or https URL; a page of YouTube (with the extra `youtube`).
        start_s: time in seconds of the first frame to read; the source's first frame is near 0.
        end_s: time at which to stop; a frame at exactly this time is not read.
        stride: reads every n-th frame, those whose index in the source is divisible by it.
            Indices and times stay the source's own.
        fps: frames per second of a folder of images, 25 by default; other sources have their own.

    Returns:
        A context manager that iterates `Frame` values in constant memory: RGB uint8 as a player
        shows it (upright, square pixels, HDR tone-mapped), `time_s` from the source's timestamps.

    Raises:
        VepeError: if it cannot be opened or has no frame to read, or `fps` is given for anything
            but a folder; the text says why.
    """
    span = Span(start_s, end_s, stride)
    if fps is not None and not 0 < fps <= 1000:
        raise VepeError(f"{fps:g} frames per second are not possible; give 1 to 1000.")
    if isinstance(source, int):
        _refuse(fps)
        return _camera(source, span)
    if isinstance(source, str) and is_address(source):
        _refuse(fps)
        return _network(source, span)
    if not str(source).strip():
        raise VepeError("No video is named; give a file, a folder, a camera's number or a URL.")
    path = Path(source)
    if not path.exists() and str(source).isdecimal():
        _refuse(fps)
        return _camera(int(str(source)), span)
    if not path.exists() and str(source) == SCREEN:
        from vepe.video.live import screen_source

        _refuse(fps)
        return screen_source(span)
    from vepe.video.images import is_image_file

    if path.is_dir() or is_image_file(path):
        from vepe.video.images import FolderSource

        animation = _animation(path, span) if path.is_file() else None
        if animation is not None:
            _refuse(fps)
            return animation
        return FolderSource(path, span, FOLDER_FPS if fps is None else fps)
    if path.exists():
        _refuse(fps)
    from vepe.video.file import FileSource

    return FileSource(path, span)


def is_address(source: str) -> bool:
    """Whether a source is a network address rather than a path."""
    return _URL.match(source) is not None


def _animation(path: Path, span: Span) -> VideoSource | None:
    """An animated image as a video; None for a still one, or one that cannot be read.

    Pillow stops at the first damaged byte of an animated PNG; libav goes on behind it.
    """
    from vepe.video.file import FileSource
    from vepe.video.images import AnimationSource, is_animated, is_animated_png

    animation: AnimationSource | None = None
    damaged = False
    try:
        animation = AnimationSource(path, span) if is_animated(path) else None
    except VepeError:
        damaged = True
    if damaged or (animation is not None and animation.num_damaged):
        with suppress(VepeError, OSError):
            if is_animated_png(path):
                decoded = FileSource(path, span, damaged=True)
                if animation is None or decoded.num_decodable() > animation.num_readable:
                    return decoded
    return animation


def _refuse(fps: float | None) -> None:
    """Raises VepeError if a frame rate is given for a source that has its own times."""
    if fps is not None:
        raise VepeError(
            f"The frame rate {fps:g} is for folders of images, but this source has its own "
            "times; leave fps out."
        )


def _camera(index: int, span: Span) -> VideoSource:
    from vepe.video.live import camera_source

    if index < 0:
        raise VepeError(f"There is no camera {index}; cameras count from 0.")
    return camera_source(index, span)


def _network(url: str, span: Span) -> VideoSource:
    """A finished file on a web server is read like a local one; everything else is live."""
    from vepe.video.container import open_network
    from vepe.video.file import FileSource
    from vepe.video.live import stream_source
    from vepe.video.web_page import is_page, media_address, page_name

    if is_page(url):
        video = _network(media_address(url), span)
        video.info = replace(video.info, name=page_name(url) or url)
        return video
    container = open_network(url)
    if _ENDED_BY.match(url) and container.duration:
        container.close()
        return FileSource(url, span)
    return stream_source(container, url, span)
