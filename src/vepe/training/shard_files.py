"""The shards that a source names: files on this machine, or addresses that are fetched first."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vepe.data.label_sets import matching_files
from vepe.data.remote import Progress, expand, fetch, is_remote


def local_shards(patterns: tuple[str, ...], root: Path) -> list[Path]:
    """The files of glob patterns below `root` and of addresses, fetched where they are new.

    Raises:
        VepeError: where a pattern matches nothing or an address cannot be fetched.
    """
    found: list[Path] = []
    for pattern in patterns:
        if is_remote(pattern):
            with _shown() as progress:
                found += [fetch(address, progress=progress) for address in expand(pattern)]
        else:
            found += matching_files(root, [pattern], "shards")
    return found


@contextmanager
def _shown() -> Iterator[Progress | None]:
    """A bar with sizes on stderr; nothing where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    if not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def told(address: str, done: int, whole: int | None) -> None:
            if address not in tasks:
                tasks[address] = bars.add_task(address.rpartition("/")[2], total=whole)
            bars.update(tasks[address], completed=done)

        yield told
