"""One training step: clips in, named losses out, and what to do if a loss is not finite.

`TrainingStep` is the only module that is wrapped for several GPUs. A new loss goes into
`losses/criterion.py`; it shows up in logs and reports by its name.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vepe.data.batch import Batch
from vepe.errors import VepeError
from vepe.formats.files import replacing
from vepe.losses.criterion import Criterion, Losses, LossNormaliser
from vepe.losses.denoising import DenoisingGroups, DenoisingSettings, make_denoising
from vepe.losses.targets import Targets
from vepe.models.backbone import fold_batch_norms
from vepe.models.folded_backbone import FoldedBackbone
from vepe.models.vepe import Vepe

GRADIENTS = "gradients"
"""Name used instead of a loss part if all parts are finite but their gradients are not."""


class TrainingStep(nn.Module):
    """Runs `encode_frame` on all frames of the clips. Fusion over frames has nothing to learn.

    Args:
        model: the network.
        criterion: its losses.
        noise: settings of the denoising queries.
        identity: whether to compute identity losses (instance consistency is on).
        frozen_frames: True if nothing of the per-frame path but identity is trained; its losses
            and gradients are then left out.
        skip_last: share of steps without the last layer of the spatial decoder.
        fold: whether a trained backbone runs with its batch norms folded, see `FoldedBackbone`.
    """

    def __init__(
        self,
        model: Vepe,
        criterion: Criterion,
        noise: DenoisingSettings,
        *,
        identity: bool = True,
        frozen_frames: bool = False,
        skip_last: float = 0.0,
        fold: bool = True,
    ) -> None:
        super().__init__()
        self.model, self.criterion, self.noise = model, criterion, noise
        self.identity, self.frozen_frames, self.skip_last = identity, frozen_frames, skip_last
        # In a tuple, so that it is no submodule: it is in no state dict and always in eval mode.
        self._frozen_backbone: tuple[nn.Module, ...] = ()
        self._trained_backbone: FoldedBackbone | None = None
        if not any(parameter.requires_grad for parameter in model.backbone.parameters()):
            backbone = copy.deepcopy(model.backbone).eval()
            fold_batch_norms(backbone)
            self._frozen_backbone = (backbone,)
        elif fold:
            self._trained_backbone = FoldedBackbone(model.backbone)

    def forward(
        self,
        batch: Batch,
        noise_keys: Sequence[Sequence[int]] | None = None,
        normaliser: LossNormaliser | None = None,
    ) -> Losses:
        """Computes the weighted losses, in float32 also under autocast.

        Args:
            batch: the clips.
            noise_keys: one per clip; the noise of its denoising queries is a function of it.
            normaliser: divisors of the sums over people; None: those of this batch alone.

        Returns:
            The losses by name.
        """
        model, device = self.model, self.criterion.sigmas.device
        normaliser = normaliser or LossNormaliser.of(batch.targets).per_process()
        targets = batch.targets.to(device)
        denoising = self._denoising(batch, targets, noise_keys)
        queries = None if denoising is None else denoising.queries
        # All frames of all clips at once: rows t * B + b.
        images = batch.pixels(device)
        memory, output = model.encode_frame(
            images,
            None,
            queries,
            all_cells=not self.frozen_frames,
            features=self._features(images),
            skip_last=self.skip_last > 0 and bool(torch.rand(()) < self.skip_last),
        )
        with torch.autocast(device.type, enabled=False):
            if self.frozen_frames:
                matches = self.criterion.matches(output.layers[-1], targets)
                parts: Losses = {}
            else:
                parts, matches = self.criterion.frames(
                    output, targets, denoising, normaliser.num_instances
                )
            parts |= self.criterion.refined(output.refined, targets, normaliser.num_instances)
            if self.identity and batch.num_frames > 1:
                parts |= self.criterion.identity(
                    memory.poses.identity,
                    matches,
                    targets,
                    model.consistency.temperature,
                    batch.num_clips,
                    normaliser.num_anchors,
                )
        return parts

    def _features(self, images: Tensor) -> list[Tensor] | None:
        """The backbone's maps, computed with its batch norms folded; None if it runs as it is."""
        images = images.contiguous(memory_format=torch.channels_last)
        if self._trained_backbone is not None:
            return self._trained_backbone(images)
        if not self._frozen_backbone:
            return None
        with torch.no_grad():
            features: list[Tensor] = self._frozen_backbone[0].to(images.device)(images)
        return features

    def _denoising(
        self, batch: Batch, targets: Targets, keys: Sequence[Sequence[int]] | None
    ) -> DenoisingGroups | None:
        """Denoising queries if they are trained; the noise of frame t has the key (*clip's, t)."""
        if self.frozen_frames or not self.criterion.weights.denoising:
            return None
        clips = [(c,) for c in range(batch.num_clips)] if keys is None else keys
        by_row = [(*key, t) for t in range(batch.num_frames) for key in clips]
        return make_denoising(targets, self.model.proposals.queries, self.noise, by_row)


def detached(parts: Losses) -> dict[str, float]:
    """The parts as plain numbers, for logs; one transfer from the device for all of them."""
    values: list[Tensor] = [value.detach() for value in parts.values()]
    return dict(zip(parts, torch.stack(values).tolist(), strict=True)) if values else {}


def non_finite_part(parts: Mapping[str, float]) -> str | None:
    """The name of the first part that is NaN or infinite."""
    return next((name for name, value in parts.items() if not math.isfinite(value)), None)


@dataclass(frozen=True)
class NonFinite:
    """A batch whose loss or gradients are not finite.

    Attributes:
        part: the loss part, or `GRADIENTS`.
        batch: the clips.
        keys: (seed, stage, index) of each clip.
        parts: all loss parts.
    """

    part: str
    batch: Batch
    keys: Sequence[tuple[int, ...]]
    parts: Mapping[str, float]

    def save(self, path: Path) -> None:
        """Writes plain tensors, for `torch.load(path, weights_only=True)`: `images`, `times_s`,
        `targets` by field, `parts` of the loss, and the keys of the clips as `samples`.

        Raises:
            VepeError: if the file cannot be written.
        """
        batch = self.batch
        state: dict[str, Any] = {
            "images": batch.images,
            "times_s": batch.times_s,
            "targets": {f.name: getattr(batch.targets, f.name) for f in fields(batch.targets)},
            "parts": dict(self.parts),
            "samples": [list(key) for key in self.keys],
        }
        with replacing(path) as partial:
            torch.save(state, partial)

    def error(self, stage: str, step: int, path: Path) -> VepeError:
        """The error that ends the run; `path` is the file of `save`."""
        what = "The gradients are" if self.part == GRADIENTS else f"The loss part '{self.part}' is"
        return VepeError(
            f"{what} not finite at step {step} of stage '{stage}'; the batch is saved in '{path}'. "
            "Lower the learning rate or inspect the batch, and resume from the last checkpoint."
        )
