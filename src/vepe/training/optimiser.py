"""Parameter groups, what is frozen, and the learning rate over a stage."""

from __future__ import annotations

import math

import torch
from torch import nn

from vepe.config.training import StageConfig
from vepe.errors import VepeError
from vepe.models.vepe import Vepe

FRAME_PARTS = ("backbone", "pyramid", "spatial_encoder", "proposals", "spatial_decoder")
"""Parts of the per-frame path; with all of them frozen, its losses need not be computed."""


def freeze(model: Vepe, stage: StageConfig) -> bool:
    """Marks what the stage trains; True where the whole per-frame path is frozen.

    A frozen part also stays in evaluation mode (batch statistics, dropout), see `set_mode`.

    Raises:
        VepeError: where the stage names a part that the model does not have.
    """
    parts = dict(model.named_children())
    frozen = {*stage.freeze, *(() if stage.backbone_lr else ("backbone",))}
    for name in frozen:
        if name not in parts:
            raise VepeError(
                f"Stage '{stage.name}' freezes '{name}', but the model has {', '.join(parts)}."
            )
    for name, part in parts.items():
        part.requires_grad_(name not in frozen)
    return set(FRAME_PARTS) <= frozen


def set_mode(model: Vepe) -> None:
    """Training mode for what is trained, evaluation mode for what is frozen.

    A frozen proposal head still gives its dense outputs while the pyramid before it learns. Batch
    statistics of a trained backbone are kept too (small batches).
    """
    model.train()
    model.backbone.eval()
    for part in model.children():
        parameters = list(part.parameters())
        if parameters and not any(p.requires_grad for p in parameters):
            part.eval()
    if any(p.requires_grad for p in model.pyramid.parameters()):
        model.proposals.train()


def build_optimiser(model: Vepe, stage: StageConfig, weight_decay: float) -> torch.optim.AdamW:
    """AdamW; biases, norms and embeddings do not decay, the backbone has its own rate."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        lr = stage.backbone_lr if name.startswith("backbone.") else stage.lr
        decay = weight_decay if parameter.ndim > 1 and "embedding" not in name else 0.0
        groups.setdefault((lr, decay), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "lr": lr, "base_lr": lr, "weight_decay": decay}
            for (lr, decay), parameters in groups.items()
        ]
    )


def rate_factor(step: int, progress: float, warmup_steps: int) -> float:
    """Linear warm-up, then half a cosine down to 1 % at progress 1."""
    warm = min((step + 1) / max(warmup_steps, 1), 1.0)
    return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))


def set_rate(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Applies a factor to every group's own rate."""
    for group in optimiser.param_groups:
        group["lr"] = group["base_lr"] * factor
