"""Looking at uploads and converting results, in a process that may crash."""

from __future__ import annotations

import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import av
import av.error

from vepe.errors import VepeError
from vepe.formats.tracks import check_package, read_tracks, write_tracks
from vepe.image_header import image_header
from vepe.serve.job import VideoFacts
from vepe.serve.media_kind import BY_SUFFIX, MediaKind
from vepe.serve.settings import Limits, duration_text
from vepe.video.reader import open_video

_VIDEO_CODECS = {"h264", "vp8", "vp9", "av1", "libdav1d"}
_AUDIO_CODECS = {"aac", "mp3", "mp3float", "opus", "vorbis", "flac"}
_PIXELS = {"yuv420p", "yuvj420p"}


def handle_tool(name: str, values: dict[str, Any], stop: threading.Event) -> dict[str, Any]:
    """Answers `probe` and `convert`. Raises VepeError where the file is not usable."""
    if name == "probe":
        return asdict(probe(Path(values["path"]), values["name"], values["limits"]))
    return {"path": str(convert(Path(values["path"]), values["format"]))}


def probe(path: Path, name: str, limits: Limits) -> VideoFacts:
    """Opens a file and decodes its first frame.

    Raises:
        VepeError: where it is no video or image, or passes a limit; the text has `name` only.
    """
    kind = BY_SUFFIX[path.suffix]
    try:
        return _checked(path, kind, name, limits)
    except VepeError as error:
        raise VepeError(str(error).replace(str(path), name)) from None


def _checked(path: Path, kind: MediaKind, name: str, limits: Limits) -> VideoFacts:
    playable = False
    if kind.is_image:
        size = image_header(path)
        if isinstance(size, str):
            raise VepeError(f"'{name}' {size}; send another.")
    else:
        playable = _plays(path, kind, name)
    with open_video(path) as video:
        info = video.info
    count = info.frame_count
    duration_s = None if count is None or not info.fps else round(count / info.fps, 3)
    if info.width * info.height > limits.frame_pixels:
        raise VepeError(
            f"The frames of '{name}' have {info.width} x {info.height} pixels, and the server "
            f"takes {limits.frame_pixels / 1e6:.1f} million; scale it down."
        )
    if duration_s is not None and duration_s > limits.duration_s:
        raise VepeError(
            f"'{name}' is longer than {duration_text(limits.duration_s)}, the server's limit; send "
            "a part of it."
        )
    return VideoFacts(info.width, info.height, info.fps, duration_s, count, playable, kind.is_image)


def _plays(path: Path, kind: MediaKind, name: str) -> bool:
    """Whether browsers play the file. Raises VepeError where libav takes it for another kind."""
    try:
        with av.open(f"file:{path.absolute()}") as container:
            if container.format.name not in kind.demuxers:
                raise VepeError(f"'{name}' is not the kind of video that it begins like.")
            videos, audios = container.streams.video, container.streams.audio
            codecs = [stream.codec_context for stream in videos]
            return (
                kind.playable
                and len(codecs) == 1
                and codecs[0] is not None
                and codecs[0].name in _VIDEO_CODECS
                and codecs[0].pix_fmt in _PIXELS
                and all(s.codec_context and s.codec_context.name in _AUDIO_CODECS for s in audios)
            )
    except (av.error.FFmpegError, OSError, ValueError):
        raise VepeError(
            f"'{name}' is not a video, or is damaged or cut off; send another."
        ) from None


def convert(result: Path, format: str) -> Path:
    """The poses of a job in another format, next to its result. Raises VepeError as the writer."""
    check_package(format)
    (tracks,) = read_tracks(result)
    return write_tracks(format, result.with_suffix(""), tracks)
