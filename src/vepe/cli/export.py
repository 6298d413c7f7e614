"""`vepe export`: a model as one file for other runtimes."""

from __future__ import annotations

import re
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vepe.cli.output import echo, note
from vepe.inference import DEFAULT_MODEL

if TYPE_CHECKING:
    import numpy as np

    from vepe.inference.comparison import Drift
    from vepe.inference.quantise import LayerDrift

_FRAMES, _EVERY = 12, 4
_INT8_FRAMES = 32
_CLIP = Path(__file__).parents[3] / "assets" / "store_aisle.mp4"
_TOLERANCE_PX = 0.01
_LISTED = 12


class Format(StrEnum):
    """What `--format` takes."""

    ONNX = "onnx"
    OPENVINO = "openvino"
    TORCHSCRIPT = "torchscript"
    COREML = "coreml"
    TENSORRT = "tensorrt"


_SUFFIXES = {Format.ONNX: ".onnx", Format.OPENVINO: ".xml", Format.TORCHSCRIPT: ".torchscript"}
_FROM_ONNX = {
    Format.TENSORRT: "trtexec, which comes with NVIDIA's TensorRT (trtexec --onnx=MODEL.onnx)",
    Format.COREML: "ONNX Runtime's Core ML provider, in onnxruntime for macOS",
}


def export(
    model: Annotated[
        str,
        typer.Argument(help="Preset with bundled weights, .safetensors file, or hf:// address."),
    ] = DEFAULT_MODEL,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The file to write.", show_default="MODEL.onnx"),
    ] = None,
    format: Annotated[
        Format,
        typer.Option(
            help="onnx runs on most runtimes. coreml and tensorrt are experimental: they say how "
            "to build one from the ONNX file."
        ),
    ] = Format.ONNX,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8",
            help="Compute convolutions on int8, but for those that suffer: faster on processors "
            "with VNNI or AMX. ONNX only.",
        ),
    ] = False,
    imgsz: Annotated[
        str | None,
        typer.Option(
            help="Fix the input to this size, as 448x256; without, it takes videos of any shape.",
            show_default="any size",
        ),
    ] = None,
    half: Annotated[
        bool,
        typer.Option(
            "--half",
            help="Store all weights in half precision, also where that rounds them; they are "
            "computed in float32 either way.",
        ),
    ] = False,
    video: Annotated[
        Path | None,
        typer.Option(
            help="Video to compare with PyTorch on, and to take the ranges of int8 from.",
            show_default="generated frames; for int8, a clip of a shop in a clone",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.")
    ] = False,
) -> None:
    """Export a model as one file, with the state of a stream as inputs and outputs.

    ONNX Runtime and OpenVINO run the ONNX file, here (--model FILE.onnx --backend openvino) and
    without VEPE (examples/onnx_track.py). The result is compared with PyTorch on the frames of a
    video, and the difference printed. --int8 also lists the layers by the error of each alone.
    """
    from vepe.errors import VepeError, missing_extra
    from vepe.formats.files import check_targets
    from vepe.inference.model_files import bundled_weights, find_weights

    if format in _FROM_ONNX:
        raise VepeError(
            f"--format {format} is experimental, and VEPE writes no such file itself; export with "
            f"--format onnx --imgsz 448x256, and give that to {_FROM_ONNX[format]}."
        )
    if int8 and (format is not Format.ONNX or half):
        raise VepeError("--int8 goes with --format onnx and without --half.")
    size = None if imgsz is None else _size(imgsz)
    weights = find_weights(model)
    suffix = _SUFFIXES[format]
    target = output or Path(f"{weights.stem}{'-int8' if int8 else ''}{suffix}")
    if target.suffix != suffix:
        raise VepeError(f"'{target}' does not end in {suffix}; name a file that does.")
    check_targets([target], [weights], overwrite=overwrite)
    images = _int8_images(video) if int8 else _images(video)
    try:
        from vepe.inference.export_formats import Exporter
    except ImportError:
        raise missing_extra("`vepe export`", "torch", "export") from None

    exporter = Exporter(
        weights, size, half=half, licence="Apache-2.0" if bundled_weights(model) == weights else ""
    )
    shape = "any input size" if size is None else f"input {size[0]}x{size[1]}"
    if int8:
        layers, whole = exporter.save_int8(target, images, _progress)
        _print_layers(layers)
        echo(_int8_summary(target, shape, len(images), whole))
        return
    apart = exporter.save(format.value, target, images)
    echo(
        f"{target}: {_megabytes(target):.1f} MB, {shape}. On {len(images)} frames with "
        f"{apart.people} people, PyTorch and {exporter.runtime} differ by at most "
        f"{apart.keypoints_px:.4f} px and {apart.scores:.5f} in scores."
    )
    if apart.keypoints_px > _TOLERANCE_PX and not half:
        raise VepeError(
            f"The exported model differs by more than {_TOLERANCE_PX} px from PyTorch; do not use "
            "it, and report the model and the versions that `vepe doctor` prints."
        )


def _megabytes(target: Path) -> float:
    files = [target, target.with_suffix(".bin")] if target.suffix == ".xml" else [target]
    return sum(file.stat().st_size for file in files) / 1e6


def _progress(layer: str, done: int, total: int) -> None:
    note(f"measuring {done + 1} of {total}: {layer}")


def _print_layers(layers: list[LayerDrift]) -> None:
    """The layers that move the keypoints most, and those that stay in float32."""
    echo("px moved by int8 in one layer alone (median over people), and where it is not used:")
    for index, layer in enumerate(layers):
        if index < _LISTED or layer.suffers:
            kept = "  float32" if layer.suffers else ""
            echo(f"{layer.drift.keypoints_px:7.3f}  {layer.name}{kept}")


def _int8_summary(target: Path, shape: str, frames: int, whole: Drift) -> str:
    return (
        f"{target}: {_megabytes(target):.1f} MB, {shape}, int8 from {frames} frames. Against "
        f"float32, keypoints of {whole.people} people move by {whole.keypoints_px:.2f} px and "
        f"scores by {whole.scores:.3f} (medians). Check its accuracy with vepe evaluate, and its "
        "speed with vepe benchmark."
    )


def _size(text: str) -> tuple[int, int]:
    """Width and height. Raises VepeError where the text is no size."""
    from vepe.errors import VepeError

    match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text)
    if match is None:
        raise VepeError(f"'{text}' is no input size; give width and height, as 448x256.")
    return int(match[1]), int(match[2])


def _int8_images(video: Path | None) -> list[np.ndarray]:
    """Frames of a video, spread over its first seconds."""
    from vepe.errors import VepeError
    from vepe.video.reader import open_video

    if video is None and not _CLIP.is_file():
        raise VepeError("--int8 takes its ranges from real frames; give a --video of people.")
    with open_video(video or _CLIP) as frames:
        return [frame.image for frame in islice(frames, 0, _INT8_FRAMES * _EVERY, _EVERY)]


def _images(video: Path | None) -> list[np.ndarray]:
    """The first frames of the video, or a moving pattern."""
    import numpy as np

    if video is not None:
        from vepe.video.reader import open_video

        with open_video(video) as frames:
            return [frame.image for frame in islice(frames, _FRAMES)]
    texture = np.random.default_rng(0).integers(0, 255, (24, 40, 3)).astype(np.uint8)
    large = texture.repeat(16, axis=0).repeat(16, axis=1)
    return [np.ascontiguousarray(large[:360, 3 * t : 3 * t + 480]) for t in range(_FRAMES)]
