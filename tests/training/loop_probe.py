"""Runs a tiny recipe and keeps what two ways of running it are compared by.

Also a program, for tests of several processes and of runs that are killed:

    python loop_probe.py FOLDER OPTIONS_AS_JSON [--kill-at N] [--probe FILE]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from tiny_recipe import recipe

from vepe.training import stage
from vepe.training.trainer import Trainer

PROGRAM = Path(__file__)


class Probe:
    """Gradients before clipping and losses of every optimiser step, and every sample seen.

    Attributes:
        gradients: a step's gradients by parameter.
        losses: a step's losses by part, of this process alone.
        samples: what every clip is, by its key.
    """

    def __init__(self) -> None:
        self.gradients: list[dict[str, torch.Tensor]] = []
        self.losses: list[dict[str, float]] = []
        self.samples: dict[tuple[int, ...], str] = {}

    def run(self, folder: Path, **options: Any) -> Trainer:
        trainer = Trainer(recipe(**options), folder)
        accelerator = trainer.run.processes.accelerator
        clip, step = accelerator.clip_grad_norm_, stage.StageLoop._step

        def clipped(parameters: Any, most: float) -> Any:
            named = trainer.model.named_parameters()
            self.gradients.append({n: p.grad.clone() for n, p in named if p.grad is not None})
            return clip(parameters, most)

        def stepped(loop: Any, number: int, done: float, divisors: Any, batches: Any) -> Any:
            for keys, batch in batches:
                for b, key in enumerate(keys):
                    rows = [batch.images[t * batch.clips + b] for t in range(batch.frames)]
                    content = b"".join(row.numpy().tobytes() for row in rows)
                    self.samples[tuple(key)] = hashlib.sha256(content).hexdigest()
            return step(loop, number, done, divisors, batches)

        def told(loop: Any, number: int, done: float, losses: dict[str, float], _: Any) -> None:
            self.losses.append(losses)

        with (
            mock.patch.object(accelerator, "clip_grad_norm_", clipped),
            mock.patch.object(stage.StageLoop, "_step", stepped),
            mock.patch.object(stage.StageLoop, "_tell", told),
            mock.patch.object(Trainer, "_finish"),
        ):
            trainer.train()
        return trainer


def farthest(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> tuple[float, float]:
    """The largest difference of two steps' gradients, and that in units of the largest one."""
    assert a.keys() == b.keys()
    difference = max((a[name] - b[name]).abs().max().item() for name in a)
    return difference, difference / max(value.abs().max().item() for value in a.values())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("options", type=json.loads)
    parser.add_argument("--kill-at", type=int)
    parser.add_argument("--probe", type=Path)
    arguments = parser.parse_args()
    if arguments.kill_at is not None:
        real, seen = stage.not_finite, 0

        def die(numbers: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen > arguments.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(numbers)

        stage.not_finite = die
    probe = Probe()
    trainer = probe.run(arguments.folder, **arguments.options)
    if arguments.probe is not None:
        processes = trainer.run.processes
        samples = processes.gather(probe.samples)
        weights = processes.gather({n: p.detach() for n, p in trainer.model.named_parameters()})
        if processes.main:
            state = {"gradients": probe.gradients, "samples": samples, "weights": weights}
            torch.save(state, arguments.probe)


if __name__ == "__main__":
    main()
