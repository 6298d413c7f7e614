"""Reads ahead in a thread of its own, so that decoding and inference overlap."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

_POLL_S = 0.1


class Prefetched(Generic[T]):
    """The items of an iterable, read at most `depth` ahead; iterate once, then `close`.

    An error of the iterable is raised where its next item would have been.

    Args:
        items: iterated in the thread alone.
        depth: how many items may wait.
        stop: ends the iteration early, also while it waits for a slow source.

    Attributes:
        stopped: whether `stop` ended the iteration.
    """

    def __init__(
        self, items: Iterable[T], depth: int = 4, stop: Callable[[], bool] = lambda: False
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
        """Ends the thread at its next item; a source that hangs is left behind after a while."""
        self._closed.set()
        self._thread.join(timeout_s)
