"""What exported models have in common: names and shapes of their inputs and outputs.

`vepe export` writes one graph per model, the step of `vepe.models.step`. Its inputs: `images`,
`sizes_px`, `memory.*` (the window's state), `windows` and, with alignment, `flows`. Its outputs:
`scores`, `keypoints_px`, `confidences`, `identities`, and `frame.*`, the new rows of the state.
`vepe.inference.network` describes them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
from jaxtyping import Float, Int, UInt8

from vepe.errors import VepeError
from vepe.inference.network import KEY_PLACE, NetworkPoses
from vepe.models.windows import MEMORY

POSES = ("scores", "keypoints_px", "confidences", "identities")
"""Outputs for key frames."""

MAX_SIZE = 8192
"""Largest side of an input, and largest number of people, keypoints and numbers of an identity."""


@dataclass(frozen=True)
class Interface:
    """The sizes of an exported model; JSON under `interface` in its metadata.

    Attributes:
        stride: height and width of the input are multiples of it.
        strides: of the cells that predict people.
        people: N.
        keypoints: K.
        identity: D, length of an identity embedding.
        future: places after the key frame in a window.
        aligned: whether it reads optical flow.
        fixed_wh: the only width and height of the input; None: any. A fixed model encodes one
            frame and fuses one key frame at a time.
    """

    stride: int
    strides: tuple[int, ...]
    people: int
    keypoints: int
    identity: int
    future: int
    aligned: bool
    fixed_wh: tuple[int, int] | None = None

    @property
    def places(self) -> int:
        """Places T of a window."""
        return KEY_PLACE + 1 + self.future

    @property
    def blank_wh(self) -> tuple[int, int]:
        """The smallest input, or the only one: it has a cell for each of the N people."""
        if self.fixed_wh is not None:
            return self.fixed_wh
        side = self.stride
        while sum((side // stride) ** 2 for stride in self.strides) < self.people:
            side += self.stride
        return side, side

    def memory_shapes(self, rows: int) -> list[tuple[int, ...]]:
        """Shapes of the inputs `memory.*` for so many frames."""
        n, k = self.people, self.keypoints
        return [(rows, n), (rows, n, k, 2), (rows, n, k), (rows, n, self.identity)]

    def to_json(self) -> str:
        """As it is stored."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Interface:
        """From the metadata. Raises ValueError, KeyError or TypeError where it is not valid."""
        values = json.loads(text)
        fixed = values["fixed_wh"]
        values["strides"] = tuple(values["strides"])
        values["fixed_wh"] = None if fixed is None else tuple(fixed)
        interface = Interface(**values)
        interface._check()
        return interface

    def _check(self) -> None:
        """Raises ValueError or TypeError where a size cannot be: memory is sized by them."""
        sizes = [self.stride, self.people, self.keypoints, self.identity, *self.strides]
        sizes += self.fixed_wh or ()
        for size in (*sizes, self.future + 1):
            if type(size) is not int or not 1 <= size <= MAX_SIZE:
                raise ValueError("a size is not possible")
        if not self.strides or type(self.aligned) is not bool:
            raise ValueError("a value is missing")
        if self.fixed_wh is not None:
            width, height = self.fixed_wh
            if width % self.stride or height % self.stride:
                raise ValueError("the input is no multiple of the stride")
        if self.people * min(self.strides) ** 2 > MAX_SIZE**2:
            raise ValueError("no input has so many cells")


class ExportedNetwork:
    """A `Network` of an exported model; subclasses run the graph.

    Args:
        interface: from the model's metadata.
        device: where it runs.
    """

    backend = ""

    def __init__(self, interface: Interface, device: str) -> None:
        self.interface, self.device = interface, device
        self.stride = interface.stride
        self.future: int | None = interface.future
        self.fixed_wh: tuple[int, int] | None = interface.fixed_wh
        self.blank_wh = interface.blank_wh
        self.aligned = interface.aligned

    def _run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All outputs of the graph."""
        raise NotImplementedError

    def step(
        self,
        images: UInt8[np.ndarray, "B H W 3"],
        sizes_px: Int[np.ndarray, "B 2"],
        memory: Sequence[object],
        windows: Int[np.ndarray, "Q T"],
        flows: Float[np.ndarray, "Q T-1 2 2 h w"] | None,
    ) -> tuple[NetworkPoses, list[object]]:
        """As `Network.step`."""
        if self.fixed_wh is not None and (len(images) > 1 or len(windows) > 1):
            return self._one_by_one(images, sizes_px, memory, windows, flows)
        # Rows of zeros complete the memory: a graph runs fastest with inputs of equal sizes.
        slots = self.interface.places - 1
        rows = slots * max(1, math.ceil(len(memory) / slots))
        shift = np.where(windows >= len(memory), rows - len(memory), 0)
        frames = cast("Sequence[tuple[np.ndarray, ...]]", memory)
        feeds: dict[str, np.ndarray] = {"images": images, "sizes_px": sizes_px}
        for index, (name, shape) in enumerate(
            zip(MEMORY, self.interface.memory_shapes(rows), strict=True)
        ):
            values = np.zeros(shape, np.float32)
            for row, frame in enumerate(frames):
                values[row] = frame[index]
            feeds[f"memory.{name}"] = values
        feeds["windows"] = windows + shift
        if flows is not None:
            feeds["flows"] = flows
        try:
            outputs = self._run(feeds)
            by_name = (outputs[f"frame.{name}"] for name in MEMORY)
            kept: list[object] = list(zip(*by_name, strict=True))
            return NetworkPoses(*(outputs[name] for name in POSES)), kept
        except Exception as error:  # the exceptions of the runtimes have no common class
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise VepeError(
                f"The exported model cannot be run by {self.backend} ({reason}); export it again."
            ) from error

    def _one_by_one(
        self, images: Any, sizes_px: Any, memory: Sequence[object], windows: Any, flows: Any
    ) -> tuple[NetworkPoses, list[object]]:
        """Several frames and key frames with a graph for one of each."""
        encode_only = np.full_like(windows[:1], -1)
        encode_only[0, KEY_PLACE] = 0
        nothing = None if flows is None else np.zeros_like(flows[:1])
        kept: list[object] = []
        for row in range(len(images)):
            size = sizes_px[row : row + 1]
            kept += self.step(images[row : row + 1], size, memory[:1], encode_only, nothing)[1]
        every, outputs = [*memory, *kept], []
        for row in range(len(windows)):
            used = [index for index in windows[row].tolist() if index >= 0]
            window = windows[row : row + 1].copy()
            window[0, window[0] >= 0] = range(len(used))
            flow = None if flows is None else flows[row : row + 1]
            frames = [every[index] for index in used]
            outputs.append(self.step(images[:1], sizes_px[:1], frames, window, flow)[0])
        joined = (np.concatenate([vars(o)[name] for o in outputs]) for name in POSES)
        return NetworkPoses(*joined), kept


def interface_of(metadata: dict[str, str], path: object) -> Interface:
    """The interface in a model's metadata. Raises VepeError where there is none."""
    try:
        return Interface.from_json(metadata["interface"])
    except (KeyError, TypeError, ValueError):
        raise VepeError(
            f"'{path}' was not written by this version of `vepe export`; export the model again."
        ) from None
