"""What all stages of a run share, and what is written of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vepe.config.model import ModelConfig
from vepe.config.training import TrainConfig
from vepe.inference.weights import save_weights
from vepe.losses.criterion import Criterion
from vepe.models.vepe import Vepe
from vepe.training.checkpoint import Progress, RunIdentity, random_state, save_checkpoint, versions
from vepe.training.distributed import Processes
from vepe.training.evaluation import Evaluation
from vepe.training.optimiser import Ema

LAST, BEST, WEIGHTS = "last.pt", "best.safetensors", "weights.safetensors"


@dataclass(frozen=True)
class Run:
    """A run and its parts.

    Attributes:
        config, model_config: what is trained, and how.
        folder: where everything is written.
        model, ema: the weights and their average.
        processes: who trains.
        evaluation: what it is measured by, where anything is.
        data: fingerprint of each stage's data.
    """

    config: TrainConfig
    model_config: ModelConfig
    folder: Path
    model: Vepe
    ema: Ema[Vepe]
    processes: Processes
    evaluation: Evaluation | None
    data: Mapping[str, Any]

    @property
    def identity(self) -> RunIdentity:
        """What its checkpoints belong to."""
        return RunIdentity(self.config, self.model_config, self.data, self.processes.count)

    def criterion(self) -> Criterion:
        """The losses, on the device."""
        sigmas = torch.tensor(self.model_config.skeleton.sigmas, device=self.processes.device)
        return Criterion(sigmas, self.config.losses)

    def save(self, progress: Progress, optimiser: torch.optim.Optimizer) -> None:
        """Writes `last.pt`; to be called by all processes together.

        Raises:
            VepeError: where it cannot be written; the one before is kept.
        """
        states = self.processes.gather(random_state())
        if not self.processes.main:
            return
        parts = {"model": self.model, "ema": self.ema, "optimiser": optimiser}
        more = {"scaler": self.processes.accelerator.scaler, "evaluation": self.evaluation}
        parts |= {name: part for name, part in more.items() if part is not None}
        save_checkpoint(self.folder / LAST, progress, parts, states, self.identity)

    def export(self, name: str = WEIGHTS, training: Mapping[str, Any] | None = None) -> Path:
        """Writes the averaged weights as they stand; `training` is told in their header too.

        Raises:
            VepeError: where they cannot be written.
        """
        path = self.folder / name
        if self.processes.main:
            told = {
                "recipe": self.config.model_dump(mode="json"),
                "versions": versions(),
                "data": dict(self.data),
                **(training or {}),
            }
            save_weights(path, self.ema.model, self.model_config, told)
        return path
