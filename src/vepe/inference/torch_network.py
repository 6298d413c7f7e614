"""The network in PyTorch: own checkpoints, any backbone, any device that torch has."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from vepe.errors import VepeError
from vepe.inference.devices import check_device
from vepe.inference.network import KEY_PLACE, NetworkPoses
from vepe.models.decoder_layer import PoseOutput
from vepe.models.step import Step, output_tensors
from vepe.models.vepe import Vepe


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; `auto` takes the first available of cuda, mps and cpu.

    Raises:
        VepeError: where the name is no device, or this machine does not have it.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    check_device(name)
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        why = "finds no NVIDIA GPU" if torch.version.cuda else "is a build without CUDA"
        raise VepeError(f"There is no device '{name}': torch {why}; use cpu.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise VepeError(
            f"There is no device '{name}'; this machine has cuda:0 to cuda:{count - 1}."
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise VepeError("There is no device 'mps' here; use cpu.")
    return device


class TorchNetwork:
    """A model of PyTorch as a `Network`. It works on a copy of the model, in eval mode.

    Args:
        model: on any device; it stays as it is.
        device: where the copy runs.
    """

    backend = "torch"
    future: int | None = None
    fixed_wh: tuple[int, int] | None = None

    def __init__(self, model: Vepe, device: str = "cpu") -> None:
        self.device = device
        model = copy.deepcopy(model).eval().to(device)
        if torch.device(device).type == "cpu":
            # Convolutions run faster on a CPU with the channels innermost.
            model = model.to(memory_format=torch.channels_last)
        self.model = model
        self.stride = model.stride
        self.blank_wh = (2 * model.stride, 2 * model.stride)
        self.aligned = model.alignment == "flow"

    @torch.inference_mode()
    def step(
        self,
        images: UInt8[np.ndarray, "B H W 3"],
        sizes_px: Int[np.ndarray, "B 2"],
        memory: Sequence[object],
        windows: Int[np.ndarray, "Q T"],
        flows: Float[np.ndarray, "Q T-1 2 2 h w"] | None,
    ) -> tuple[NetworkPoses, list[object]]:
        """As `Network.step`."""
        step = Step(self.model, windows.shape[1] - 1 - KEY_PLACE)
        rows = cast("Sequence[list[Tensor]]", memory)
        outputs, new = step(
            self._tensor(images),
            self._tensor(sizes_px),
            [torch.stack(column) for column in zip(*rows, strict=True)],
            self._tensor(windows),
            None if flows is None else self._tensor(flows),
        )
        return NetworkPoses(*(_array(value) for value in outputs)), [
            list(row) for row in zip(*new, strict=True)
        ]

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device)


def numpy_poses(poses: PoseOutput) -> NetworkPoses:
    """The network's own output as what every backend gives."""
    return NetworkPoses(*(_array(value) for value in output_tensors(poses)))


def _array(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.detach().float().cpu().numpy()
    return array
