"""What happens when a loss is no number: the run stops, names the part, and keeps the batch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from vepe.data.batch import Batch
from vepe.errors import VepeError
from vepe.formats.files import replacing

GRADIENTS = "gradients"
"""Stands for a part of the loss where all parts are finite, but their gradients are not."""


def not_finite(numbers: Mapping[str, float]) -> str | None:
    """The first part that is NaN or infinite."""
    return next((name for name, value in numbers.items() if not math.isfinite(value)), None)


def save_batch(
    path: Path, batch: Batch, keys: Sequence[tuple[int, ...]], numbers: Mapping[str, float]
) -> Path:
    """Writes a batch as plain tensors, for `torch.load(path, weights_only=True)`.

    It holds `images`, `times_s`, `targets` by field, `parts` of the loss, and `samples`: the key
    (seed, stage, index) of every clip.
    """
    state: dict[str, Any] = {
        "images": batch.images,
        "times_s": batch.times_s,
        "targets": {f.name: getattr(batch.targets, f.name) for f in fields(batch.targets)},
        "parts": dict(numbers),
        "samples": [list(key) for key in keys],
    }
    with replacing(path) as beside:
        torch.save(state, beside)
    return path


def stop_at(part: str, stage: str, step: int, saved: Path | None) -> VepeError:
    """The error that ends the run."""
    what = "The gradients are" if part == GRADIENTS else f"The loss part '{part}' is"
    kept = f"the batch is kept in '{saved}'; " if saved else ""
    return VepeError(
        f"{what} not finite at step {step} of stage '{stage}'; {kept}lower the learning rate or "
        "look at the batch, and resume from the last checkpoint."
    )
