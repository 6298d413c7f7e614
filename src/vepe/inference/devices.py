"""Which device a model runs on."""

from __future__ import annotations

import torch

from vepe.errors import VepeError


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
