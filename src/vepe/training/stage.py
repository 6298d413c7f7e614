"""What happens when a loss is no number: the run stops, names the part, and keeps the batch.

One stage of a run: the loop over its optimiser steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vepe.data.batch import Batch
from vepe.errors import VepeError
from vepe.formats.files import replacing
from vepe.losses.criterion import LossNormaliser, total
from vepe.losses.denoising import NoiseSettings
from vepe.training.checkpoint import Checkpoint, Progress, set_random_state
from vepe.training.display import Clock, Every
from vepe.training.interruption import Interruption
from vepe.training.loader import MicroBatch, StageLoader
from vepe.training.optimiser import (
    build_optimiser,
    freeze,
    rate_factor,
    rates_by_group,
    set_mode,
    set_rate,
)
from vepe.training.report import Watch
from vepe.training.run import BEST, Run
from vepe.training.run_log import RunLog
from vepe.training.step import TrainingStep, detached

GRADIENTS = "gradients"
"""Stands for a part of the loss where all parts are finite, but their gradients are not."""


def not_finite(numbers: Mapping[str, float]) -> str | None:
    """The first part that is NaN or infinite."""
    return next((name for name, value in numbers.items() if not math.isfinite(value)), None)


def save_batch(
    path: Path, batch: Batch, keys: Sequence[tuple[int, ...]], numbers: Mapping[str, float]
) -> Path:
    """Writes a batch as plain tensors, for `torch.load(path, weights_only=True)`.

    It holds `images`, `times_s`, `targets` by field, `parts` of the loss, and `samples`: the key
    (seed, stage, index) of every clip.
    """
    state: dict[str, Any] = {
        "images": batch.images,
        "times_s": batch.times_s,
        "targets": {f.name: getattr(batch.targets, f.name) for f in fields(batch.targets)},
        "parts": dict(numbers),
        "samples": [list(key) for key in keys],
    }
    with replacing(path) as beside:
        torch.save(state, beside)
    return path


def stop_at(part: str, stage: str, step: int, saved: Path | None) -> VepeError:
    """The error that ends the run."""
    what = "The gradients are" if part == GRADIENTS else f"The loss part '{part}' is"
    kept = f"the batch is kept in '{saved}'; " if saved else ""
    return VepeError(
        f"{what} not finite at step {step} of stage '{stage}'; {kept}lower the learning rate or "
        "look at the batch, and resume from the last checkpoint."
    )


@dataclass(frozen=True)
class _Orders:
    """What all processes do after a step."""

    stop: bool
    save: bool
    evaluate: bool


class StageLoop:
    """Trains one stage.

    Args:
        run: what is trained.
        begin: the stage, and the step from which it goes on.
        restored: the checkpoint that `begin` stands in, if any.
        journal, watch, interruption: who is told, who draws, and who may ask for a stop.
    """

    def __init__(
        self,
        run: Run,
        begin: Progress,
        restored: Checkpoint | None,
        journal: RunLog,
        watch: Watch,
        interruption: Interruption,
    ) -> None:
        self.run, self.begin, self.restored = run, begin, restored
        self.journal, self.watch, self.interruption = journal, watch, interruption
        self.stage = run.config.stages[begin.stage]
        frozen = freeze(run.model, self.stage)
        step = TrainingStep(
            run.model,
            run.criterion(),
            NoiseSettings(groups=self.stage.noise_groups),
            identity=run.model_config.consistency.enabled,
            frozen_frames=frozen,
        )
        optimiser = build_optimiser(run.model, self.stage, run.config.weight_decay)
        self.trained = [p for p in run.model.parameters() if p.requires_grad]
        self.accelerator = run.processes.accelerator
        self.module, self.optimiser = run.processes.prepare(step, optimiser)
        if restored is not None and begin.step:
            self.optimiser.load_state_dict(restored.parts["optimiser"])
        self.clock = Clock(self.stage, begin.elapsed_s)
        self.save_time = Every(run.config.checkpoint_minutes)
        settings = run.config.evaluation
        self.evaluation_time = Every(settings.every_minutes if settings else None)

    def train(self) -> None:
        """Goes through the stage's steps, to its end or until somebody asks for a stop.

        Raises:
            KeyboardInterrupt: after a checkpoint, where the user asked for it.
            VepeError: where the loss is not finite, or nothing can be written.
        """
        run, begin = self.run, self.begin
        loader = StageLoader(
            run.config,
            self.stage,
            begin.stage,
            begin.step,
            run.model_config.skeleton,
            run.processes,
        )
        set_mode(run.model)
        if self.restored is not None:
            states = self.restored.random_states
            if run.processes.index < len(states):
                set_random_state(states[run.processes.index])
            self.restored = None
        last, evaluated = begin.step - 1, False
        for step, batches in enumerate(loader, start=begin.step):
            done, divisors, unreadable = self._agree(step, batches)
            if done >= 1:
                break
            self.journal.unreadable += unreadable
            orders = self._step(step, done, divisors, batches)
            last, evaluated = step, orders.evaluate
            if evaluated and self._evaluate(step):
                break
            if orders.save or orders.stop:
                self._save(Progress(begin.stage, step + 1, self.clock.elapsed_s()))
            if orders.stop:
                self.journal.display.note(f"Stopped. Go on with --resume and -o {run.folder}.")
                raise KeyboardInterrupt
        if not evaluated and run.evaluation is not None:
            self._evaluate(max(last, 0))
        if run.evaluation is not None:
            run.evaluation.waited = 0
        self._save(Progress(begin.stage + 1))

    def _agree(self, step: int, batches: list[MicroBatch]) -> tuple[float, LossNormaliser, int]:
        """The stage's progress by the first process's clock, what losses are divided by, and how
        many pictures could not be read."""
        processes = self.run.processes
        counts = [LossNormaliser.of(batch.targets) for _, batch in batches]
        local = [
            sum(c.people for c in counts),
            sum(c.anchors for c in counts),
            self.clock.elapsed_s() if processes.main else 0.0,
            sum(len(batch.unreadable) for _, batch in batches),
        ]
        people, anchors, elapsed_s, unreadable = processes.sums(local)
        divisors = LossNormaliser(people, anchors).divisors(processes.count)
        return self.clock.progress(step, elapsed_s), divisors, int(unreadable)

    def _step(
        self, step: int, done: float, divisors: LossNormaliser, batches: list[MicroBatch]
    ) -> _Orders:
        """One optimiser step, and what comes after it."""
        run, stage = self.run, self.stage
        set_rate(self.optimiser, rate_factor(stage.schedule, step, done, stage.warmup_steps))
        numbers: dict[str, float] = {}
        bad: tuple[str, MicroBatch, dict[str, float]] | None = None
        for place, micro in enumerate(batches):
            keys, batch = micro
            # Gradients of many processes are averaged once, after the last batch.
            last = place + 1 == len(batches)
            with nullcontext() if last else self.accelerator.no_sync(self.module):
                parts = self.module(batch, keys, divisors)
                found = detached(parts)
                part = not_finite(found)
                if part is not None and bad is None:
                    bad = (part, micro, found)
                self.accelerator.backward(total(parts))
            for name, value in found.items():
                numbers[name] = numbers.get(name, 0.0) + value
        norm = self.accelerator.clip_grad_norm_(self.trained, run.config.clip_norm)
        if bad is None and not self._scaled() and not _finite(norm):
            bad = (GRADIENTS, batches[-1], numbers)
        lost, orders = self._orders(step, bad is not None)
        if lost:
            raise self._lost(step, bad)
        self.optimiser.step()
        self.optimiser.zero_grad()
        run.ema.update(run.model)
        self._tell(step, done, numbers, batches)
        return orders

    def _scaled(self) -> bool:
        """With a loss scaler, infinite gradients are usual now and then: it skips the step."""
        return self.accelerator.scaler is not None

    def _orders(self, step: int, bad: bool) -> tuple[bool, _Orders]:
        """Whether any process lost its loss, and what all do next."""
        config, main = self.run.config, self.run.processes.main
        settings = config.evaluation
        lost, stop, save, evaluate = self.run.processes.any(
            [
                bad,
                self.interruption.asked,
                main and self.save_time.due(),
                main and self.evaluation_time.due(),
            ]
        )
        if config.checkpoint_steps:
            save |= (step + 1) % config.checkpoint_steps == 0
        if settings is not None and settings.every_steps:
            evaluate |= (step + 1) % settings.every_steps == 0
        return lost, _Orders(stop, save, evaluate)

    def _lost(self, step: int, bad: tuple[str, MicroBatch, dict[str, float]] | None) -> VepeError:
        """The error that ends the run in every process; those that met it keep their batch."""
        if bad is None:
            return VepeError(f"Another process stopped at step {step}; its message says why.")
        part, (keys, batch), numbers = bad
        index = self.run.processes.index
        name = "nan_batch.pt" if index == 0 else f"nan_batch-{index}.pt"
        saved = save_batch(self.run.folder / name, batch, keys, numbers)
        return stop_at(part, self.stage.name, step, saved)

    def _tell(
        self, step: int, done: float, numbers: dict[str, float], batches: list[MicroBatch]
    ) -> None:
        clips = sum(batch.clips for _, batch in batches) * self.run.processes.count
        rates = rates_by_group(self.optimiser)
        rate = next(iter(rates.values())) if len(rates) == 1 else rates
        self.journal.step(self.stage.name, step, done, numbers, clips, rate, self.stage.frames)
        self.watch.step(self.journal, batches[-1][1])

    def _evaluate(self, step: int) -> bool:
        """Scores the averaged weights; True where the stage shall end for want of progress."""
        run = self.run
        assert run.evaluation is not None
        ended = False
        if run.processes.main:
            scores = run.evaluation.scores(run.ema.model, run.model_config, run.processes.device)
            self.journal.evaluation(step, scores)
            if run.evaluation.note(scores):
                place = {"stage": self.stage.name, "step": step, "scores": _told(scores)}
                run.export(BEST, {"evaluation": place})
            ended = run.evaluation.exhausted()
        ended = run.processes.any([ended])[0]
        self.evaluation_time.restart()
        if ended and run.evaluation.config.patience:
            self.journal.display.note(
                f"Stage '{self.stage.name}' ends: no better {run.evaluation.config.metric} in "
                f"{run.evaluation.config.patience} evaluations."
            )
        return ended

    def _save(self, progress: Progress) -> None:
        self.journal.flush()  # a resumed log has no gap then
        self.run.save(progress, self.optimiser)
        self.run.export()
        self.save_time.restart()


def _finite(norm: Tensor | float | None) -> bool:
    return norm is None or math.isfinite(float(norm))


def _told(scores: dict[str, float]) -> dict[str, float | None]:
    """For JSON, which has no NaN."""
    return {name: value if math.isfinite(value) else None for name, value in scores.items()}
