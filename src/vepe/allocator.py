"""Keeps freed memory in the process, so that big tensors do not cost a page fault a page.

glibc hands large blocks back to the kernel as soon as they are freed; a network on a CPU asks for
the same sizes again a moment later, and the kernel clears every page anew. Element-wise operations
can cost several times as much that way.
"""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # from <malloc.h>


def keep_freed_memory() -> bool:
    """Tells glibc to keep what is freed; True where that worked (Linux with glibc).

    Memory use stays at its peak instead of going up and down; the peak itself is the same.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 64 << 20))
    return all(mallopt(key, value) == 1 for key, value in settings)
