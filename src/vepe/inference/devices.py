"""Keeps freed memory in the process, so that big tensors do not cost a page fault a page.

glibc hands large blocks back to the kernel as soon as they are freed; a network on a CPU asks for
the same sizes again a moment later, and the kernel clears every page anew. Element-wise operations
can cost several times as much that way.

Values that the command line tells of in its help, apart so that help stays quick.

Which device a model runs on.
"""

from __future__ import annotations

import ctypes
import sys

import torch

from vepe.errors import VepeError

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


DEFAULT_MODEL = "vepe-n"
"""The model that is used where none is named."""

DEFAULT_CONF = 0.4
"""Person score from which people are told, unless the caller says otherwise.

Chosen for the bundled weights on 79 COCO pictures: 49 % (vepe-n) and 51 % (vepe-s) of the labelled
people are found (OKS 0.3 or more), and 39 and 38 of the 40 pictures without people stay empty.
"""


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; `auto` takes the first of cuda, mps and cpu that is there.

    Raises:
        VepeError: where the name is no device, or this machine has none such.
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
