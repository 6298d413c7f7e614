"""The moving average of the weights: what is evaluated and shipped."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

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
