"""The boundary of the network: NumPy in, NumPy out, whatever runs it.

A network does one step at a time: it encodes new frames and fuses key frames (`vepe.models.step`).
Implementations: `torch_network`, `onnx_network`, `openvino_network`.

Dimensions: B new frames, P frames in memory, Q key frames, T places of a window, N people, K
keypoints, D embedding length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float, Int, UInt8

from vepe.models.windows import OFFSETS

KEY_PLACE = OFFSETS[-1]
"""Place of the key frame in a window: the earlier frames stand before it, one place per frame."""


@dataclass(frozen=True)
class NetworkPoses:
    """All people of Q key frames, in no order.

    Attributes:
        scores: (Q, N) person scores, 0..1; exactly 0 in rows without a person.
        keypoints_px: (Q, N, K, 2) in pixels of the network's input.
        confidences: (Q, N, K) of the keypoints, 0..1.
        identities: (Q, N, D) unit embeddings.
    """

    scores: Float[np.ndarray, "Q N"]
    keypoints_px: Float[np.ndarray, "Q N K 2"]
    confidences: Float[np.ndarray, "Q N K"]
    identities: Float[np.ndarray, "Q N D"]

    def row(self, index: int) -> NetworkPoses:
        """One key frame; the dimension Q stays, with size 1."""
        rows = slice(index, index + 1)
        return NetworkPoses(
            self.scores[rows],
            self.keypoints_px[rows],
            self.confidences[rows],
            self.identities[rows],
        )


class Network(Protocol):
    """A model on a device.

    Attributes:
        backend: torch, onnxruntime or openvino.
        device: where it runs: cpu, cuda:0 ...
        stride: height and width of its input are multiples of it.
        future: most frames after the key frame that it can read; None: any number.
        fixed_wh: the only width and height of its input; None: any.
        blank_wh: a small input that it accepts.
        aligned: whether it reads optical flow.
    """

    backend: str
    device: str
    stride: int
    future: int | None
    fixed_wh: tuple[int, int] | None
    blank_wh: tuple[int, int]
    aligned: bool

    def step(
        self,
        images: UInt8[np.ndarray, "B H W 3"],
        sizes_px: Int[np.ndarray, "B 2"],
        memory: Sequence[object],
        windows: Int[np.ndarray, "Q T"],
        flows: Float[np.ndarray, "Q T-1 2 2 h w"] | None,
    ) -> tuple[NetworkPoses, list[object]]:
        """Encodes B new frames and fuses Q key frames, both at least one.

        Args:
            images: RGB at the top left of the input.
            sizes_px: width and height of the images without padding.
            memory: what earlier steps gave for P frames.
            windows: the frame at every place of each window, as an index into the frames in memory
                and then the new ones; -1 where none is read. The key frame stands at `KEY_PLACE`.
            flows: from every place to the next one and back, see `vepe.models.optical_flow`; None
                where `aligned` is False.

        Returns:
            The poses of the key frames, and what to keep of each new frame.
        """
        ...
