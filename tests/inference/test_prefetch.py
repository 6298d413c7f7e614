"""Reading ahead: order, errors at the right item, bounds, and an end that does not hang."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from vepe.inference.prefetch import Prefetched


def test_items_come_in_order() -> None:
    assert list(Prefetched(range(100), depth=3)) == list(range(100))
    assert list(Prefetched([])) == []


def test_an_error_comes_after_the_items_before_it() -> None:
    def broken() -> Iterator[int]:
        yield from range(5)
        raise OSError("gone")

    items = iter(Prefetched(broken(), depth=2))
    assert [next(items) for _ in range(5)] == list(range(5))
    with pytest.raises(OSError, match="gone"):
        next(items)


def test_no_more_than_the_depth_is_read_ahead() -> None:
    read = []

    def counted() -> Iterator[int]:
        for i in range(50):
            read.append(i)
            yield i

    items = Prefetched(counted(), depth=3)
    iterator = iter(items)
    for i in range(10):
        next(iterator)
        time.sleep(0.005)
        assert len(read) <= i + 1 + 3 + 1  # taken, queued, and one in the thread
    items.close()
    assert len(read) < 20


def test_stop_ends_the_wait_for_a_source_that_hangs() -> None:
    stop, release = threading.Event(), threading.Event()

    def hanging() -> Iterator[int]:
        yield 1
        release.wait(20)

    items = Prefetched(hanging(), stop=stop.is_set)
    threading.Timer(0.2, stop.set).start()
    begun = time.monotonic()
    assert list(items) == [1]
    assert time.monotonic() - begun < 2
    release.set()
    items.close()
    assert not items._thread.is_alive()
