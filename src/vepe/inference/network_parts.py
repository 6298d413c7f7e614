"""How an exported model's time is spread over the parts of the network: ONNX Runtime's profile."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from vepe.config.model import ModelConfig
from vepe.inference.comparison import stream_poses
from vepe.inference.exported import Interface
from vepe.inference.onnx_network import OFTEN, OnnxNetwork

STEPS = 8
"""Steps that are measured, after the `OFTEN` that it takes to get a session for their size."""
REST = "input and output"
"""The part of what belongs to no module."""


class _Profiled(OnnxNetwork):
    """Sessions that write down how long each node takes."""

    folder = ""

    def _options(self) -> Any:
        options = super()._options()
        options.enable_profiling = True
        options.profile_file_prefix = f"{self.folder}/profile"
        return options


def time_parts(
    path: Path,
    interface: Interface,
    config: ModelConfig,
    images: Sequence[np.ndarray],
    input_px: int | None = None,
) -> dict[str, float]:
    """Milliseconds per frame by part of the network, the slowest first; the profiler adds some.

    Args:
        path, interface, config: the exported model.
        images: frames of a video; they are repeated as needed.
        input_px: longer side of the input; None: the model's.
    """
    if input_px is not None:
        config = config.model_copy(update={"input_px": input_px})
    count = OFTEN + STEPS + config.temporal.lookahead
    frames = [images[index % len(images)] for index in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        _Profiled.folder = folder
        network = _Profiled(path, interface, "cpu")
        for _ in stream_poses(network, config, frames):
            pass
        session = next(iter(network._fitted.values()))
        events = json.loads(Path(session.end_profiling()).read_text())
    spent = defaultdict[str, list[float]](list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            spent[event["name"]].append(event["dur"] / 1000)
    parts = defaultdict[str, float](float)
    for name, times in spent.items():
        parts[part_of(name)] += median(times)
    return dict(sorted(parts.items(), key=lambda part: -part[1]))


def part_of(node: str) -> str:
    """The module of a node: `backbone` of `/backbone/net/conv_stem/Conv_kernel_time`."""
    names = [name for name in node.split("/") if name]
    # Operators have capital letters, modules have not.
    return names[0] if node.startswith("/") and names[0].islower() else REST
