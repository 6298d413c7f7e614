"""Which runtime runs a model, and on what device.

To add a backend, write a `Network` of your own, name it in `BACKENDS`, and open it in
`open_network`.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from vepe.config.model import ModelConfig
from vepe.errors import VepeError, missing_extra
from vepe.formats.files import as_path
from vepe.inference.devices import check_device
from vepe.inference.exported import interface_of
from vepe.inference.model_files import (
    EXPORTED_SUFFIXES,
    ONNX_SUFFIX,
    OPENVINO_SUFFIX,
    PREFIX,
    bundled_weights,
    find_weights,
    read_card,
    read_metadata,
)
from vepe.inference.network import Network

BACKENDS = ("auto", "torch", "onnxruntime", "openvino")


def open_network(
    name: str | Path, backend: str = "auto", device: str = "auto"
) -> tuple[Network, ModelConfig]:
    """Opens a model with the backend of that name.

    `auto` takes PyTorch for weights of your own and for GPUs where it is installed; for the bundled
    models and exported ones on a CPU the fastest installed of OpenVINO and ONNX Runtime.

    Args:
        name: a preset with bundled weights, a `.safetensors`, `.onnx` or OpenVINO `.xml` file, or
            an address on the Hugging Face hub.
        backend: from `BACKENDS`.
        device: auto, cpu, cuda, cuda:1 or mps.

    Raises:
        VepeError: where the file, the backend or the device is missing, or they do not fit.
    """
    if backend not in BACKENDS:
        raise VepeError(f"There is no backend '{backend}'; give {', '.join(BACKENDS)}.")
    check_device(device)
    exported = exported_file(name)
    if backend == "auto":
        backend, device = _choose(name, exported, device)
    if backend == "torch":
        return _open_torch(name, device)
    if exported is None:
        find_weights(name)  # no such file: said first
        raise VepeError(
            f"{_TITLES[backend]} runs exported models, and '{name}' holds weights; export it with "
            f"vepe export {name}, or use --backend torch."
        )
    if device not in ("auto", "cpu") and (backend == "openvino" or device == "mps"):
        raise VepeError(f"{_TITLES[backend]} has no device '{device}' here; use --device cpu.")
    if backend == "onnxruntime" and exported.suffix == OPENVINO_SUFFIX:
        raise VepeError(f"'{name}' is a model for OpenVINO; use --backend openvino.")
    interface = interface_of(read_metadata(exported), exported)
    config = read_card(exported).config
    if backend == "openvino":
        from vepe.inference.openvino_network import OpenVinoNetwork

        return OpenVinoNetwork(exported, interface), config
    from vepe.inference.onnx_network import OnnxNetwork

    return OnnxNetwork(exported, interface, "cpu" if device == "auto" else device), config


_TITLES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}


def exported_file(name: str | Path) -> Path | None:
    """The exported file of a name, or None where it names weights."""
    text, path = str(name), as_path(name, "a model")
    if text.startswith(PREFIX):
        return None
    if path.suffix in EXPORTED_SUFFIXES:
        return find_weights(name)
    if text == path.name and not path.is_file():
        return bundled_weights(text, ONNX_SUFFIX)
    return None


def _choose(name: str | Path, exported: Path | None, device: str) -> tuple[str, str]:
    """Backend and device for `auto`."""
    suffix = Path(name).suffix
    if suffix == OPENVINO_SUFFIX:
        return "openvino", device
    torch_runs = suffix != ONNX_SUFFIX and find_spec("torch") is not None
    if exported is None:
        return "torch", device
    if torch_runs and device not in ("auto", "cpu"):
        return "torch", device
    if torch_runs and device == "auto" and _has_gpu():
        from vepe.inference.torch_network import choose_device

        best = str(choose_device())
        if best != "cpu":
            return "torch", best
    if device in ("auto", "cpu") and find_spec("openvino") is not None:
        return "openvino", "cpu"
    return "onnxruntime", device


def _has_gpu() -> bool:
    """Whether it is worth the seconds that loading torch takes to look for a GPU."""
    return sys.platform == "darwin" or Path("/dev/nvidia0").exists() or sys.platform == "win32"


def _open_torch(name: str | Path, device: str) -> tuple[Network, ModelConfig]:
    if Path(name).suffix in EXPORTED_SUFFIXES:
        raise VepeError(
            f"'{name}' is an exported model, which PyTorch does not run; use --backend "
            "onnxruntime, or give the .safetensors file that it was exported from."
        )
    path = find_weights(name)  # no such file: said before torch is missed
    if find_spec("torch") is None:
        raise missing_extra(f"Running '{name}'", "torch", "torch")
    from vepe.inference.torch_network import TorchNetwork, choose_device
    from vepe.inference.weights import load_weights
    from vepe.models.backbone import fold_batch_norms

    chosen = choose_device(device)
    model, config, _ = load_weights(path)
    fold_batch_norms(model)
    return TorchNetwork(model, str(chosen)), config
