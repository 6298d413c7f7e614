"""How much memory a run takes."""

from __future__ import annotations

import psutil
import torch

_GIB = 2**30


def memory_gib() -> dict[str, float]:
    """`memory_gib`: resident memory of this process; `gpu_gib`: the most that tensors took on the
    GPU since the last call, where there is one."""
    found = {"memory_gib": psutil.Process().memory_info().rss / _GIB}
    if torch.cuda.is_available():
        found["gpu_gib"] = torch.cuda.max_memory_allocated() / _GIB
        torch.cuda.reset_peak_memory_stats()
    return found
