"""Exported models on OpenVINO, which reads the same `.onnx` files, or its own `.xml`."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from vepe.errors import VepeError, missing_extra
from vepe.inference.devices import available_cores
from vepe.inference.exported import ExportedNetwork, Interface

MAX_COMPILED = 8
"""Most compiled sizes of a model that are kept: batches and aspect ratios."""


class OpenVinoNetwork(ExportedNetwork):
    """A `Network` of an `.onnx` or `.xml` file on a CPU; each input size is compiled once.

    Args:
        path: of the file.
        interface: from its metadata.

    Raises:
        VepeError: where the file is damaged.
    """

    backend = "openvino"

    def __init__(self, path: Path, interface: Interface) -> None:
        super().__init__(interface, "cpu")
        try:
            import openvino
        except ImportError:
            raise missing_extra("--backend openvino", "openvino", "openvino") from None
        self._core = openvino.Core()
        try:
            self._model = self._core.read_model(str(path))
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise VepeError(
                f"OpenVINO cannot load '{path}' ({reason}); export the model again."
            ) from None
        self._requests: OrderedDict[tuple[tuple[int, ...], ...], Any] = OrderedDict()
        self._lock = threading.Lock()

    def _run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        shapes = tuple(array.shape for array in feeds.values())
        with self._lock:
            request = self._requests.pop(shapes, None)
            if request is None:
                request = self._compile(feeds)
            self._requests[shapes] = request
            while len(self._requests) > MAX_COMPILED:
                self._requests.popitem(last=False)
            outputs = request.infer(feeds)
            # A tensor may have several names: an output's and those of equal tensors.
            arrays = [(port.get_names(), value.copy()) for port, value in outputs.items()]
        return {name: array for names, array in arrays for name in names}

    def _compile(self, feeds: dict[str, np.ndarray]) -> Any:
        model = self._model.clone()
        model.reshape({name: list(array.shape) for name, array in feeds.items()})
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": available_cores(),
            "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": False,
        }
        return self._core.compile_model(model, "CPU", settings).create_infer_request()
