"""STPD, the spatio-temporal pose decoder: updated queries read the updated memory.

The same layer as the spatial decoder's, continuing from the key frame's poses: attention within a
person, across people and to the memory, and a move of the keypoints in every layer. The paper names
the part; its form is ours.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vepe.models.decoder_layer import LayerOutput, PoseDecoderLayer
from vepe.models.memory import Memory

RADIUS = 0.08
"""Radius of the local refinement in units of the person's size: below the spatial decoder's."""


class PoseDecoder(nn.Module):
    """STPD: a stack of layers; the last one's prediction, calibrated, is the model's output.

    The score's calibration is apart from the layers' weights: the loss that trains them sees the
    scores as they are, so that calibrations of many runs do not add up in the last layer (ours).

    Args:
        dim, heads, points, hidden: sizes of attention, sampling and feed-forward.
        layers: number of layers, at least 1.
        levels: number of levels of the memory.
        refine, high_resolution_dim: see `PoseDecoderLayer`.
    """

    score_calibration: Float[Tensor, "2"]

    def __init__(
        self,
        dim: int,
        heads: int,
        points: int,
        hidden: int,
        layers: int,
        levels: int,
        *,
        refine: bool = True,
        high_resolution_dim: int = 0,
    ) -> None:
        super().__init__()
        self.register_buffer("score_calibration", torch.tensor([1.0, 0.0]))  # scale, shift
        self.layers = nn.ModuleList(
            PoseDecoderLayer(
                dim,
                heads,
                points,
                hidden,
                levels,
                refine=refine,
                radius=RADIUS,
                high_resolution_dim=high_resolution_dim,
            )
            for _ in range(layers)
        )

    def forward(
        self,
        queries: Float[Tensor, "B N J C"],
        keypoints_px: Float[Tensor, "B N K 2"],
        memory: Memory,
    ) -> list[LayerOutput]:
        """The prediction of every layer for the key frame, with scores as they are trained."""
        outputs = []
        for layer in self.layers:
            queries, output = layer(queries, keypoints_px, memory)
            keypoints_px = output.keypoints_px
            outputs.append(output)
        return outputs

    def calibrated(self, poses: LayerOutput) -> LayerOutput:
        """The poses with scores that are probabilities: scaled and shifted logits."""
        scale, shift = self.score_calibration  # () each
        return replace(poses, score_logits=scale * poses.score_logits + shift)

    @torch.no_grad()
    def calibrate(self, scale: float, shift: float) -> None:
        """Scales and shifts the logits of `calibrated` once more."""
        self.score_calibration.mul_(scale)
        self.score_calibration[1].add_(shift)
