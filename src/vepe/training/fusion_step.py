"""A step of a stage that trains fusion over frames alone: everything else is frozen.

The frames of a clip are encoded once, without gradient; each of them then is the key frame of
several windows, drawn at random from the clip's other frames, so that the weights learn to use
whatever frames there are: past ones alone, look-ahead, the first frames of a stream. A window
without other frames has nothing to learn from, for it changes nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import nn

from vepe.data.batch import Batch
from vepe.losses.criterion import Criterion, Losses, LossNormaliser
from vepe.models.pose_fusion import gather_candidates
from vepe.models.streaming import FrameMemory
from vepe.models.vepe import Vepe
from vepe.models.windows import window_reads

NUM_WINDOWS = 3
"""Windows per key frame: the model's own, its past alone, and a random one."""
MAX_STEPS, MAX_READS = 8, 6
"""Random windows hold at most so many frames, at most so far from the key frame."""


class FusionStep(nn.Module):
    """Runs `encode_frame` without gradient on all frames of the clips, and fusion on windows.

    Args:
        model: the network; only its `pose_fusion` has parameters to train.
        criterion: its losses.
    """

    def __init__(self, model: Vepe, criterion: Criterion) -> None:
        super().__init__()
        self.model, self.criterion = model, criterion

    def forward(
        self,
        batch: Batch,
        clip_keys: Sequence[Sequence[int]] | None = None,
        normaliser: LossNormaliser | None = None,
    ) -> Losses:
        """Computes the weighted losses; arguments as of `vepe.training.step.TrainingStep`.

        The random windows are a function of `clip_keys`.
        """
        model, criterion = self.model, self.criterion
        normaliser = normaliser or LossNormaliser.of(batch.targets).per_process()
        frames = self._encode(batch)
        motions = [earlier.motion_to(later) for earlier, later in pairwise(frames)]
        poses = [frame.poses for frame in frames]
        rng = random.Random(repr(clip_keys))
        losses: Losses = {}
        for key in range(len(frames)):
            targets = batch.targets[batch.rows(key)].to(criterion.sigmas.device)
            near = range(max(key - MAX_STEPS, 0), min(key + MAX_STEPS + 1, len(frames)))
            others = [frame for frame in near if frame != key]
            if not others or not targets.valid.any():
                continue
            own = poses[key]
            matches = criterion.near(own, targets, criterion.matches(own, targets))
            candidates = gather_candidates(poses, motions, key, others, model.consistency)
            for reads in self._windows(key, len(frames), others, rng):
                some = candidates.of_frames([0, *(1 + others.index(frame) for frame in reads)])
                fused = model.pose_fusion.fuse(own, some)
                parts = criterion.fused(
                    fused, matches, targets, NUM_WINDOWS * normaliser.num_instances
                )
                losses = {name: value + losses.get(name, 0) for name, value in parts.items()}
        nothing = model.pose_fusion.weights.sum() * 0  # nobody is labelled
        return losses or {"fused/l1": nothing, "fused/oks": nothing}

    def _windows(
        self, key: int, count: int, others: Sequence[int], rng: random.Random
    ) -> Iterator[list[int]]:
        """The frames that each window reads; windows without any are left out."""
        model = self.model
        yield from (
            reads
            for reads in (
                window_reads(key, count, model.window, model.lookahead),
                window_reads(key, count, model.window, 0),
                sorted(rng.sample(others, min(rng.randint(1, MAX_READS), len(others)))),
            )
            if reads
        )

    @torch.no_grad()
    def _encode(self, batch: Batch) -> list[FrameMemory]:
        """What fusion reads of each frame; rows are clips."""
        memory, _ = self.model.encode_frame(batch.pixels(self.criterion.sigmas.device))
        return [memory[batch.rows(frame)] for frame in range(batch.num_frames)]
