"""Video as clips: the values kept per frame, and the windows of a clip's key frames.

Streams follow the same rules for which frames a window holds (`vepe.models.windows`), frame by
frame: `vepe.inference.window`; `tests/inference/test_window.py` checks that both give the same
poses.

Dimensions: B batch, T frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from jaxtyping import Float, UInt8
from torch import Tensor

from vepe.models.alignment import FrameMotion, optical_flow
from vepe.models.decoder_layer import LayerOutput, PoseOutput
from vepe.models.proposals import Proposals
from vepe.models.windows import window_indices

if TYPE_CHECKING:
    from vepe.models.vepe import Vepe


@dataclass(frozen=True)
class FrameMemory:
    """What `Vepe.fuse` reads of a frame; a stream keeps its poses for the frames of its window.

    Attributes:
        poses: the finished poses of the frame alone.
        grey: (B, H, W) what it is aligned by; None without alignment.
    """

    poses: PoseOutput
    grey: UInt8[Tensor, "B H W"] | None

    def __getitem__(self, rows: slice) -> FrameMemory:
        """Some rows of the batch."""
        return FrameMemory(self.poses[rows], None if self.grey is None else self.grey[rows])

    def motion_to(self, later: FrameMemory) -> FrameMotion | None:
        """The motion to the next frame of a window; None without alignment."""
        if self.grey is None or later.grey is None:
            return None
        return optical_flow(self.grey, later.grey)


@dataclass(frozen=True)
class FrameOutput:
    """The predictions of a frame's own pass; only losses and analyses read them.

    Attributes:
        layers: of every layer of the spatial decoder.
        proposals: the poses that the decoder starts from.
        refined: of every layer of the pose decoder (STPD).
    """

    layers: list[LayerOutput]
    proposals: Proposals
    refined: list[LayerOutput]


def clip_windows(
    times_s: Float[Tensor, "B T"],
    keys: Sequence[int],
    window: int,
    lookahead: int,
    memory_interval_s: float = 0.0,
) -> Iterator[tuple[list[int], int, list[int]]]:
    """`window_indices` for several key frames of a batch of clips.

    Raises:
        ValueError: if the clips have different times and `memory_interval_s` is not 0: their
            windows would hold different frames.
    """
    if memory_interval_s and not (times_s == times_s[:1]).all():
        raise ValueError("clips of one batch keep the same frames in memory; give them equal times")
    clock: list[float] = times_s[0].tolist()
    for key in keys:
        yield window_indices(clock, key, window, lookahead, memory_interval_s)


def fuse_clips(
    model: Vepe,
    frames: Sequence[FrameMemory],
    times_s: Float[Tensor, "B T"],
    keys: Sequence[int],
    memory_interval_s: float = 0.0,
) -> list[PoseOutput]:
    """`Vepe.fuse` for key frames of a batch of clips, each with its window (`clip_windows`)."""
    motions: dict[tuple[int, int], FrameMotion | None] = {}
    outputs = []
    windows = clip_windows(times_s, keys, model.window, model.lookahead, memory_interval_s)
    for indices, key, reads in windows:
        pairs = list(pairwise(indices))
        for a, b in pairs:
            if (a, b) not in motions:
                motions[a, b] = frames[a].motion_to(frames[b])
        window = [frames[i] for i in indices]
        outputs.append(model.fuse(window, [motions[pair] for pair in pairs], key, reads))
    return outputs
