"""`vepe export`: a model as one file for other runtimes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vepe.cli.output import echo
from vepe.inference import DEFAULT_MODEL

if TYPE_CHECKING:
    import numpy as np

_FRAMES = 12
_TOLERANCE_PX = 0.01


def export(
    model: Annotated[
        str,
        typer.Argument(help="Preset with bundled weights, .safetensors file, or hf:// address."),
    ] = DEFAULT_MODEL,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The file to write.", show_default="MODEL.onnx"),
    ] = None,
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
        typer.Option(help="Video to compare with PyTorch on.", show_default="generated frames"),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.")
    ] = False,
) -> None:
    """Export a model to ONNX, with the state of a stream as inputs and outputs.

    ONNX Runtime and OpenVINO run the file, here (--model FILE.onnx --backend openvino) and without
    VEPE (examples/onnx_track.py); TensorRT and other runtimes read ONNX, too, but are not tested.
    The result is compared with PyTorch on the frames of a video, and the difference printed.
    """
    from vepe.errors import VepeError, missing_extra
    from vepe.formats.files import check_targets
    from vepe.inference.model_files import ONNX_SUFFIX, bundled_weights, find_weights

    size = None if imgsz is None else _size(imgsz)
    weights = find_weights(model)
    target = output or Path(f"{weights.stem}{ONNX_SUFFIX}")
    if target.suffix != ONNX_SUFFIX:
        raise VepeError(f"'{target}' does not end in {ONNX_SUFFIX}; name a file that does.")
    check_targets([target], [weights], overwrite=overwrite)
    images = _images(video)
    try:
        from vepe.inference.export import compare, export_onnx
        from vepe.inference.torch_network import TorchNetwork
        from vepe.inference.weights import load_weights
    except ImportError:
        raise missing_extra("`vepe export`", "torch", "export") from None
    from vepe.inference.onnx_network import OnnxNetwork

    loaded, config, training = load_weights(weights)
    licence = "Apache-2.0" if bundled_weights(model) == weights else ""
    interface = export_onnx(
        loaded, config, training, target, fixed_wh=size, half=half, licence=licence
    )
    exported = OnnxNetwork(target, interface, "cpu")
    apart = compare(TorchNetwork(loaded), exported, config, images)
    shape = "any input size" if size is None else f"input {size[0]}x{size[1]}"
    echo(
        f"{target}: {target.stat().st_size / 1e6:.1f} MB, {shape}. On {len(images)} frames with "
        f"{apart.people} people, PyTorch and ONNX Runtime differ by at most "
        f"{apart.keypoints_px:.4f} px and {apart.scores:.5f} in scores."
    )
    if apart.keypoints_px > _TOLERANCE_PX and not half:
        raise VepeError(
            f"The exported model differs by more than {_TOLERANCE_PX} px from PyTorch; do not use "
            "it, and report the model and the versions that `vepe doctor` prints."
        )


def _size(text: str) -> tuple[int, int]:
    """Width and height. Raises VepeError where the text is no size."""
    from vepe.errors import VepeError

    match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text)
    if match is None:
        raise VepeError(f"'{text}' is no input size; give width and height, as 448x256.")
    return int(match[1]), int(match[2])


def _images(video: Path | None) -> list[np.ndarray]:
    """The first frames of the video, or a moving pattern."""
    import numpy as np

    if video is not None:
        from itertools import islice

        from vepe.video.reader import open_video

        with open_video(video) as frames:
            return [frame.image for frame in islice(frames, _FRAMES)]
    texture = np.random.default_rng(0).integers(0, 255, (24, 40, 3)).astype(np.uint8)
    large = texture.repeat(16, axis=0).repeat(16, axis=1)
    return [np.ascontiguousarray(large[:360, 3 * t : 3 * t + 480]) for t in range(_FRAMES)]
