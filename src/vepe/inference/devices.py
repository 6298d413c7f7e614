"""Which device a model runs on, and faster memory for networks on a CPU."""

from __future__ import annotations

import ctypes
import sys

import torch

from vepe.errors import VepeError

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # from <malloc.h>


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; `auto` takes the first available of cuda, mps and cpu.

    Raises:
        VepeError: where the name is no device, or this machine does not have it.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise VepeError(f"'{name}' is no device; give auto, cpu, cuda, cuda:1 or mps.")
    if device.type == "cuda" and not torch.cuda.is_available():
        why = "finds no NVIDIA GPU" if torch.version.cuda else "is a build without CUDA"
        raise VepeError(f"There is no device '{name}': torch {why}; use cpu.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise VepeError(
            f"There is no device '{name}'; this machine has cuda:0 to cuda:{count - 1}."
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise VepeError("There is no device 'mps' here; use cpu.")
    return device


def keep_freed_memory() -> bool:
    """Tells glibc to keep freed memory in this process, which makes networks on a CPU faster.

    glibc returns large blocks to the kernel as soon as they are freed. A network asks for the same
    sizes again a moment later, and the kernel clears every page again: element-wise operations can
    cost several times as much. Memory use stays at its peak instead; the peak itself is the same.

    The setting holds for the whole process, so the library never calls this by itself; the `vepe`
    command does. Call it once at the start of a program that runs models on a CPU.

    Returns:
        Whether it worked: on Linux with glibc.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 64 << 20))
    return all(mallopt(key, value) == 1 for key, value in settings)
