"""One stage of a run: the loop over its optimiser steps.

After each step all processes decide together what comes next (`StepActions`): stop, save, evaluate.
"""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from dataclasses import dataclass

from vepe.config.training import StageConfig
from vepe.errors import VepeError
from vepe.losses.criterion import LossNormaliser, total
from vepe.losses.denoising import DenoisingSettings
from vepe.training.checkpoint import (
    BEST,
    LAST,
    Checkpoint,
    Progress,
    Run,
    damage_reported,
    set_random_state,
)
from vepe.training.distributed import StopSignal
from vepe.training.fusion_step import FusionStep
from vepe.training.loader import MicroBatch, StageLoader
from vepe.training.optimiser import (
    build_optimiser,
    freeze,
    load_optimiser,
    lr_by_group,
    lr_factor,
    set_lr,
    set_mode,
    trains_only,
)
from vepe.training.report import ReportCallback
from vepe.training.run_log import RunLog
from vepe.training.step import GRADIENTS, NonFinite, TrainingStep, detached, non_finite_part


class StageClock:
    """Progress of a stage by steps or minutes, whichever is further.

    Args:
        stage: gives the length.
        earlier_s: seconds that earlier sessions spent in it.
    """

    def __init__(self, stage: StageConfig, earlier_s: float = 0.0) -> None:
        self.stage, self.earlier_s, self.started = stage, earlier_s, time.monotonic()

    def elapsed_s(self) -> float:
        """Seconds spent in the stage, including earlier sessions."""
        return self.earlier_s + time.monotonic() - self.started

    def progress(self, step: int, elapsed_s: float) -> float:
        """0 at the start, 1 at the end. All processes have to pass the same seconds."""
        by_step = step / self.stage.steps if self.stage.steps else 0.0
        by_time = elapsed_s / (60 * self.stage.minutes) if self.stage.minutes else 0.0
        return max(by_step, by_time)


class Interval:
    """Whether a number of minutes has passed since the last `restart`; None: never."""

    def __init__(self, minutes: float | None) -> None:
        self.minutes, self.last = minutes, time.monotonic()

    def due(self) -> bool:
        """Whether the time is up."""
        return self.minutes is not None and time.monotonic() - self.last > 60 * self.minutes

    def restart(self) -> None:
        """Starts counting again."""
        self.last = time.monotonic()


@dataclass(frozen=True)
class StepActions:
    """What all processes do after a step."""

    stop: bool
    save: bool
    evaluate: bool


