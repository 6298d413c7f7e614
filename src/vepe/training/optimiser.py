"""Which parameters a stage trains, and in which groups."""

from __future__ import annotations

import torch
from torch import nn

from vepe.config.training import StageConfig
from vepe.errors import VepeError
from vepe.models.vepe import Vepe

FRAME_PARTS = (
    "backbone",
    "pyramid",
    "fine_map",
    "spatial_encoder",
    "proposals",
    "spatial_decoder",
)
"""Parts of the per-frame path; with all of them frozen, its losses need not be computed."""


def freeze(model: Vepe, stage: StageConfig) -> bool:
    """Marks what the stage trains; True where the whole per-frame path is frozen.

    A frozen part also stays in evaluation mode (batch statistics, dropout), see `set_mode`.

    A part of a part can be named too: with the first stages of a backbone frozen, the gradient
    ends there, and the fine maps, which cost most, are only run forwards.

    Raises:
        VepeError: where the stage names a part that the model does not have.
    """
    modules = dict(model.named_modules())
    frozen = {*stage.freeze, *(() if stage.backbone_lr else ("backbone",))}
    model.requires_grad_(True)
    for name in frozen:
        if name not in modules:
            parts = ", ".join(name for name, _ in model.named_children())
            raise VepeError(
                f"Stage '{stage.name}' freezes '{name}', but the model has {parts}, and parts of "
                "them such as backbone.net.blocks.0."
            )
        modules[name].requires_grad_(False)
    path = (p for part in FRAME_PARTS if part in modules for p in modules[part].parameters())
    return not any(p.requires_grad for p in path)


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
    """AdamW; biases, norms and embeddings do not decay; backbone and sampling have their own rates.

    A slower rate for the offsets that deformable attention samples at is Deformable DETR's
    (arXiv 2010.04159). Groups carry a `name` for logs: `backbone`, `sampling` or `rest`.
    """
    rates = {
        "backbone": stage.backbone_lr,
        "sampling": stage.lr * stage.sampling_lr,
        "rest": stage.lr,
    }
    groups: dict[tuple[str, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        decay = weight_decay if parameter.ndim > 1 and "embedding" not in name else 0.0
        groups.setdefault((_group(name, stage), decay), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": rates[name],
                "base_lr": rates[name],
                "weight_decay": decay,
                "name": name,
            }
            for (name, decay), parameters in groups.items()
        ]
    )


def _group(name: str, stage: StageConfig) -> str:
    if name.startswith("backbone."):
        return "backbone"
    return "sampling" if stage.sampling_lr != 1 and ".to_offsets." in name else "rest"


def rates_by_group(optimiser: torch.optim.Optimizer) -> dict[str, float]:
    """The present learning rate of every named group."""
    return {group["name"]: group["lr"] for group in optimiser.param_groups}
