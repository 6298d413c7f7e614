"""STDME, the spatio-temporal deformable memory encoder: other frames' joints in the key frame.

Two steps, of which the first is computed once per frame. `MemoryEncoder` updates the frame's own
memory by deformable attention before the pose decoder reads it. `carry_to_key` finds where the
joints of another frame are in the key frame, step by step along the motion between the frames.

Other frames' memories are not read at the key frame's own positions, as TransVOD's temporal
deformable encoder does (arXiv 2201.05047): joints move by several cells of the memory between
frames, and a version of this part that did so gained nothing. The paper names the part; its form is
ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vepe.models.alignment import FrameMotion
from vepe.models.memory import SpatialEncoder


class MemoryEncoder(SpatialEncoder):
    """Updates the frame's own memory once more, between the spatial decoder and the pose decoder.

    The same layers as the spatial encoder's, with weights of their own.
    """


def carry_to_key(
    points_px: Float[Tensor, "B N K 2"], motions: Sequence[FrameMotion], frame: int, key: int
) -> tuple[Float[Tensor, "B N K 2"], Float[Tensor, "B N K"]]:
    """Carries points of one frame of a window into its key frame.

    Args:
        points_px: in the frame at index `frame`.
        motions: T - 1 motions between the T successive frames of the window.
        frame, key: indices in the window.

    Returns:
        carried: the points in the key frame.
        error_px: the largest round-trip error of the steps.
    """
    error_px = torch.zeros_like(points_px[..., 0])  # (B, N, K)
    steps = range(frame, key) if frame < key else range(frame - 1, key - 1, -1)
    for step in steps:
        points_px, step_error = motions[step].carry(points_px, reverse=frame > key)
        error_px = torch.maximum(error_px, step_error)
    return points_px, error_px
