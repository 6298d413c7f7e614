"""One training step: clips in, named losses out. The one module that is wrapped for many GPUs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vepe.data.batch import Batch
from vepe.losses.criterion import Criterion, LossNormaliser, Parts
from vepe.losses.denoising import Noised, NoiseSettings, make_noised
from vepe.losses.targets import Targets
from vepe.models.vepe import Vepe


class TrainingStep(nn.Module):
    """Runs `encode_frame` on all frames and `fuse` on each key frame, as streaming does.

    Args:
        model: the network.
        criterion: its losses.
        noise: settings of the denoising queries.
        identity: whether identity losses are taken (instance consistency is on).
        frozen_frames: True where nothing of the per-frame path but identity is trained; its
            losses and gradients are then left out.
    """

    def __init__(
        self,
        model: Vepe,
        criterion: Criterion,
        noise: NoiseSettings,
        *,
        identity: bool = True,
        frozen_frames: bool = False,
    ) -> None:
        super().__init__()
        self.model, self.criterion, self.noise = model, criterion, noise
        self.identity, self.frozen_frames = identity, frozen_frames

    def forward(
        self,
        batch: Batch,
        noise_keys: Sequence[Sequence[int]] | None = None,
        divisors: LossNormaliser | None = None,
    ) -> Parts:
        """Weighted losses by name, in float32 under autocast too.

        Args:
            batch: the clips.
            noise_keys: one for each clip; the noise of its denoising queries is a function of it.
            divisors: what sums over people are divided by, where the batch is but a part of an
                optimiser step.
        """
        model, device = self.model, self.criterion.sigmas.device
        divisors = divisors or LossNormaliser.of(batch.targets).divisors()
        supervised = supervised_frames(batch)
        targets = batch.targets.to(device)
        noised = self._noised(batch, targets, noise_keys)
        poses = None if noised is None else noised.poses
        features = model.encode_frame(batch.pixels(device), None, poses)
        frames = [features[batch.rows(t)] for t in range(batch.frames)]
        outputs = model.fuse_keys(frames, batch.times_s, supervised)
        with torch.autocast(device.type, enabled=False):
            if self.frozen_frames:
                matches = self.criterion.matches(features.layers[-1], targets)
                parts: Parts = {}
            else:
                parts, matches = self.criterion.frames(
                    features.layers, features.proposals, targets, noised, divisors.people
                )
            for key, output in zip(supervised, outputs, strict=True):
                found = self.criterion.key_frame(
                    output.layers, targets[batch.rows(key)], divisors.people
                )
                for name, value in found.items():
                    parts[name] = parts[name] + value if name in parts else value
            if self.identity and batch.frames > 1:
                parts |= self.criterion.identity(
                    features.queries.identity,
                    matches,
                    targets,
                    model.consistency.temperature,
                    batch.clips,
                    divisors.anchors,
                )
        return parts

    def _noised(
        self, batch: Batch, targets: Targets, keys: Sequence[Sequence[int]] | None
    ) -> Noised | None:
        """Denoising queries, where they are trained: the noise of frame t has key (*clip's, t)."""
        if self.frozen_frames or not self.criterion.weights.denoising:
            return None
        clips = [(c,) for c in range(batch.clips)] if keys is None else keys
        by_row = [(*key, t) for t in range(batch.frames) for key in clips]
        return make_noised(targets, self.model.proposals.queries, self.noise, by_row)


def supervised_frames(batch: Batch) -> list[int]:
    """The frames that teach anything in any clip of the batch; the others only give context.

    Never empty, so that every process has a loss to run backwards.
    """
    rows = batch.targets.valid.any(dim=1) | (batch.targets.background_weight > 0)
    frames = torch.nonzero(rows.view(batch.frames, batch.clips).any(dim=1)).flatten().tolist()
    return frames or [batch.frames - 1]


def detached(parts: Parts) -> dict[str, float]:
    """The parts as plain numbers, for logs."""
    values: list[Tensor] = [value.detach() for value in parts.values()]
    return dict(zip(parts, torch.stack(values).tolist(), strict=True)) if values else {}
