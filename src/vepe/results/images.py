"""Images of frames that results refer to: at hand while they are fresh, decoded again later."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from vepe.errors import VepeError
from vepe.types import Frame
from vepe.video.reader import open_video
from vepe.video.source import VideoSource

Image = UInt8[np.ndarray, "H W 3"]

_NUM_RECENT = 8
"""How many images are kept: enough for look-ahead and for a loop that looks back a little."""

_READ_ON = 64
"""Up to so many frames ahead it is cheaper to read on than to open the video at a later time."""


class FrameImages:
    """The images of a video that can be read again, in constant memory.

    It may be used from several threads and be pickled; the copy decodes for itself.

    Args:
        source: a file, a folder of images, or an address of a file, as `open_video` takes it.
        fps: frames per second of a folder of images.
    """

    def __init__(self, source: str | Path, fps: float | None = None) -> None:
        self._source, self._fps = source, fps
        self._reset()

    def _reset(self) -> None:
        self._recent: OrderedDict[int, Image] = OrderedDict()
        self._lock = threading.RLock()
        self._reader: VideoSource | None = None
        self._frames: Iterator[Frame] = iter(())
        self._next = 0  # no frame before this index comes out of `_frames`

    def keep(self, frame: Frame) -> None:
        """Takes the image of a frame that was just decoded."""
        with self._lock:
            self._recent[frame.index] = frame.image
            self._recent.move_to_end(frame.index)
            while len(self._recent) > _NUM_RECENT:
                self._recent.popitem(last=False)

    def get(self, frame_index: int, time_s: float) -> Image:
        """The image of a frame. Frames in order are decoded once; any order is allowed.

        Raises:
            VepeError: where the video no longer has this frame.
        """
        with self._lock:
            if frame_index not in self._recent:
                self._decode(frame_index, time_s)
            return self._recent[frame_index]

    def _decode(self, frame_index: int, time_s: float) -> None:
        if self._reader is None or not 0 <= frame_index - self._next <= _READ_ON:
            self.close()
            self._reader = self._open_at(time_s)
            self._frames = iter(self._reader)
        for frame in self._frames:
            self._next = frame.index + 1
            if frame.index == frame_index:
                self.keep(frame)
                return
            if frame.index > frame_index:
                break
        self.close()
        raise VepeError(
            f"Frame {frame_index} of '{self._source}' cannot be read again; is this the video "
            "that the poses belong to, and unchanged?"
        )

    def _open_at(self, time_s: float) -> VideoSource:
        start_s = max(time_s - 1e-3, 0.0)  # a little early: times are floats
        try:
            return open_video(self._source, start_s=start_s, fps=self._fps)
        except VepeError:  # some files state a duration that is too short
            return open_video(self._source, fps=self._fps)

    def close(self) -> None:
        """Closes the video; it is opened again when an image is asked for."""
        with self._lock:
            if self._reader is not None:
                self._reader.close()
            close = getattr(self._frames, "close", None)
            if close is not None:
                close()  # of the generator, which holds the file
            self._reader, self._frames, self._next = None, iter(()), 0

    def __getstate__(self) -> dict[str, Any]:
        return {"_source": self._source, "_fps": self._fps}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()


def held(image: Image) -> Image:
    """For `FrameResult.load_image` of an image in memory: `partial(held, image)`, to be pickled."""
    return image
