"""Reads ahead in a thread of its own, so that decoding and inference overlap."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from vepe.types import Frame
from vepe.video.source import VideoSource

T = TypeVar("T")

DEPTH = 4
"""How many frames are read ahead."""

_LIVE_DEPTH = 1  # frames of a camera should be shown while they are current
_POLL_S = 0.1


class Prefetched(Generic[T]):
    """The items of an iterable, read at most `depth` ahead; iterate once, then `close`.

    An error of the iterable is raised in place of its next item.

    Args:
        items: iterated only in the thread.
        depth: how many items may wait.
        stop: ends the iteration early, also while it waits for a slow source.

    Attributes:
        stopped: whether `stop` ended the iteration.
    """

    def __init__(
        self, items: Iterable[T], depth: int = DEPTH, stop: Callable[[], bool] = lambda: False
    ) -> None:
        self._items, self._stop = items, stop
        self.stopped = False
        self._queue: queue.Queue[T | None] = queue.Queue(maxsize=depth)
        self._error: BaseException | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read, name="reading ahead", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except BaseException as error:
            self._error = error
        self._put(None)

    def _put(self, item: T | None) -> bool:
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=_POLL_S)
                return True
            except queue.Full:
                continue
        return False

    def __iter__(self) -> Iterator[T]:
        while not self._stop():
            try:
                item = self._queue.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if item is None:
                if self._error is not None:
                    raise self._error
                return
            yield item
        self.stopped = True

    def close(self, timeout_s: float = 5.0) -> None:
        """Ends the thread at its next item; a source that hangs is abandoned after a while."""
        self._closed.set()
        if self._thread is not threading.current_thread():  # where garbage is collected there
            self._thread.join(timeout_s)


@contextmanager
def read_ahead(
    source: VideoSource, stop: Callable[[], bool] = lambda: False
) -> Iterator[Prefetched[Frame]]:
    """The frames of a video, prefetched; closes the video at the end."""
    frames = Prefetched(source, _LIVE_DEPTH if source.info.live else DEPTH, stop)
    try:
        yield frames
    finally:
        source.close()  # first, so that the thread does not wait for a camera that hangs
        frames.close()
