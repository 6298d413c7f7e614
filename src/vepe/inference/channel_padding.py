"""Depthwise convolutions of an ONNX graph with whole blocks of channels, at equal outputs.

Kernels work on blocks of channels and are slow on what is left over. The new channels are zero: the
convolution before writes zeros to them, and the one after ignores them.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def pad_depthwise(model: Any, block: int) -> None:
    """Pads the channels of depthwise convolutions to a multiple of `block`, in place.

    Only where a convolution of all channels comes before and after, with weights that nothing else
    reads and no more than bounds of activations (Clip) between.

    Args:
        model: an onnx.ModelProto.
        block: channels.
    """
    graph = _Graph(model)
    changed: set[str] = set()
    for node in model.graph.node:
        channels = graph.groups(node)
        more = -channels % block
        if not more or list(graph.weights[node.input[1]].dims[:2]) != [channels, 1]:
            continue
        before, maps_before = graph.neighbour(node, forward=False)
        after, maps_after = graph.neighbour(node, forward=True)
        if before is None or after is None:
            continue
        for convolution in (before, node):
            for name in convolution.input[1:]:  # weights and bias
                graph.pad(name, 0, more)
        graph.pad(after.input[1], 1, more)
        next(a for a in node.attribute if a.name == "group").i += more
        changed |= maps_before | maps_after
    shapes = [info for info in model.graph.value_info if info.name not in changed]
    del model.graph.value_info[:]
    model.graph.value_info.extend(shapes)


class _Graph:
    """Who writes and who reads a map, and the weights by name."""

    def __init__(self, model: Any) -> None:
        self.weights = {w.name: w for w in model.graph.initializer}
        self.writers = {name: node for node in model.graph.node for name in node.output}
        self.readers: dict[str, list[Any]] = {v.name: [None] for v in model.graph.output}
        for node in model.graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)

    def groups(self, node: Any) -> int:
        """Groups of a convolution whose weights are constants of its own; 0 for other nodes."""
        if node.op_type != "Conv":
            return 0
        if any(n not in self.weights or len(self.readers[n]) != 1 for n in node.input[1:]):
            return 0
        return next((a.i for a in node.attribute if a.name == "group"), 1)

    def neighbour(self, node: Any, *, forward: bool) -> tuple[Any | None, set[str]]:
        """The convolution of all channels before or after, or None; and the maps on the way."""
        maps: set[str] = set()
        while True:
            name = node.output[0] if forward else node.input[0]
            if len(self.readers.get(name, [])) != 1 or name not in self.writers:
                return None, maps
            maps.add(name)
            node = self.readers[name][0] if forward else self.writers[name]
            if node is None or node.op_type != "Clip":
                return node if node is not None and self.groups(node) == 1 else None, maps

    def pad(self, name: str, axis: int, more: int) -> None:
        """Adds zeros to weights at the end of an axis."""
        from onnx import numpy_helper

        values = numpy_helper.to_array(self.weights[name])
        widths = [(0, more if i == axis else 0) for i in range(values.ndim)]
        self.weights[name].CopyFrom(numpy_helper.from_array(np.pad(values, widths), name))
