"""The learning rate over a stage: a linear warm-up, then cosine, steps, or nothing."""

from __future__ import annotations

import math

import torch

from vepe.config.training import ScheduleConfig


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