class StageLoop:
    """Trains one stage.

    Args:
        run: the run.
        begin: the stage, and the step at which it starts or is resumed.
        restored: the checkpoint of `begin`, if it is resumed.
        log: gets losses and scores.
        callback: draws images of predictions.
        stop: asked after each step.
    """

    def __init__(
        self,
        run: Run,
        begin: Progress,
        restored: Checkpoint | None,
        log: RunLog,
        callback: ReportCallback,
        stop: StopSignal,
    ) -> None:
        self.run, self.begin, self.restored = run, begin, restored
        self.log, self.callback, self.stop = log, callback, stop
        self.stage = run.config.stages[begin.stage]
        step = self._training_step(freeze(run.model, self.stage))
        optimiser = build_optimiser(run.model, self.stage, run.config.weight_decay)
        self.trained = [p for p in run.model.parameters() if p.requires_grad]
        self.accelerator = run.processes.accelerator
        self.module, self.optimiser = run.processes.prepare(step, optimiser)
        if restored is not None and begin.step:
            with damage_reported(run.folder / LAST):
                load_optimiser(self.optimiser, restored.parts["optimiser"])
        self.clock = StageClock(self.stage, begin.elapsed_s)
        self.save_interval = Interval(run.config.checkpoint_minutes)
        settings = run.config.evaluation
        self.evaluation_interval = Interval(settings.every_minutes if settings else None)

    def _training_step(self, frozen_frames: bool) -> TrainingStep | FusionStep:
        """What the stage does with a batch."""
        run = self.run
        if trains_only(run.model, "pose_fusion"):
            return FusionStep(run.model, run.criterion())
        return TrainingStep(
            run.model,
            run.criterion(),
            DenoisingSettings(groups=self.stage.denoising_groups),
            identity=run.model_config.consistency.enabled,
            frozen_frames=frozen_frames,
            skip_last=self.stage.skip_last,
            fold=not (run.config.compile or run.config.gradient_checkpointing),
        )

    def train(self) -> None:
        """Runs the steps of the stage until its end or a requested stop.

        Raises:
            KeyboardInterrupt: after a checkpoint, if a stop was requested.
            VepeError: if a loss is not finite, or a file cannot be written.
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
                with damage_reported(run.folder / LAST):
                    set_random_state(states[run.processes.index])
            self.restored = None
        last, evaluated = begin.step - 1, False
        for step, batches in enumerate(loader, start=begin.step):
            progress, normaliser, num_unreadable = self._sync(step, batches)
            if progress >= 1:
                break
            self.log.num_unreadable += num_unreadable
            actions = self._step(step, progress, normaliser, batches)
            last, evaluated = step, actions.evaluate
            if evaluated and self._evaluate(step):
                break
            if actions.save or actions.stop:
                self._save(Progress(begin.stage, step + 1, self.clock.elapsed_s()))
            if actions.stop:
                self.log.display.warn(f"Stopped. Resume with --resume and -o {run.folder}.")
                raise KeyboardInterrupt
        if not evaluated and run.evaluation is not None:
            self._evaluate(max(last, 0))
        if run.evaluation is not None:
            run.evaluation.num_without_best = 0
        self._save(Progress(begin.stage + 1))

    def _sync(self, step: int, batches: list[MicroBatch]) -> tuple[float, LossNormaliser, int]:
        """Over all processes: the stage's progress by the first one's clock, the divisors of the
        losses, and the number of unreadable images."""
        processes = self.run.processes
        counts = [LossNormaliser.of(batch.targets) for _, batch in batches]
        local = [
            sum(c.num_instances for c in counts),
            sum(c.num_anchors for c in counts),
            self.clock.elapsed_s() if processes.main else 0.0,
            sum(len(batch.unreadable) for _, batch in batches),
        ]
        num_instances, num_anchors, elapsed_s, num_unreadable = processes.sums(local)
        normaliser = LossNormaliser(num_instances, num_anchors).per_process(processes.count)
        return self.clock.progress(step, elapsed_s), normaliser, int(num_unreadable)

    def _step(
        self, step: int, progress: float, normaliser: LossNormaliser, batches: list[MicroBatch]
    ) -> StepActions:
        """One optimiser step."""
        run, stage = self.run, self.stage
        set_lr(self.optimiser, lr_factor(stage.schedule, step, progress, stage.warmup_steps))
        losses: dict[str, float] = {}
        non_finite: NonFinite | None = None
        for number, (keys, batch) in enumerate(batches):
            # Gradients are averaged over the processes once, after the last micro-batch.
            last = number + 1 == len(batches)
            with nullcontext() if last else self.accelerator.no_sync(self.module):
                parts = self.module(batch, keys, normaliser)
                values = detached(parts)
                part = non_finite_part(values)
                if part is not None and non_finite is None:
                    non_finite = NonFinite(part, batch, keys, values)
                self.accelerator.backward(total(parts))
            for name, value in values.items():
                losses[name] = losses.get(name, 0.0) + value
        norm = self.accelerator.clip_grad_norm_(self.trained, run.config.clip_norm)
        # A loss scaler expects infinite gradients now and then, and skips the step itself.
        scaled = self.accelerator.scaler is not None
        if non_finite is None and not scaled and norm is not None and not math.isfinite(norm):
            keys, batch = batches[-1]
            non_finite = NonFinite(GRADIENTS, batch, keys, losses)
        failed, actions = self._actions(step, non_finite is not None)
        if failed:
            raise self._non_finite_error(step, non_finite)
        self.optimiser.step()
        self.optimiser.zero_grad()
        run.ema.update(run.model)
        self._log(step, progress, losses, batches)
        return actions

    def _actions(self, step: int, failed: bool) -> tuple[bool, StepActions]:
        """Whether the loss of any process is not finite, and what all processes do next."""
        config, main = self.run.config, self.run.processes.main
        settings = config.evaluation
        failed, stop, save, evaluate = self.run.processes.any(
            [
                failed,
                self.stop.requested,
                main and self.save_interval.due(),
                main and self.evaluation_interval.due(),
            ]
        )
        if config.checkpoint_steps:
            save |= (step + 1) % config.checkpoint_steps == 0
        if settings is not None and settings.every_steps:
            evaluate |= (step + 1) % settings.every_steps == 0
        return failed, StepActions(stop, save, evaluate)

    def _non_finite_error(self, step: int, non_finite: NonFinite | None) -> VepeError:
        """The error that ends the run in every process; saves the batch of this one, if it is the
        cause."""
        if non_finite is None:
            return VepeError(f"Another process stopped at step {step}; its message says why.")
        index = self.run.processes.index
        path = self.run.folder / ("nan_batch.pt" if index == 0 else f"nan_batch-{index}.pt")
        non_finite.save(path)
        return non_finite.error(self.stage.name, step, path)

    def _log(
        self, step: int, progress: float, losses: dict[str, float], batches: list[MicroBatch]
    ) -> None:
        num_clips = sum(batch.num_clips for _, batch in batches) * self.run.processes.count
        lrs = lr_by_group(self.optimiser)
        lr = next(iter(lrs.values())) if len(lrs) == 1 else lrs
        self.log.losses(self.stage.name, step, progress, losses, num_clips, lr, self.stage.frames)
        self.callback.after_step(self.log, batches[-1][1])

    def _evaluate(self, step: int) -> bool:
        """Evaluates the EMA weights; True if early stopping is triggered."""
        run = self.run
        assert run.evaluation is not None
        early_stop = False
        if run.processes.main:
            scores = run.evaluation.scores(run.ema.model, run.model_config, run.processes.device)
            self.log.evaluation(step, scores)
            if run.evaluation.update_best(scores):
                finite = {n: value if math.isfinite(value) else None for n, value in scores.items()}
                best = {"stage": self.stage.name, "step": step, "scores": finite}
                run.export(BEST, {"evaluation": best})
            early_stop = run.evaluation.early_stop()
        early_stop = run.processes.any([early_stop])[0]
        self.evaluation_interval.restart()
        if early_stop:
            settings = run.evaluation.config
            self.log.display.note(
                f"Early stop of stage '{self.stage.name}': no better {settings.metric} in "
                f"{settings.patience} evaluations."
            )
        return early_stop

    def _save(self, progress: Progress) -> None:
        self.log.flush()  # so that the log of a resumed run has no gap
        self.run.save(progress, self.optimiser)
        self.run.export()
        self.save_interval.restart()
