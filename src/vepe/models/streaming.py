"""State as values: what is kept of a frame, and of a video while it streams.

No module holds hidden state. A stream's state goes in and comes out; two videos never touch, and
its size is bounded by the window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vepe.models.decoder_layer import LayerOutput
from vepe.models.memory_encoder import FrameValues
from vepe.models.pose_encoder import FrameQueries
from vepe.models.proposals import Proposals
from vepe.models.spatial_encoder import Memory


@dataclass(frozen=True)
class FrameFeatures:
    """All that the temporal part needs of a frame; computed once a frame.

    Attributes:
        memory: the encoded maps.
        values: the memory as each layer of the memory encoder reads it; empty without one.
        queries: instance and pose queries of the N people with identity and place, as the spatial
            decoder leaves them.
        layers: what every layer of the spatial decoder says.
        proposals: what the cells say (all of them in training).
    """

    memory: Memory
    values: list[FrameValues]
    queries: FrameQueries
    layers: list[LayerOutput]
    proposals: Proposals

    def __getitem__(self, rows: slice) -> FrameFeatures:
        """Some rows of the batch, without the layers' and cells' details that only losses need."""
        q = self.queries
        queries = FrameQueries(q.queries[rows], q.points_px[rows], q.identity[rows], q.scores[rows])
        values = [[level[rows] for level in layer] for layer in self.values]
        return FrameFeatures(
            self.memory[rows],
            values,
            queries,
            self.layers,
            self.proposals,
        )


@dataclass(frozen=True)
class PoseOutput:
    """The poses of key frames.

    Attributes:
        score_logits: (B, N) person score.
        keypoints_px: (B, N, K, 2) in pixels of the network's input.
        confidence_logits: (B, N, K) confidence of every keypoint.
        identity: (B, N, D) unit embeddings.
        layers: what every layer of the spatio-temporal pose decoder says, the last one last.
    """

    score_logits: Float[Tensor, "B N"]
    keypoints_px: Float[Tensor, "B N K 2"]
    confidence_logits: Float[Tensor, "B N K"]
    identity: Float[Tensor, "B N D"]
    layers: list[LayerOutput]


@dataclass(frozen=True)
class StreamState:
    """The frames of a stream that are remembered, oldest first, with their times.

    Attributes:
        frames: at most `window` frames' features: remembered ones, then those that are pending.
        times_s: their timestamps in seconds.
        pending: how many of the last frames have not been answered yet (lookahead).
    """

    frames: tuple[FrameFeatures, ...] = ()
    times_s: tuple[float, ...] = ()
    pending: int = 0


def window_bounds(key: int, available: int, window: int, lookahead: int) -> tuple[int, int]:
    """First and one past the last frame that the key frame at index `key` reads.

    A window of `window` frames ends `lookahead` frames behind the key frame; it is cut at the
    first frame and at the last of the `available` ones. The one rule for clips and streams.
    """
    lookahead = min(lookahead, window - 1)
    first = max(key - (window - 1 - lookahead), 0)
    return first, min(key + lookahead + 1, available)


def window_indices(
    times_s: Sequence[float], key: int, window: int, lookahead: int, spacing_s: float
) -> tuple[list[int], int]:
    """The frames of a clip that frame `key` reads, and the key frame's place among them.

    Of the frames before it, only those are remembered that come at least `spacing_s` after the
    last remembered one; the rest is `window_bounds`.
    """
    line: list[int] = []
    for index in range(key):
        if not line or is_remembered(times_s[index] - times_s[line[-1]], spacing_s):
            line.append(index)
    before = len(line)
    line += range(key, len(times_s))
    first, end = window_bounds(before, len(line), window, lookahead)
    return line[first:end], before - first


def is_remembered(gap_s: float, spacing_s: float) -> bool:
    """Whether a frame this long after the last remembered one is kept for later windows.

    A tenth of a millisecond is forgiven: timestamps are rounded.
    """
    return gap_s >= spacing_s - 1e-4


def deltas_s(times_s: Float[Tensor, "B T"], key: int) -> Float[Tensor, "B T"]:
    """Seconds from the key frame to every frame of the window."""
    return (times_s - times_s[:, key : key + 1]).to(torch.float32)
