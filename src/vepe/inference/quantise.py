"""int8 for exported models: ONNX Runtime's static quantisation, layers that suffer in float32.

Convolutions and the sums between them are computed on int8, with one scale per output channel of
the weights; everything else stays in float32: sampling of maps at positions, attention, the poses
themselves. The file keeps its inputs and outputs, and runs on ONNX Runtime and OpenVINO.

Ranges of the maps come from real frames. Each layer is measured alone: how far the poses move when
only it is in int8.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vepe.config.model import ModelConfig
from vepe.errors import VepeError, missing_extra
from vepe.formats.files import replacing
from vepe.inference.channel_padding import pad_depthwise
from vepe.inference.comparison import Drift, drift, stream_poses
from vepe.inference.exported import Interface
from vepe.inference.network import NetworkPoses
from vepe.inference.onnx_network import OnnxNetwork

MAX_DRIFT_PX = 2.0
"""Layers that alone move the keypoints by more on average stay in float32."""
MIN_CHANNELS = 8
"""Convolutions that read fewer channels, such as the first one on colours, are slower in int8."""
ALWAYS_FLOAT = ("/appearance/",)
"""Its convolution is a mean, which decides about no more than a colour."""
CHANNEL_BLOCK = 16
"""ONNX Runtime computes depthwise convolutions in int8 in blocks of so many channels, and what is
left channel by channel: 128 x 224 px take 1.8 ms with 56 channels, 1.0 with 64."""
MEASURED_FRAMES = 8
"""Frames on which layers are measured one by one."""
_BLOCK = re.compile(r"/(?:[^/]+/)*?(blocks\.\d+)/(blocks\.\d+\.\d+)/")


@dataclass(frozen=True)
class LayerDrift:
    """A layer, or a block of layers, and what happens to the poses if it alone is in int8."""

    name: str
    drift: Drift

    @property
    def suffers(self) -> bool:
        """Whether it stays in float32."""
        return self.drift.keypoints_px > MAX_DRIFT_PX


def quantise(
    source: Path,
    target: Path,
    interface: Interface,
    config: ModelConfig,
    images: Sequence[np.ndarray],
    *,
    on_layer: Callable[[str, int, int], None] = lambda name, done, total: None,
) -> tuple[list[LayerDrift], Drift]:
    """Writes an exported model in int8; the file is replaced whole.

    Args:
        source: an exported model in float32.
        target: where it goes.
        interface, config: of the model.
        images: frames of a video, from which the ranges are taken.
        on_layer: called before each layer is measured, with its name, the number of layers done,
            and of all layers.

    Returns:
        layers: each layer measured alone, the worst first.
        whole: the same for the written model.

    Raises:
        VepeError: where the package onnx is missing, or the frames show no people.
    """
    try:
        import onnx
    except ImportError:
        raise missing_extra("`vepe export --int8`", "onnx", "export") from None
    with tempfile.TemporaryDirectory() as folder:
        folded = Path(folder) / "folded.onnx"
        _fold(source, folded)
        model = onnx.load(str(folded))
        _name_nodes(model)
        pad_depthwise(model, CHANNEL_BLOCK)
        some = images[:: max(1, len(images) // MEASURED_FRAMES)][:MEASURED_FRAMES]
        reference = _record(folded, interface, config, some)[1]
        if drift(reference, reference).people == 0:
            raise VepeError(
                "The model finds no people in these frames, so that int8 cannot be measured; give "
                "a --video of people."
            )
        ranges = _ranges(model, _record(folded, interface, config, images)[0], folder)
        trial = Path(folder) / "trial.onnx"

        def measure(nodes: list[str]) -> Drift:
            onnx.save(_quantised(model, nodes, ranges), str(trial))
            return drift(reference, _record(trial, interface, config, some)[1])

        layers = _layers(model)
        measured = []
        for index, (name, nodes) in enumerate(layers.items()):
            on_layer(name, index, len(layers))
            measured.append(LayerDrift(name, measure(nodes)))
        chosen = [node for m in measured if not m.suffers for node in layers[m.name]]
        whole = measure(chosen)
        written = onnx.load(str(trial))
        floats = [layer.name for layer in measured if layer.suffers]
        _describe(written, precision="int8", float_layers=json.dumps(floats))
        with replacing(target) as partial:
            partial.write_bytes(written.SerializeToString())
    return sorted(measured, key=lambda layer: -layer.drift.keypoints_px), whole


def _fold(source: Path, target: Path) -> None:
    """The graph with constants computed and normalisations folded into convolutions."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


