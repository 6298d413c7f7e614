"""Progress bars of lists."""

from __future__ import annotations

import threading

from vepe.cli.progress import progress_over, with_bar


def test_a_bar_that_is_not_shown_starts_no_thread() -> None:
    before = threading.active_count()
    for items in (with_bar([1, 2], "numbers"), progress_over([1, 2], "numbers")):
        assert [(item, threading.active_count()) for item in items] == [(1, before), (2, before)]
