"""Runs a tiny recipe and records gradients, losses and samples, to compare two ways of running it.

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
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": os.pathsep.join([str(PROGRAM.parent), str(PROGRAM.parents[1])]),
}
"""Of the program, which imports helpers of the tests."""


class Probe:
    """Gradients before clipping and losses of every optimiser step, and every sample seen.

    Attributes:
        gradients: a step's gradients by parameter.
        losses: a step's losses by part, of this process only.
        samples: hash of every clip by its key.
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

        def stepped(loop: Any, number: int, done: float, normaliser: Any, batches: Any) -> Any:
            for keys, batch in batches:
                for b, key in enumerate(keys):
                    rows = [batch.images[t * batch.num_clips + b] for t in range(batch.num_frames)]
                    content = b"".join(row.numpy().tobytes() for row in rows)
                    self.samples[tuple(key)] = hashlib.sha256(content).hexdigest()
            return step(loop, number, done, normaliser, batches)

        def logged(loop: Any, number: int, done: float, losses: dict[str, float], _: Any) -> None:
            self.losses.append(losses)

        with (
            mock.patch.object(accelerator, "clip_grad_norm_", clipped),
            mock.patch.object(stage.StageLoop, "_step", stepped),
            mock.patch.object(stage.StageLoop, "_log", logged),
            mock.patch.object(Trainer, "_report"),
        ):
            trainer.train()
        return trainer


def farthest(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> tuple[float, float]:
    """The largest difference of two steps' gradients, absolute and relative to the largest one."""
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
        real, count = stage.non_finite_part, 0

        def die(losses: Any) -> Any:
            nonlocal count
            count += 1
            if count > arguments.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(losses)

        stage.non_finite_part = die
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
