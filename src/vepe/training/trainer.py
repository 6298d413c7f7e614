"""A training run on accelerate, from its recipe to the weights: all stages in order.

Read next: `stage.StageLoop` (the loop of a stage) and `step.TrainingStep` (one forward pass).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from vepe.config.model import ModelConfig
from vepe.config.training import TrainConfig
from vepe.data.batch import Batch
from vepe.errors import VepeError, counted
from vepe.formats.folder_lock import locked_folder
from vepe.models.vepe import Vepe
from vepe.training.calibration import calibrate_scores
from vepe.training.checkpoint import LAST, WEIGHTS, Progress, Run, seed_everything
from vepe.training.distributed import StopSignal, start_processes
from vepe.training.evaluation import Evaluation
from vepe.training.loader import StageLoader, explained_losses
from vepe.training.optimiser import Ema, freeze
from vepe.training.report import ReportCallback
from vepe.training.run_log import RunLog
from vepe.training.setup import compile_parts, enable_gradient_checkpointing, write_environment
from vepe.training.sources import check_shards, fingerprint
from vepe.training.stage import StageLoop
from vepe.training.start import build_start


class Trainer:
    """One run: `train()` runs all stages and writes `weights.safetensors`.

    On a Linux CPU, call `vepe.keep_freed_memory()` first: it makes training several times faster,
    but holds for the whole process. The `vepe` command does.

    Args:
        config: the run.
        folder: for checkpoints, logs and weights.
        resume: continue from `last.pt` in `folder`.
        quiet: show warnings alone.

    Raises:
        VepeError: if the folder cannot be created, another run writes into it, it holds a run and
            `resume` is not set, or data, weights, parts of the model or the device are missing.
    """

    def __init__(
        self, config: TrainConfig, folder: Path, *, resume: bool = False, quiet: bool = False
    ) -> None:
        if not resume:
            config.check_start()
        with ExitStack() as stack:
            if os.environ.get("RANK", "0") == "0":  # of torchrun's processes, one writes
                stack.enter_context(locked_folder(folder))
            self._prepare(config, folder, resume=resume, quiet=quiet)
            self._folder_lock = stack.pop_all()

    def _prepare(self, config: TrainConfig, folder: Path, *, resume: bool, quiet: bool) -> None:
        last = folder / LAST
        if last.exists() and not resume:
            raise VepeError(
                f"'{folder}' already holds a run; add --resume to continue it or choose another "
                "folder."
            )
        if resume and not last.exists():
            raise VepeError(f"There is no checkpoint '{last}' to resume from.")
        _create(folder)
        processes = start_processes(config)
        for stage in config.stages:
            config.accumulation(stage, processes.count)  # raises where it does not divide
        seed_everything(config.seed)
        model_config, model = build_start(config, load=not resume, quiet=quiet)
        model.backbone.to(memory_format=torch.channels_last)  # faster convolutions on CPUs
        root = Path(config.data_root)
        check_stages(config, model)
        with processes.main_first():
            data = {s.name: fingerprint(s, root, model_config.skeleton) for s in config.stages}
        self.run = Run(
            config,
            model_config,
            folder,
            model,
            Ema(model, config.ema),
            processes,
            None if config.evaluation is None else Evaluation(config.evaluation, root),
            data,
        )
        self.quiet = quiet
        self.restored = self.run.restore() if resume else None
        self.start = Progress() if self.restored is None else self.restored.progress
        self.run.ema.model.to(processes.device)
        if config.gradient_checkpointing:
            enable_gradient_checkpointing(model)
        if config.compile:
            compile_parts(model, processes.device)

    @property
    def model(self) -> Vepe:
        """The trained weights, not averaged."""
        return self.run.model

    @property
    def model_config(self) -> ModelConfig:
        """The model's configuration."""
        return self.run.model_config

    def train(self) -> Path:
        """Runs all stages; returns the file of the EMA weights.

        Raises:
            KeyboardInterrupt: after a checkpoint, if a stop was requested.
            VepeError: if a loss is not finite, a file cannot be written, or a process that loads
                data is lost.
        """
        with self._folder_lock, explained_losses():
            self._train()
        return self.run.folder / WEIGHTS

    def _train(self) -> None:
        run = self.run
        callback = ReportCallback(
            run.folder, run.config, run.ema.model, run.criterion(), run.model_config.skeleton
        )
        folder = run.folder if run.processes.main else None
        if folder is not None:
            write_environment(folder, run.config, run.processes.count)
        with RunLog(folder, run.config, self.start, quiet=self.quiet) as log, StopSignal() as stop:
            for number in range(self.start.stage, len(run.config.stages)):
                begin = self.start if number == self.start.stage else Progress(stage=number)
                self._begin_stage(begin)
                loop = StageLoop(run, begin, self.restored, log, callback, stop)
                self.restored = None
                loop.train()
            if run.processes.main:
                run.export(training=self._calibrate(log, stop))
                self._report(callback, log, stop)
        run.processes.wait()

    def _begin_stage(self, begin: Progress) -> None:
        self.run.processes.accelerator.free_memory()  # the last stage's optimiser
        if begin.stage > 0 and begin.step == 0:
            # A stage starts from the averaged weights of the one before: those are the result.
            self.run.model.load_state_dict(self.run.ema.model.state_dict())
            self.run.ema.steps = 0

    def _calibrate(self, log: RunLog, stop: StopSignal) -> dict[str, Any]:
        """Calibrates the EMA weights on unused batches of the last stage; returns what was fitted,
        for the header of the weights.

        Raises:
            KeyboardInterrupt: if a stop was requested; the last stage is in the checkpoint.
        """
        num_batches = self.run.config.calibration_batches
        if not num_batches:
            return {}
        log.display.note(
            f"Calibrating scores on {counted(num_batches, 'batch', 'batches')} "
            "(calibration_batches)."
        )
        batches = _until_stop(self._unused_batches(num_batches), stop)
        try:
            fitted = calibrate_scores(self.run.ema.model, self.run.criterion(), batches)
        except KeyboardInterrupt:
            log.display.warn(f"Stopped. Resume with --resume and -o {self.run.folder}.")
            raise
        return {"calibration": asdict(fitted)}

    def _report(self, callback: ReportCallback, log: RunLog, stop: StopSignal) -> None:
        """Writes the report; a failure or a stop is only noted, for the weights are complete."""
        num_batches = max(self.run.config.calibration_batches, 1)
        batches = counted(num_batches, "batch", "batches")
        log.display.note(f"Writing the report, with the worst clips of {batches}.")
        try:
            callback.finish(_until_stop(self._unused_batches(num_batches), stop))
        except VepeError as error:
            log.display.warn(f"The report of the run was not written. {error}")
        except KeyboardInterrupt:
            log.display.warn(
                "The report of the run was not written; the weights are complete. For the report: "
                f"vepe train report {self.run.folder}"
            )

    def _unused_batches(self, count: int) -> Iterator[Batch]:
        """Batches of the last stage's data that it was not trained on."""
        run, stages = self.run, self.run.config.stages
        stage = stages[-1].model_copy(update={"steps": count, "minutes": None})
        config = run.config.model_copy(update={"accumulate": 1, "clips_per_step": None})
        skeleton = run.model_config.skeleton
        loader = StageLoader(config, stage, len(stages), 0, skeleton, run.processes)
        return (batch for step in loader for _, batch in step)


def _until_stop(batches: Iterator[Batch], stop: StopSignal) -> Iterator[Batch]:
    """The batches; raises KeyboardInterrupt once a stop is requested."""
    for batch in batches:
        if stop.requested:
            raise KeyboardInterrupt
        yield batch


def _create(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VepeError(
            f"'{folder}' cannot be created ({error.strerror}); choose another output folder."
        ) from error


def check_stages(config: TrainConfig, model: Vepe) -> None:
    """Checks all stages before the first one starts.

    Raises:
        VepeError: if a stage freezes a missing part, lacks data, or has an image size that the
            model does not support.
    """
    for stage in config.stages:
        freeze(model, stage)
        check_shards(stage, Path(config.data_root))
        if stage.size_px % model.stride:
            raise VepeError(
                f"Stage '{stage.name}' has size_px {stage.size_px}; it must be a multiple of "
                f"{model.stride}, the model's coarsest stride."
            )
