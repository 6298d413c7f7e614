"""A folder of pictures, or a single picture, read as one video."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from vepe.errors import VepeError
from vepe.types import Frame, VideoInfo
from vepe.video.images import image_size, list_images, read_image
from vepe.video.source import Span, VideoSource


class FolderSource(VideoSource):
    """Pictures in natural order as the frames of one video, at a constant `fps`.

    All headers are read at once, so that a picture of another size is found before the work
    begins, not after an hour.

    Raises:
        VepeError: where there are no pictures, one is no picture, or two differ in size.
    """

    def __init__(self, path: Path, span: Span, fps: float) -> None:
        self._paths = list_images(path)
        self._span = span
        self._closed = threading.Event()
        width, height = image_size(self._paths[0])
        for other in self._paths[1:]:
            size = image_size(other)
            if size != (width, height):
                raise VepeError(
                    f"The pictures of '{path}' differ in size: '{self._paths[0].name}' is "
                    f"{width}x{height}, '{other.name}' is {size[0]}x{size[1]}; give frames of one "
                    "size."
                )
        count = span.frame_count(len(self._paths), fps)
        if count == 0:
            raise VepeError(
                f"No picture of '{path}' lies in the wanted span ({len(self._paths)} pictures at "
                f"{fps:g} per second); give an earlier start or a later end."
            )
        self.info = VideoInfo(
            name=path.absolute().name,
            width=width,
            height=height,
            fps=fps,
            frame_count=count,
            path=path if path.is_file() else None,
        )

    def __iter__(self) -> Iterator[Frame]:
        self.warning = None
        begun = False
        for index, path in enumerate(self._paths):
            time_s = index / self.info.fps
            if self._closed.is_set() or self._span.is_over(time_s):
                return
            if not self._span.wants(index, time_s):
                continue
            try:
                image = read_image(path)
            except VepeError as error:
                if not begun:
                    raise
                self.warning = f"{error} The results stop before it, after {index} frames."
                return
            begun = True
            yield Frame(index, time_s, image, path.name)

    def close(self) -> None:
        """Ends a running iteration at its next frame."""
        self._closed.set()
