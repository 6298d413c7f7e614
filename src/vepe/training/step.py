"""One training step: clips in, named losses out. The one module that is wrapped for many GPUs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vepe.data.batch import Batch
from vepe.losses.criterion import Criterion, Parts
from vepe.losses.denoising import NoiseSettings, make_noised
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

    def forward(self, batch: Batch, generator: torch.Generator | None = None) -> Parts:
        """Weighted losses by name. `generator` draws the noise of the denoising queries."""
        model, device = self.model, self.criterion.sigmas.device
        targets = batch.targets.to(device)
        noised = None
        if not self.frozen_frames:
            noised = make_noised(targets, model.proposals.queries, self.noise, generator)
        poses = None if noised is None else noised.poses
        features = model.encode_frame(batch.pixels(device), None, poses)
        if self.frozen_frames:
            matches = self.criterion.matches(features.layers[-1], targets)
            parts: Parts = {}
        else:
            parts, matches = self.criterion.frames(
                features.layers, features.proposals, targets, noised
            )
        frames = [features[batch.rows(t)] for t in range(batch.frames)]
        keys = range(batch.frames)
        outputs = model.fuse_keys(frames, batch.times_s, keys)
        for key, output in zip(keys, outputs, strict=True):
            found = self.criterion.key_frame(output.layers, targets[batch.rows(key)], 1 / len(keys))
            for name, value in found.items():
                parts[name] = parts[name] + value if name in parts else value
        if self.identity and batch.frames > 1:
            parts |= self.criterion.identity(
                features.queries.identity, matches, targets, model.consistency.temperature
            )
        return parts


def detached(parts: Parts) -> dict[str, float]:
    """The parts as plain numbers, for logs."""
    values: list[Tensor] = [value.detach() for value in parts.values()]
    return dict(zip(parts, torch.stack(values).tolist(), strict=True)) if values else {}
