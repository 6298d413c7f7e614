"""Exported models on ONNX Runtime, the way models run by default."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vepe.errors import VepeError
from vepe.inference.devices import available_cores, spinning
from vepe.inference.exported import ExportedNetwork, Interface

SPIN = "session.intra_op.allow_spinning"


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
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = available_cores()
        options.inter_op_num_threads = 1
        options.add_session_config_entry(SPIN, "1" if spinning() else "0")
        providers: list[object] = ["CPUExecutionProvider"]
        if device.startswith("cuda"):
            if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
                raise VepeError(
                    f"ONNX Runtime has no device '{device}' here; use --device cpu, or install "
                    "onnxruntime-gpu in place of onnxruntime."
                )
            index = int(device.partition(":")[2] or 0)
            providers.insert(0, ("CUDAExecutionProvider", {"device_id": index}))
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # its exceptions have no common class
            reason = str(error).splitlines()[0]
            raise VepeError(
                f"ONNX Runtime cannot load '{path}' ({reason}); export the model again."
            ) from None

    def _run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        names = [output.name for output in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, feeds), strict=True))
