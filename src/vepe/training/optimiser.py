"""What a stage trains and how: frozen parts, parameter groups, learning rate, EMA of the weights.

The learning rate is computed for each step instead of by a torch scheduler: the progress of a stage
may be measured in minutes, and all processes must use the first one's clock.
"""

from __future__ import annotations

import math
from typing import Any, Generic, TypeVar, cast

import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from vepe.config.training import ScheduleConfig, StageConfig
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
"""Parts of the per-frame path; if all of them are frozen, its losses need not be computed."""


def freeze(model: Vepe, stage: StageConfig) -> bool:
    """Sets `requires_grad` of all parameters for a stage.

    `stage.freeze` names parts of the model, or parts of parts. With the first stages of a backbone
    frozen the backward pass ends there, which saves its most expensive feature maps.

    Returns:
        Whether the whole per-frame path is frozen.

    Raises:
        VepeError: if the stage names a part that the model does not have.
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


def trains_only(model: Vepe, part: str) -> bool:
    """Whether parameters of one part of the model are trained, and no others."""
    trained = {n.split(".")[0] for n, p in model.named_parameters() if p.requires_grad}
    return trained == {part}


def set_mode(model: Vepe) -> None:
    """Training mode for trained parts, eval mode for frozen parts.

    The backbone is always in eval mode: its batches are too small to update batch statistics.
    """
    model.train()
    model.backbone.eval()
    for part in model.children():
        parameters = list(part.parameters())
        if parameters and not any(p.requires_grad for p in parameters):
            part.eval()


def build_optimiser(model: Vepe, stage: StageConfig, weight_decay: float) -> torch.optim.AdamW:
    """AdamW over the trained parameters.

    Biases, norms and embeddings have no weight decay. The backbone and the sampling offsets of
    deformable attention have their own learning rates (Deformable DETR, arXiv 2010.04159). Each
    group has a `name` for logs: `backbone`, `sampling` or `rest`.
    """
    lrs = {
        "backbone": stage.backbone_lr,
        "sampling": stage.lr * stage.sampling_lr_factor,
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
                "lr": lrs[name],
                "base_lr": lrs[name],
                "weight_decay": decay,
                "name": name,
            }
            for (name, decay), parameters in groups.items()
        ]
    )


def _group(name: str, stage: StageConfig) -> str:
    if name.startswith("backbone."):
        return "backbone"
    return "sampling" if stage.sampling_lr_factor != 1 and ".to_offsets." in name else "rest"


def lr_factor(schedule: ScheduleConfig, step: int, progress: float, warmup_steps: int) -> float:
    """The factor of every learning rate at a step: linear warm-up, then the schedule.

    Args:
        schedule: cosine, step or constant.
        step: optimiser step of the stage, from 0.
        progress: of the stage, 0 at its start and 1 at its end, by steps or by time.
        warmup_steps: length of the warm-up.
    """
    warmup = min((step + 1) / max(warmup_steps, 1), 1.0)
    if schedule.kind == "constant":
        return warmup
    if schedule.kind == "step":
        return warmup * schedule.gamma ** sum(progress >= m for m in schedule.milestones)
    half = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    return warmup * (schedule.floor + (1 - schedule.floor) * half)


def load_optimiser(optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Restores the moments of AdamW; rates and other options stay those of the configuration.

    Raises:
        ValueError, KeyError, TypeError: if the state is of another optimiser or malformed.
    """
    options = [{k: v for k, v in g.items() if k != "params"} for g in optimiser.param_groups]
    optimiser.load_state_dict(state)
    for group, own in zip(optimiser.param_groups, options, strict=True):
        group.update(own)
    for parameter, values in optimiser.state.items():
        shapes = [values[name].shape for name in ("exp_avg", "exp_avg_sq")]
        if values["step"].numel() != 1 or any(shape != parameter.shape for shape in shapes):
            raise ValueError("the moments have other shapes than the weights")


def set_lr(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Multiplies the base learning rate of every group by a factor."""
    for group in optimiser.param_groups:
        group["lr"] = group["base_lr"] * factor


def lr_by_group(optimiser: torch.optim.Optimizer) -> dict[str, float]:
    """The current learning rate of every named group."""
    return {group["name"]: group["lr"] for group in optimiser.param_groups}


M = TypeVar("M", bound=nn.Module)


class Ema(Generic[M]):
    """Exponential moving average of a model's weights, which is what gets evaluated and saved.

    The average itself is timm's `ModelEmaV3`. The decay of update n is min(decay, (1+n) / (10+n)),
    so that short runs soon forget the initial weights.

    Attributes:
        model: the averaged weights, in eval mode and without gradients.
        steps: updates so far.
    """

    def __init__(self, model: M, decay: float) -> None:
        self.average = ModelEmaV3(model)
        self.model = cast(M, self.average.module.requires_grad_(False))
        self.decay, self.steps = decay, 0

    def update(self, model: nn.Module) -> None:
        """Moves the average towards the current weights."""
        self.steps += 1
        self.average.decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.average.update(model)

    def state_dict(self) -> dict[str, int | dict[str, Tensor]]:
        """The averaged weights and the number of updates, for checkpoints."""
        return {"model": self.model.state_dict(), "steps": self.steps}

    def load_state_dict(self, state: dict) -> None:
        """Restores the value of `state_dict`."""
        self.model.load_state_dict(state["model"])
        steps = int(state["steps"])
        if not 0 <= steps < 1 << 62:
            raise ValueError("impossible number of updates")
        self.steps = steps
