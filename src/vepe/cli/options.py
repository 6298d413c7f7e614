"""Arguments and options that several commands share: poses, models, devices, formats."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import typer

from vepe.errors import VepeError, VepeWarning

Model = Annotated[
    str,
    typer.Option(
        help="Preset with bundled weights, .onnx or .safetensors file, or hf://OWNER/REPO."
    ),
]
FORMATS = (
    *("posetrack", "coco", "csv", "mot", "parquet", "openpose"),
    *("hdf5", "rerun", "slp", "nwb"),
)
"""Names of `vepe.formats.tracks.WRITERS`, which loads NumPy."""


def _formats(values: list[str] | None) -> list[str] | None:
    """The formats, also separated by commas; `json` is PoseTrack's."""
    names = ["posetrack" if name == "json" else name for name in split(values)]
    for name in names:
        if name not in FORMATS:
            from vepe.config.load import nearest

            raise typer.BadParameter(f"there is no format '{name}'{nearest(name, FORMATS)}")
    return names or None


Formats = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FORMAT,...",
        callback=_formats,
        help=f"Also write the poses as {', '.join(FORMATS[1:])} (several with commas). PoseTrack's "
        "JSON is always written. All others need the poses of the whole video in memory.",
        show_default=False,
    ),
]
Poses = Annotated[
    Path,
    typer.Argument(
        metavar="POSES",
        help="Poses of one video in any format that `vepe track` writes but MOT.",
        show_default=False,
    ),
]
Sequence = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Which video, where POSES holds several.",
        show_default=False,
    ),
]
Backend = Annotated[
    str,
    typer.Option(
        help="What runs the network: auto (the fastest installed), onnxruntime, openvino or torch."
    ),
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
Flip = Annotated[
    bool,
    typer.Option(
        "--flip",
        help="Merge the poses of each frame and its mirror image: more accurate, half as fast.",
    ),
]
InputPx = Annotated[int | None, typer.Option("--input-px", hidden=True)]
"""The old name of `--imgsz`, accepted until version 0.3."""


def split(values: list[str] | None) -> list[str]:
    """The parts of an option that is repeatable and takes several, separated by commas."""
    return [part.strip() for value in values or [] for part in value.split(",") if part.strip()]


def whole(text: str, option: str) -> int:
    """A track id. Raises VepeError where it is none."""
    try:
        return int(text)
    except ValueError:
        raise VepeError(f"{option} takes track ids such as 3; '{text}' is none.") from None


def image_size(imgsz: int | None, input_px: int | None) -> int | None:
    """The value of `--imgsz`, also under its old name."""
    if input_px is None:
        return imgsz
    message = "--input-px is now called --imgsz; the old name will go in version 0.3."
    warnings.warn(message, VepeWarning, stacklevel=2)
    return input_px if imgsz is None else imgsz


def nobody(conf: float, model: str) -> str:
    """What to try where no person was detected at all."""
    larger = "" if model != "vepe-n" else " --model vepe-s,"
    lower = f" --conf {max(conf / 2, 0.05):.2g}," if conf > 0.05 else ""
    return f"Nobody was detected; try{lower}{larger} or a larger --imgsz."


def prepare_device(device: str) -> None:
    """Sets this process up for a model on the device. Raises VepeError where there is none such."""
    from vepe.inference.devices import check_device, keep_freed_memory, quiet_threads

    check_device(device)
    if device in ("auto", "cpu"):
        keep_freed_memory()
    quiet_threads()
