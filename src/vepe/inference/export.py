"""Exports a model of PyTorch to one ONNX file: the step of `vepe.models.step` with its metadata.

The graph takes inputs of any size and any number of frames, unless a size is fixed. Weights are
stored in half precision where that loses nothing, as in bundled weights, and computed in float32.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vepe import __version__
from vepe.config.model import ModelConfig
from vepe.errors import VepeError, missing_extra
from vepe.formats.files import replacing
from vepe.inference.exported import POSES, Interface
from vepe.models.backbone import fix_padding, split_early_blocks
from vepe.models.optical_flow import FLOW_SCALE
from vepe.models.step import Step
from vepe.models.vepe import Vepe
from vepe.models.windows import MEMORY

OPSET = 20
FUTURE = 4
"""Places after the key frame, at least; the bundled models read four frames ahead."""
_FOLDING = ["ConvBNFusion", "ConvMulFusion", "ConvAddFusion"]
"""Optimisations of ONNX Runtime that would change weights."""
_SMALL = 1024
"""Tensors of fewer values stay in float32."""


def interface_for(
    model: Vepe, config: ModelConfig, fixed_wh: tuple[int, int] | None = None
) -> Interface:
    """The sizes of the exported model. Raises VepeError where the input size does not fit."""
    if fixed_wh is not None and any(side % model.stride or side <= 0 for side in fixed_wh):
        raise VepeError(
            f"The input size {fixed_wh[0]}x{fixed_wh[1]} is not a multiple of the model's stride "
            f"{model.stride}; round both sides up."
        )
    return Interface(
        stride=model.stride,
        strides=tuple(config.strides),
        people=config.queries,
        keypoints=len(config.skeleton),
        identity=config.consistency.dim,
        future=max(FUTURE, config.temporal.lookahead),
        aligned=model.alignment == "flow",
        fixed_wh=fixed_wh,
    )


def export_onnx(
    model: Vepe,
    config: ModelConfig,
    training: dict[str, Any],
    path: Path,
    *,
    fixed_wh: tuple[int, int] | None = None,
    half: bool = False,
    split: bool = True,
    licence: str = "",
) -> Interface:
    """Writes the model as ONNX; the file is replaced whole.

    Args:
        model, config, training: from `load_weights`.
        path: ends in `.onnx`.
        fixed_wh: the only input size; None: any.
        half: store all weights in half precision, also where that rounds them.
        split: run wide blocks in pieces, see `split_early_blocks`; int8 is faster without.
        licence: of the weights.

    Raises:
        VepeError: where the package onnx is missing, or the size does not fit.
    """
    if find_spec("onnx") is None:
        raise missing_extra("`vepe export`", "onnx", "export")
    interface = interface_for(model, config, fixed_wh)
    buffer = io.BytesIO()
    # Batch normalisation stays: folded into convolutions, half precision would round it.
    traced = copy.deepcopy(model).eval()
    if split:
        split_early_blocks(traced)
    fix_padding(traced)
    _trace(traced, interface, buffer)
    graph = _simplified(buffer.getvalue())
    _store_in_half(graph.graph, everything=half)
    metadata = metadata_of(model, config, training, interface, licence)
    for key, value in metadata.items():
        entry = graph.metadata_props.add()
        entry.key, entry.value = key, value
    graph.producer_name, graph.producer_version = "vepe", __version__
    with replacing(path) as partial:
        partial.write_bytes(graph.SerializeToString())
    return interface


def metadata_of(
    model: Vepe,
    config: ModelConfig,
    training: dict[str, Any],
    interface: Interface,
    licence: str,
) -> dict[str, str]:
    """What an exported model says of itself."""
    return {
        "vepe_version": __version__,
        "config": config.model_dump_json(),
        "training": json.dumps(training),
        "interface": interface.to_json(),
        "skeleton": json.dumps(list(config.skeleton.keypoints)),
        "parameters": str(sum(p.numel() for p in model.parameters())),
        "weights_sha256": _digest(model),
        "license": licence,
    }


def _trace(model: Vepe, interface: Interface, buffer: io.BytesIO) -> None:
    """The graph of `Step`."""
    inputs = example_inputs(interface)
    names = ["images", "sizes_px", *(f"memory.{name}" for name in MEMORY), "windows"]
    if interface.aligned:
        names.append("flows")
    axes: dict[str, dict[int, str]] = {}
    if interface.fixed_wh is None:
        axes = {
            "images": {0: "frames", 1: "height", 2: "width"},
            "sizes_px": {0: "frames"},
            **{f"memory.{name}": {0: "memory"} for name in MEMORY},
            "windows": {0: "keys"},
            "flows": {0: "keys", 4: "flow_height", 5: "flow_width"},
            **{name: {0: "keys"} for name in POSES},
            **{f"frame.{name}": {0: "frames"} for name in MEMORY},
        }
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's notes on shapes, and its age
        torch.onnx.export(
            Step(model, interface.future).eval(),
            tuple(inputs),
            buffer,  # type: ignore[arg-type]
            dynamo=False,  # the newer exporter takes minutes where sizes are free
            opset_version=OPSET,
            training=torch.onnx.TrainingMode.PRESERVE,
            input_names=names,
            output_names=[*POSES, *(f"frame.{name}" for name in MEMORY)],
            dynamic_axes={k: v for k, v in axes.items() if k != "flows" or interface.aligned},
        )


def example_inputs(interface: Interface) -> list[Any]:
    """Inputs of `Step` to trace it with, for a new frame and its window."""
    width, height = interface.fixed_wh or (8 * interface.stride, 6 * interface.stride)
    places = interface.places
    windows = torch.arange(places)[None]
    windows[0, places - 1] = places - 1  # the new frame
    flows = None
    if interface.aligned:
        flows = torch.zeros(1, places - 1, 2, 2, height // FLOW_SCALE, width // FLOW_SCALE)
    return [
        torch.zeros(1, height, width, 3, dtype=torch.uint8),
        torch.tensor([[width, height]]),
        [torch.zeros(shape) for shape in interface.memory_shapes(places - 1)],
        windows,
        flows,
    ]


def _simplified(traced: bytes) -> Any:
    """The same graph with everything computed that depends on no input; it opens in half the time.

    Normalisations stay apart from convolutions, as their product is not exact in half precision.
    """
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "simplified.onnx"
        options.optimized_model_filepath = str(path)
        try:
            onnxruntime.InferenceSession(
                traced, options, providers=["CPUExecutionProvider"], disabled_optimizers=_FOLDING
            )
            graph = onnx.load(str(path))
        except Exception as error:  # those of ONNX Runtime and protobuf have no common class
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise VepeError(
                f"ONNX Runtime cannot simplify the graph ({reason}); "
                "check the free space of the temporary folder."
            ) from error
    used = [entry for entry in graph.opset_import if not entry.domain]
    del graph.opset_import[:]  # ONNX Runtime lists all domains that it knows
    graph.opset_import.extend(used)
    return graph


def _store_in_half(graph: Any, *, everything: bool) -> None:
    """Stores weights in float16, followed by a cast back, where no value changes by it."""
    from onnx import TensorProto, helper, numpy_helper

    kept, casts = [], []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        half = values.astype(np.float16) if tensor.data_type == TensorProto.FLOAT else None
        fits = half is not None and values.size >= _SMALL and bool(np.isfinite(half).all())
        if half is None or not fits or not (everything or np.array_equal(half, values)):
            kept.append(tensor)
            continue
        name = f"{tensor.name}.half"
        kept.append(numpy_helper.from_array(half, name))
        casts.append(helper.make_node("Cast", [name], [tensor.name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)


def _digest(model: Vepe) -> str:
    """SHA-256 of all tensors, by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().numpy().tobytes())
    return digest.hexdigest()
