"""Cameras and network streams: frames as they arrive, always the newest one.

A reader that is slower than the camera must not fall further and further behind, nor fill the
memory: a thread receives frames and keeps only the newest; older ones are dropped and counted.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import av.error
import cv2
import numpy as np
from av.container import InputContainer

from vepe.errors import VepeError
from vepe.types import Frame, VideoInfo
from vepe.video.container import (
    NETWORK_TIMEOUT_S,
    NOMINAL_FPS,
    nominal_fps,
    public_name,
    time_base_of,
    video_stream,
)
from vepe.video.decoding import Decoding
from vepe.video.source import Clock, Span, VideoSource
from vepe.video.upright import Upright

TimedImages = Iterator[tuple[float | None, np.ndarray]]
"""Timestamps in seconds (None if unknown) with upright RGB images."""


class LiveSource(VideoSource):
    """Frames of a running source, read in its own thread; can be iterated once.

    A frame's index counts every frame that arrived, dropped ones too. An error of `images` ends
    the iteration after the last frame: a `VepeError` becomes the warning, any other is raised.

    Args:
        images: the source; only the thread reads and closes it.
        info: what is known about it.
        span: the part to read, counted from the first frame.
    """

    def __init__(self, images: TimedImages, info: VideoInfo, span: Span) -> None:
        self.info = info
        self.dropped = 0
        self._images = images
        self._span = span
        self._newest: Frame | None = None
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._ended = False
        self._closed = False
        self._thread = threading.Thread(target=self._receive, name="live video", daemon=True)
        self._thread.start()

    def _receive(self) -> None:
        clock = Clock(self.info.fps)
        try:
            for index, (raw_s, image) in enumerate(self._images):
                frame = Frame(index, clock.next_time(raw_s), image)
                over = self._span.is_over(frame.time_s)
                with self._changed:
                    if self._closed or over:
                        break
                    if not self._span.includes(index, frame.time_s):
                        continue
                    self.dropped += self._newest is not None
                    self._newest = frame
                    self._changed.notify_all()
        except VepeError as error:
            self.warning = str(error)
        except BaseException as error:  # raised again by the reader
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
            close = getattr(self._images, "close", None)
            if close is not None:
                close()

    def __iter__(self) -> Iterator[Frame]:
        while True:
            with self._changed:
                while self._newest is None and not (self._ended or self._closed):
                    # With a timeout, since Windows cannot interrupt a wait without one.
                    self._changed.wait(timeout=0.5)
                if self._newest is None and self._error is not None and not self._closed:
                    raise self._error
                if self._closed or self._newest is None:
                    return
                frame, self._newest = self._newest, None
            yield frame

    def close(self) -> None:
        """Ends the iteration and waits for the thread to release the device."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout=NETWORK_TIMEOUT_S + 1)


def stream_source(container: InputContainer, url: str, span: Span) -> LiveSource:
    """A network stream without an end. Raises VepeError if no frame of it can be decoded."""
    name = public_name(url)
    try:
        stream = video_stream(container, name)
        stream.thread_type = "SLICE"  # decoding whole frames in parallel would delay them
        decoding = Decoding(container, stream)
        frames = decoding.frames()
        first = next(frames, None)
        if first is None:
            raise VepeError(f"'{name}' sends no frame that can be decoded; check the stream.")
    except VepeError:
        container.close()
        raise
    upright = Upright(first, stream.sample_aspect_ratio)
    # Times count from the first frame that arrived: the stream may have started days ago.
    unit, zero = time_base_of(stream), first.pts or 0

    def images() -> TimedImages:
        frame: av.VideoFrame | None = first
        with container:
            while frame is not None:
                raw_s = None if frame.pts is None else float((frame.pts - zero) * unit)
                yield raw_s, upright.image(frame)
                frame = next(frames, None)
        if decoding.broken:
            raise VepeError(f"The stream '{name}' broke off; the results stop there.")

    width, height = upright.size
    has_audio = bool(container.streams.audio)
    info = VideoInfo(name, width, height, nominal_fps(stream), has_audio=has_audio, live=True)
    return LiveSource(images(), info, span)


_SCREENS = {
    "linux": ("x11grab", ""),
    "darwin": ("avfoundation", "Capture screen 0"),
    "win32": ("gdigrab", "desktop"),
}
"""libav's device for the screen, and how it is called, by platform; Linux has `DISPLAY`."""


def screen_source(span: Span) -> LiveSource:
    """The screen of this computer. Raises VepeError where PyAV or the system cannot capture it."""
    device, name = _SCREENS.get(sys.platform, ("", ""))
    if device not in av.formats_available:
        raise VepeError(
            "PyAV cannot capture the screen here: its FFmpeg was built without "
            f"{device or 'such a device'}; record the screen to a file, and give that."
        )
    name = name or os.environ.get("DISPLAY", "")
    if not name:
        raise VepeError(
            "There is no X display to capture (DISPLAY is not set); record the screen to a file, "
            "and give that."
        )
    try:
        container = av.open(name, format=device, options={"framerate": str(round(NOMINAL_FPS))})
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error).lower()
        raise VepeError(
            f"The screen cannot be captured ({reason}); record it to a file, and give that."
        ) from None
    return stream_source(container, "screen", span)


def camera_source(index: int, span: Span) -> LiveSource:
    """The camera of this number. Raises VepeError if it is missing, busy or sends nothing.

    Read with OpenCV, since PyAV's wheels are built without Video4Linux.
    """
    if sys.platform == "linux" and not Path(f"/dev/video{index}").exists():
        numbers = sorted(p.name.removeprefix("video") for p in Path("/dev").glob("video[0-9]*"))
        existing = f"found: {', '.join(numbers)}" if numbers else "none is connected"
        raise VepeError(f"There is no camera {index} ({existing}); check the number and the cable.")
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        camera = cv2.VideoCapture(index)
        success, first = camera.read() if camera.isOpened() else (False, None)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if not success or first is None:
        camera.release()
        raise VepeError(
            f"Camera {index} cannot be opened or sends no image; check that it is connected, "
            "that no other program uses it, and that you may use it."
        )
    fps = camera.get(cv2.CAP_PROP_FPS)

    def images() -> TimedImages:
        start_s = time.monotonic()
        image, success = first, True
        try:
            while success:
                yield time.monotonic() - start_s, cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
                success, image = camera.read()
        finally:
            camera.release()
        raise VepeError(f"Camera {index} stopped sending images; check its cable.")

    info = VideoInfo(
        name=f"camera{index}",
        width=first.shape[1],
        height=first.shape[0],
        fps=fps if 1 <= fps <= 1000 else NOMINAL_FPS,
        live=True,
    )
    return LiveSource(images(), info, span)
