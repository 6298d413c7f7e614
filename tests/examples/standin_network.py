"""A network that sees two people walk, whatever the image shows: the pages' commands run with it.

It needs neither torch nor weights, and takes no time, so that all blocks of the documentation run
in seconds. What real models give is tested elsewhere, and by `make docs-full`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vepe.config.load import parse, read_yaml
from vepe.config.model import ModelConfig
from vepe.inference.network import KEY_PLACE, Network, NetworkPoses

# nose, neck, head, shoulders, elbows, wrists, hips, knees, ankles: x and y of a standing person, in
# heights of the person.
STANDING = np.array(
    [
        *((0.02, 0.08), (0.0, 0.15), (0.0, 0.0)),
        *((0.1, 0.2), (-0.1, 0.2), (0.13, 0.35), (-0.13, 0.35), (0.14, 0.5), (-0.14, 0.5)),
        *((0.06, 0.52), (-0.06, 0.52), (0.07, 0.75), (-0.07, 0.75), (0.07, 0.98), (-0.07, 0.98)),
    ]
)
LIMBS = [5, 6, 7, 8, 11, 12, 13, 14]
QUERIES, EMBEDDING = 4, 64


class WalkingNetwork:
    """As `vepe.inference.network.Network`; two people of score 0.9, the others far below."""

    backend, device, stride = "onnxruntime", "cpu", 32
    future: int | None = None
    fixed_wh: tuple[int, int] | None = None
    blank_wh = (64, 64)
    aligned = False

    def step(
        self,
        images: np.ndarray,
        sizes_px: np.ndarray,
        memory: Sequence[object],
        windows: np.ndarray,
        flows: np.ndarray | None,
    ) -> tuple[NetworkPoses, list[object]]:
        """As `Network.step`: what is kept of a frame is its number and size."""
        known: list[tuple[int, int, int]] = list(memory)  # type: ignore[arg-type]
        first = max((number for number, _, _ in known), default=-1) + 1
        new = [(first + i, int(w), int(h)) for i, (w, h) in enumerate(sizes_px)]
        frames = [(known + new)[row] for row in windows[:, KEY_PLACE]]
        identities = np.eye(QUERIES, EMBEDDING)
        return NetworkPoses(
            np.repeat([[0.9, 0.88, 0.01, 0.01]], len(frames), axis=0),
            np.stack([walking(*frame) for frame in frames]),
            np.full((len(frames), QUERIES, len(STANDING)), 0.8),
            np.repeat(identities[None], len(frames), axis=0),
        ), list(new)


def walking(number: int, width: int, height: int) -> np.ndarray:
    """(QUERIES, 15, 2) keypoints in frame `number` of an image of that size."""
    swing = 0.08 * np.sin(number / 3)
    sides = np.tile([1.0, -1.0], len(LIMBS) // 2)
    person = STANDING.copy()
    person[LIMBS, 0] += swing * sides * np.linspace(0.5, 1.0, len(LIMBS))
    size = 0.8 * height
    starts = (np.array([0.25, 0.65, 0.1, 0.9]) + 0.002 * number) * width
    shown = person[None] * size + [0.0, 0.1 * height]
    shown = np.repeat(shown, QUERIES, axis=0)
    shown[:, :, 0] += starts[:, None]
    return shown


def open_walking(
    name: str | Path, backend: str = "auto", device: str = "auto"
) -> tuple[Network, ModelConfig]:
    """Stands for `vepe.inference.backends.open_network`."""
    return WalkingNetwork(), parse(ModelConfig, read_yaml("vepe-n", "models"), "vepe-n")
