"""Memory and CPU time of a process, on Linux; 0 where the system does not say."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Usage:
    """What a process uses: resident memory in MB, and CPU time of all its threads in seconds."""

    memory_mb: float = 0.0
    cpu_s: float = 0.0


def usage_of(process: int | str) -> Usage:
    """The usage of a process by its id, or of this one: `self`."""
    folder = Path("/proc") / str(process)
    try:
        pages = int((folder / "statm").read_text().split()[1])
        # The name in brackets may hold spaces; user and system time are fields 14 and 15.
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        return Usage(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, ticks / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError, AttributeError):
        return Usage()
