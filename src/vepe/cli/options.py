"""Options that several commands share: which model runs, where, and on what input."""

from __future__ import annotations

import warnings
from typing import Annotated

import typer

from vepe.errors import VepeWarning

Model = Annotated[
    str, typer.Option(help="Preset with bundled weights, .safetensors file, or hf://OWNER/REPO.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
ImageSize = Annotated[
    int | None,
    typer.Option(
        "--imgsz",
        help="Longer side of the network's input in px. Larger finds smaller people, more slowly.",
        show_default="the model's",
    ),
]
InputPx = Annotated[int | None, typer.Option("--input-px", hidden=True)]
"""The old name of `--imgsz`, accepted until version 0.3."""


def image_size(imgsz: int | None, input_px: int | None) -> int | None:
    """The value of `--imgsz`, also under its old name."""
    if input_px is None:
        return imgsz
    message = "--input-px is now called --imgsz; the old name will go in version 0.3."
    warnings.warn(message, VepeWarning, stacklevel=2)
    return input_px if imgsz is None else imgsz


def prepare_device(device: str) -> None:
    """Sets this process up for a model on the device. Raises VepeError where there is none such."""
    from vepe.inference.devices import choose_device, keep_freed_memory

    if choose_device(device).type == "cpu":
        keep_freed_memory()
