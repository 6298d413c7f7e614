"""Exported models in other formats than ONNX: OpenVINO's own files, and TorchScript.

Both have the interface of the ONNX file (`vepe.inference.exported`) and its metadata: OpenVINO
under `rt_info/vepe`, TorchScript in the extra file `vepe.json`.
"""

from __future__ import annotations

import copy
import json
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vepe.errors import missing_extra
from vepe.formats.files import replacing, replacing_named
from vepe.inference.comparison import Difference, Drift, compare
from vepe.inference.export import example_inputs, export_onnx, interface_for, metadata_of
from vepe.inference.exported import POSES, ExportedNetwork, Interface
from vepe.inference.model_files import OPENVINO_SUFFIX, read_metadata
from vepe.inference.onnx_network import OnnxNetwork
from vepe.inference.openvino_network import OpenVinoNetwork
from vepe.inference.quantise import LayerDrift, quantise
from vepe.inference.torch_network import TorchNetwork
from vepe.inference.weights import load_weights
from vepe.models.backbone import fold_batch_norms
from vepe.models.step import Step
from vepe.models.vepe import Vepe
from vepe.models.windows import MEMORY

METADATA_FILE = "vepe.json"


def save_openvino(source: Path, target: Path, *, half: bool) -> None:
    """Writes an ONNX file of `vepe export` as OpenVINO's `.xml`, with its weights as `.bin`.

    Args:
        half: store the weights in half precision.

    Raises:
        VepeError: where OpenVINO is missing.
    """
    try:
        import openvino
    except ImportError:
        raise missing_extra("--format openvino", "openvino", "openvino") from None
    model = openvino.convert_model(str(source))
    for key, value in read_metadata(source).items():
        model.set_rt_info(value, ["vepe", key])
    with (
        replacing(target.with_suffix(".bin")) as weights,
        replacing_named(target, OPENVINO_SUFFIX) as graph,
    ):
        openvino.save_model(model, str(graph), compress_to_fp16=half)
        graph.with_suffix(".bin").replace(weights)


class _Flat(nn.Module):
    """`Step` with tensors alone as inputs and outputs."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.step = step

    def forward(self, images: Tensor, sizes_px: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        count = len(MEMORY)
        memory, windows, flows = list(others[:count]), others[count], [*others[count + 1 :], None]
        outputs, new = self.step(images, sizes_px, memory, windows, flows[0])
        return (*outputs, *new)


def save_torchscript(
    model: Vepe, interface: Interface, metadata: dict[str, str], path: Path
) -> None:
    """Writes the step as TorchScript; the file is replaced whole.

    Args:
        model: in PyTorch; it stays as it is.
        interface, metadata: see `vepe.inference.export`.
    """
    traced = copy.deepcopy(model).eval()
    fold_batch_norms(traced)
    images, sizes, memory, windows, flows = example_inputs(interface)
    flat = [images, sizes, *memory, windows, *([] if flows is None else [flows])]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's notes on shapes
        script = torch.jit.trace(
            _Flat(Step(traced, interface.future).eval()), tuple(flat), check_trace=False
        )
    with replacing(path) as partial:
        torch.jit.save(script, str(partial), _extra_files={METADATA_FILE: json.dumps(metadata)})


class TorchScriptNetwork(ExportedNetwork):
    """A `Network` of a TorchScript file, to compare it with the model; it runs on the CPU."""

    backend = "torchscript"

    def __init__(self, path: Path, interface: Interface) -> None:
        super().__init__(interface, "cpu")
        self._script = torch.jit.load(str(path))

    @torch.inference_mode()
    def _run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = self._script(*(torch.from_numpy(array) for array in feeds.values()))
        names = [*POSES, *(f"frame.{name}" for name in MEMORY)]
        return {name: tensor.numpy() for name, tensor in zip(names, outputs, strict=True)}


class Exporter:
    """Writes a model in several formats, and compares each with PyTorch.

    Args:
        weights: the file of the model.
        fixed_wh: the only input size; None: any.
        half: store all weights in half precision.
        licence: of the weights.

    Attributes:
        runtime: title of what ran the last file.

    Raises:
        VepeError: as `load_weights`, or where the size does not fit.
    """

    runtime = ""

    def __init__(
        self, weights: Path, fixed_wh: tuple[int, int] | None, *, half: bool, licence: str
    ) -> None:
        self.model, self.config, self.training = load_weights(weights)
        self.fixed_wh, self.half, self.licence = fixed_wh, half, licence
        self.interface = interface_for(self.model, self.config, fixed_wh)

    def save(self, format: str, target: Path, images: Sequence[np.ndarray]) -> Difference:
        """Writes the file, and runs it on frames of a video.

        Args:
            format: onnx, openvino or torchscript.
        """
        network: ExportedNetwork
        if format == "torchscript":
            metadata = metadata_of(
                self.model, self.config, self.training, self.interface, self.licence
            )
            save_torchscript(self.model, self.interface, metadata, target)
            network, self.runtime = TorchScriptNetwork(target, self.interface), "TorchScript"
        elif format == "openvino":
            with tempfile.TemporaryDirectory() as folder:
                source = Path(folder) / "model.onnx"
                self._save_onnx(source)
                save_openvino(source, target, half=self.half)
            network, self.runtime = OpenVinoNetwork(target, self.interface), "OpenVINO"
        else:
            self._save_onnx(target)
            network, self.runtime = OnnxNetwork(target, self.interface, "cpu"), "ONNX Runtime"
        reference = TorchNetwork(self.model)
        reference.fixed_wh = self.fixed_wh
        return compare(reference, network, self.config, images)

    def save_int8(
        self, target: Path, images: Sequence[np.ndarray], on_layer: Callable[[str, int, int], None]
    ) -> tuple[list[LayerDrift], Drift]:
        """Writes ONNX in int8; arguments and result as of `vepe.inference.quantise.quantise`."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "model.onnx"
            self._save_onnx(source, split=False)
            return quantise(source, target, self.interface, self.config, images, on_layer=on_layer)

    def _save_onnx(self, path: Path, *, split: bool = True) -> None:
        export_onnx(
            self.model,
            self.config,
            self.training,
            path,
            fixed_wh=self.fixed_wh,
            half=self.half,
            split=split,
            licence=self.licence,
        )
