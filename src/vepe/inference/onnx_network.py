"""Exported models on ONNX Runtime, the way models run by default."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from vepe.errors import VepeError
from vepe.inference.devices import available_cores, spinning
from vepe.inference.exported import ExportedNetwork, Interface

SPIN = "session.intra_op.allow_spinning"
OFTEN = 16
"""Steps of one size in a row that are worth a session of their own. It takes a second, and saves a
tenth or more of each step: what depends on sizes alone is computed once."""
MAX_FITTED = 2
"""Most sessions for one size that are kept; each holds the weights once more."""


class OnnxNetwork(ExportedNetwork):
    """A `Network` of an `.onnx` file.

    Args:
        path: of the file.
        interface: from its metadata.
        device: cpu, cuda or cuda:1.

    Raises:
        VepeError: where the file is damaged, or this build of ONNX Runtime lacks the device.
    """

    backend = "onnxruntime"

    def __init__(self, path: Path, interface: Interface, device: str) -> None:
        super().__init__(interface, device)
        import onnxruntime

        onnxruntime.set_default_logger_severity(3)  # errors; its warnings are not for users
        providers: list[object] = ["CPUExecutionProvider"]
        if device.startswith("cuda"):
            if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
                raise VepeError(
                    f"ONNX Runtime has no device '{device}' here; use --device cpu, or install "
                    "onnxruntime-gpu in place of onnxruntime."
                )
            index = int(device.partition(":")[2] or 0)
            providers.insert(0, ("CUDAExecutionProvider", {"device_id": index}))
        self._path, self._providers = path, providers
        self._lock = threading.Lock()
        self._shapes: tuple[tuple[int, ...], ...] = ()  # of the last step
        self._in_a_row = 0
        self._fitted: dict[tuple[tuple[int, ...], ...], Any] = {}
        try:
            self._any_size = self._open({})
        except Exception as error:  # its exceptions have no common class
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise VepeError(
                f"ONNX Runtime cannot load '{path}' ({reason}); export the model again."
            ) from None
        self._dimensions = [value.shape for value in self._any_size.get_inputs()]

    def _open(self, sizes: dict[str, int]) -> Any:
        """A session for inputs of these sizes, by the names of dimensions; any where left out."""
        import onnxruntime

        options = self._options()
        for name, size in sizes.items():
            options.add_free_dimension_override_by_name(name, size)
        return onnxruntime.InferenceSession(str(self._path), options, providers=self._providers)

    def _options(self) -> Any:
        """Settings of every session."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = available_cores()
        options.inter_op_num_threads = 1
        options.add_session_config_entry(SPIN, "1" if spinning() else "0")
        return options

    def _session_for(self, feeds: dict[str, np.ndarray]) -> Any:
        """The session for any size or, after `OFTEN` steps of one size, one for that size."""
        shapes = tuple(array.shape for array in feeds.values())
        with self._lock:
            if shapes in self._fitted:
                return self._fitted[shapes]
            self._in_a_row = self._in_a_row + 1 if shapes == self._shapes else 1
            self._shapes = shapes
            if self._in_a_row < OFTEN:
                return self._any_size
            names = [value.name for value in self._any_size.get_inputs()]
            sizes = {
                dimension: size
                for name, shape in zip(names, self._dimensions, strict=True)
                for dimension, size in zip(shape, feeds[name].shape, strict=True)
                if isinstance(dimension, str)
            }
            if len(self._fitted) == MAX_FITTED:
                del self._fitted[next(iter(self._fitted))]
            self._fitted[shapes] = self._open(sizes) if sizes else self._any_size
            return self._fitted[shapes]

    def _run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        session = self._session_for(feeds)
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, feeds), strict=True))
