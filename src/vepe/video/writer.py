"""Writing H.264 video with the source's timestamps and audio, whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import av.error
import numpy as np
from av.packet import Packet
from av.video.reformatter import VideoReformatter
from jaxtyping import UInt8

from vepe.errors import DISK_FULL, VepeError
from vepe.partial_files import Partial, claim_file, is_stream, publish, uninterrupted
from vepe.video.audio import AudioTrack

DEFAULT_TIME_BASE = Fraction(1, 90_000)
"""Unit of written timestamps in seconds: MPEG's own, whole for 24, 25, 29.97, 30, 50 and 60 fps."""

_BT709, _LIMITED_RANGE = 1, 1  # code points of ITU-T H.273
_QUALITY = {"crf": "20", "preset": "veryfast"}
_AVX2, _FMA3, _AVX512 = 11, 12, 256  # OpenCV's numbers, which its Python package does not name


class VideoWriter:
    """Writes RGB frames into an MP4 file (H.264, yuv420p, index in front).

    Writes a hidden file next to `path`, which replaces it at the end: `path` is never half a
    video. As a context manager it completes the file on a clean exit and on Ctrl-C (what was
    written stays playable), and removes the hidden file on any other exception. Without a frame,
    no file is written. The folder of `path` is created if it is missing.

    Args:
        path: the file to write; an existing one is replaced. It is MP4 whatever its suffix.
        width, height: size of the frames in pixels; odd sizes are padded by repeating the edge.
        fps: nominal frames per second; only for the length of the last frame.
        audio_from: file whose audio is copied (encoded as AAC if MP4 cannot hold it), cut to the
            written span. It may have none.
        start_s: time of the source that becomes 0 of the written video.
        time_base: unit of the written timestamps; a `VideoSource.time_base` keeps them exact.

    Attributes:
        path: the file to write.
        frames_written: number of frames taken so far.
        warning: one sentence if the audio is damaged or was left out, else None.

    Raises:
        VepeError: if the folder cannot be created or written to, the file would replace its own
            source, the size cannot be encoded, or the disk is full (also from `write`, `close`).
    """

    def __init__(
        self,
        path: str | Path,
        *,
        width: int,
        height: int,
        fps: float,
        audio_from: Path | None = None,
        start_s: float = 0.0,
        time_base: Fraction | None = None,
    ) -> None:
        self.path = Path(path)
        self.frames_written = 0
        self._size = (width, height)
        self._fps = min(max(fps, 0.01), 1000.0)
        self._unit = time_base or DEFAULT_TIME_BASE
        self._start = Fraction(start_s)
        self._last_pts: int | None = None
        self._decoding_lead: int | None = None  # ticks by which the first frame is decoded early
        self._finished = self._closed = False
        if audio_from is not None and self.path.exists() and self.path.samefile(audio_from):
            raise VepeError(f"'{self.path}' would replace the video it is made from; rename it.")
        self._reserved: Partial | None = None
        self._audio: AudioTrack | None = None
        self._scaler = VideoReformatter()
        try:
            with uninterrupted():
                self._reserved = _reserve(self.path)
            self._partial = self._reserved.path
            self._open(audio_from, start_s)
        except BaseException:  # also Ctrl-C: nothing is written yet
            self._release()
            raise

    def _open(self, audio_from: Path | None, start_s: float) -> None:
        with self._guarded():
            self._container = av.open(
                f"file:{self._partial.absolute()}",
                "w",
                format="mp4",
                options={"movflags": "+faststart"},
            )
            self._stream = self._add_stream()
            if audio_from is not None:
                self._audio = AudioTrack(audio_from, self._container, start_s)

    def _add_stream(self) -> av.VideoStream:
        rate = Fraction(self._fps).limit_denominator(1001)
        stream = self._container.add_stream("libx264", rate=rate, options=_x264_options())
        stream.width, stream.height = (side + side % 2 for side in self._size)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = self._unit
        # A key frame every two seconds, so that players can jump.
        stream.codec_context.gop_size = max(1, round(2 * self._fps))
        for tag in ("colorspace", "color_primaries", "color_trc"):
            setattr(stream.codec_context, tag, _BT709)
        stream.codec_context.color_range = _LIMITED_RANGE
        return stream

    @property
    def warning(self) -> str | None:
        """One sentence if the audio is damaged or was left out, else None."""
        return self._audio.warning if self._audio else None

    @property
    def bytes(self) -> int:
        """Size of the file so far; once the video is finished, that of the whole."""
        return self._partial.stat().st_size

    def write(self, image_rgb: UInt8[np.ndarray, "H W 3"], time_s: float) -> None:
        """Adds a frame shown from `time_s` (of the source, in seconds; later than the last one).

        Raises:
            VepeError: if the disk is full or the file cannot be written.
            ValueError: on an image of another size or type, or after `close`.
        """
        width, height = self._size
        if image_rgb.shape != (height, width, 3) or image_rgb.dtype != np.uint8:
            raise ValueError(f"expected uint8 ({height}, {width}, 3), got {image_rgb.shape}")
        if self._closed or self._finished:
            raise ValueError("the writer is closed")
        pts = round((Fraction(time_s) - self._start) / self._unit)
        if self._last_pts is not None:
            # Two frames cannot have the same timestamp; the later one moves by one tick.
            pts = max(pts, self._last_pts + 1)
        with self._guarded():
            frame = self._scaler.reformat(
                av.VideoFrame.from_numpy_buffer(_even(image_rgb)),
                format="yuv420p",
                dst_colorspace=_BT709,
                dst_color_range=_LIMITED_RANGE,
                threads=1,
            )
            frame.pts, frame.time_base = pts, self._unit
            self._mux(frame, float(pts * self._unit))
        self._last_pts = pts
        self.frames_written += 1

    def _mux(self, frame: av.VideoFrame | None, audio_until_s: float) -> None:
        """Encodes a frame (None: flushes the encoder) and stores it with the audio up to a time."""
        packets = self._stream.encode(frame)
        for packet in packets:
            if not packet.duration:
                packet.duration = self._frame_ticks()
            if self._decoding_lead is None:
                self._decoding_lead = (packet.pts or 0) - (packet.dts or 0)
            if frame is None and packet is packets[-1]:
                self._stretch_to_end(packet)
            self._container.mux(packet)
        if self._audio is not None:
            for packet in self._audio.until(audio_until_s):
                self._container.mux(packet)

    def _stretch_to_end(self, packet: Packet) -> None:
        """Makes the last packet in order of decoding last until the video ends.

        MP4 states the sum of the distances between decoding times. Decoding times lag by a number
        of frames, not by a time, so with uneven frame times the sum ends elsewhere than the video;
        readers believe it where it is shorter.
        """
        if packet.pts is None or packet.dts is None or self._last_pts is None:
            return
        packet.dts = max(packet.dts, packet.pts - (self._decoding_lead or 0))
        packet.duration = self._last_pts + self._frame_ticks() - packet.pts

    def _frame_ticks(self) -> int:
        return max(1, round(1 / (self._fps * self._unit)))

    def finish(self) -> None:
        """Completes the hidden file; only `close` moves it to `path`. Errors as there."""
        if self._closed or self._finished:
            return
        if self._last_pts is None:
            self.discard()
            return
        with self._guarded():
            end_s = float((self._last_pts + self._frame_ticks()) * self._unit)
            self._mux(None, end_s)
            self._container.close()
        self._finished = True

    def close(self) -> None:
        """Completes the file and moves it to `path`; a second call does nothing.

        Raises:
            VepeError: if the disk is full or the file cannot be written; nothing is left then.
        """
        self.finish()
        if self._closed:
            return
        with self._guarded():
            with self._partial.open("rb") as file:
                os.fsync(file.fileno())  # a full disk may show only now
            publish(self._partial, self.path)
        self._release()

    def discard(self) -> None:
        """Removes what was written; a second call, or one after `close`, does nothing."""
        if not self._closed:
            self._release()

    def _release(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._audio is not None:
            self._audio.close()
        with suppress(AttributeError, OSError, av.error.FFmpegError):
            self._container.close()
        if self._reserved is not None:
            with uninterrupted():
                self._reserved.remove()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Removes the partial file on any error, and turns system errors into one sentence."""
        try:
            yield
        except (OSError, av.error.FFmpegError) as error:
            self._release()
            raise _writing_error(self.path, error) from None
        except KeyboardInterrupt:
            raise  # what is written is valid; the context manager completes it
        except BaseException:
            self._release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None or issubclass(kind, KeyboardInterrupt):
            try:
                self.close()
            finally:
                self.discard()
        else:
            self.discard()


@lru_cache(maxsize=1)
def _x264_options() -> dict[str, str]:
    """Options with which equal frames give equal bytes.

    The code of x264 (core 165) for AVX-512 that propagates costs from block to block reads memory
    that nothing was written to, unless the image is a multiple of 128 px wide: the bits spent on
    single frames then depend on what the process did before. The code for AVX2 is as fast.
    """
    import cv2  # to ask for the CPU only

    if all(cv2.checkHardwareSupport(feature) for feature in (_AVX2, _FMA3, _AVX512)):
        return {**_QUALITY, "x264-params": "asm=avx2"}
    return _QUALITY


def _reserve(path: Path) -> Partial:
    """Creates the folder and an empty hidden file in it, so that missing rights show at once."""
    if path.is_dir() or is_stream(path):
        kind = "a folder" if path.is_dir() else "no regular file"
        raise VepeError(f"'{path}' is {kind}; give the name of a video file.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return claim_file(path)
    except OSError as error:
        raise _writing_error(path, error) from None


def _writing_error(path: Path, error: Exception) -> VepeError:
    """One sentence for a system error from writing `path`."""
    folder = path.parent
    code = getattr(error, "errno", None)
    if code in DISK_FULL:
        return VepeError(
            f"The disk is full: '{path.name}' does not fit into '{folder}'; free space."
        )
    if code in (errno.EEXIST, errno.ENOTDIR):
        return VepeError(f"'{folder}' is a file, not a folder; give another output folder.")
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return VepeError(f"The folder '{folder}' may not be written to; give another one.")
    reason = (getattr(error, "strerror", None) or str(error)).lower()
    return VepeError(f"'{path.name}' cannot be written into '{folder}': {reason}.")


def _even(image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H2 W2 3"]:
    """The image, contiguous, padded to even sides as yuv420p needs."""
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(image)