def _name_nodes(model: Any) -> None:
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"


class _Recorder(OnnxNetwork):
    """Keeps the inputs of the graph."""

    feeds: list[dict[str, np.ndarray]]

    def _run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.feeds.append({name: array.copy() for name, array in feeds.items()})
        return super()._run(feeds)


def _record(
    path: Path, interface: Interface, config: ModelConfig, images: Sequence[np.ndarray]
) -> tuple[list[dict[str, np.ndarray]], list[NetworkPoses]]:
    """The graph's inputs on the frames of a stream, and the poses."""
    network = _Recorder(path, interface, "cpu")
    network.feeds = []
    poses = list(stream_poses(network, config, images))
    # At the end of a stream, blank frames go in, which are no real ones.
    return [feeds for feeds in network.feeds if feeds["images"].any()], poses


def _ranges(model: Any, feeds: Sequence[dict[str, np.ndarray]], folder: str) -> Any:
    """Smallest and largest values of all maps that may become int8."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, create_calibrator

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left: Iterator[dict[str, np.ndarray]] = iter(feeds)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.left, None)

    path = Path(folder) / "named.onnx"
    onnx.save(model, str(path))
    calibrator = create_calibrator(
        str(path), ["Conv", "Add", "Clip"], augmented_model_path=f"{folder}/augmented.onnx"
    )
    calibrator.collect_data(Reader())
    return calibrator.compute_data()


def _quantised(model: Any, nodes: Sequence[str], ranges: Any) -> Any:
    """A copy of the model in which these nodes are in int8."""
    import onnx
    from onnxruntime.quantization import QDQQuantizer, QuantType

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    quantizer = QDQQuantizer(
        copy,
        per_channel=True,
        reduce_range=False,  # for processors without VNNI, which gain nothing from int8 anyway
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=ranges,
        nodes_to_quantize=list(nodes),
        nodes_to_exclude=[],
        op_types_to_quantize=["Conv", "Add", "Clip"],
        extra_options={},
    )
    quantizer.quantize_model()
    return quantizer.model.model


def _layers(model: Any) -> dict[str, list[str]]:
    """Names of the nodes that may be in int8, by layer or block: convolutions, the bounds of their
    activations, and the sums within a block.
    """
    channels = {w.name: w.dims[1] for w in model.graph.initializer if len(w.dims) == 4}
    depthwise = {w.name for w in model.graph.initializer if len(w.dims) == 4 and w.dims[1] == 1}
    layers: dict[str, list[str]] = {}
    for node in model.graph.node:
        path = node.output[0]
        if node.op_type != "Conv" or path.startswith(ALWAYS_FLOAT):
            continue
        weight = node.input[1]
        if weight in depthwise or channels.get(weight, 0) >= MIN_CHANNELS:
            layers.setdefault(_layer(path), []).append(node.name)
    for node in model.graph.node:
        name = _layer(node.output[0])
        if node.op_type in ("Add", "Clip") and name in layers and _BLOCK.match(node.output[0]):
            layers[name].append(node.name)
    return layers


def _layer(path: str) -> str:
    """`/backbone/net/blocks.1/blocks.1.0/bn1/...` is `backbone blocks.1.0`; of any other node, the
    first two parts: `pyramid down.0`.
    """
    parts = [part for part in path.split("/") if part]
    block = _BLOCK.match(path)
    return f"{parts[0]} {block[2]}" if block else " ".join(parts[: min(2, len(parts) - 1)])


def _describe(model: Any, **values: str) -> None:
    for key, value in values.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
