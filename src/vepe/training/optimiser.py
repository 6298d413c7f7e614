"""The learning rate over a stage: a linear warm-up, then cosine, steps, or nothing.

The moving average of the weights: what is evaluated and shipped.

Which parameters a stage trains, and in which groups.
"""

from __future__ import annotations

import copy
import math
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from vepe.config.training import ScheduleConfig, StageConfig
from vepe.errors import VepeError
from vepe.models.vepe import Vepe


def rate_factor(schedule: ScheduleConfig, step: int, progress: float, warmup_steps: int) -> float:
    """What every rate is multiplied by at a step.

    Args:
        schedule: its shape.
        step: of the stage, from 0.
        progress: of the stage, 0 at its start and 1 at its end, by steps or by time.
        warmup_steps: over which the rate rises.
    """
    warm = min((step + 1) / max(warmup_steps, 1), 1.0)
    if schedule.kind == "constant":
        return warm
    if schedule.kind == "step":
        return warm * schedule.gamma ** sum(progress >= m for m in schedule.milestones)
    half = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    return warm * (schedule.floor + (1 - schedule.floor) * half)


def set_rate(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Applies a factor to every group's own rate."""
    for group in optimiser.param_groups:
        group["lr"] = group["base_lr"] * factor


M = TypeVar("M", bound=nn.Module)


class Ema(Generic[M]):
    """Exponential moving average of a model's weights.

    The decay grows with the steps, min(decay, (1 + n) / (10 + n)), so that the random start is
    soon forgotten in short runs.
    """

    def __init__(self, model: M, decay: float) -> None:
        self.model: M = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay, self.steps = decay, 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Moves the average towards the present weights."""
        self.steps += 1
        share = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        floats, present = [], []
        for mean, value in zip(
            self.model.state_dict().values(), model.state_dict().values(), strict=True
        ):
            if mean.is_floating_point():
                floats.append(mean)
                present.append(value)
            else:
                mean.copy_(value)
        torch._foreach_lerp_(floats, present, share)

    def state_dict(self) -> dict[str, Tensor | int | dict[str, Tensor]]:
        """For checkpoints."""
        return {"model": self.model.state_dict(), "steps": self.steps}

    def load_state_dict(self, state: dict) -> None:
        """Restores what `state_dict` gave."""
        self.model.load_state_dict(state["model"])
        self.steps = int(state["steps"])


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
