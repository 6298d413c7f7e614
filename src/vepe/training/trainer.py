"""A training run, on accelerate: its start, its stages, and what is left when they are over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from vepe.config.model import ModelConfig
from vepe.config.training import StageConfig, TrainConfig
from vepe.data.batch import Batch
from vepe.errors import VepeError
from vepe.inference.devices import keep_freed_memory
from vepe.models.vepe import Vepe
from vepe.training.calibration import calibrate_scores
from vepe.training.checkpoint import Checkpoint, Progress, load_checkpoint, seed_everything
from vepe.training.distributed import start_processes
from vepe.training.evaluation import Evaluation
from vepe.training.interruption import Interruption
from vepe.training.loader import StageLoader
from vepe.training.optimiser import Ema, freeze
from vepe.training.report import Watch
from vepe.training.run import LAST, WEIGHTS, Run
from vepe.training.run_log import RunLog
from vepe.training.setup import checkpoint_gradients, compile_parts, write_environment
from vepe.training.sources import check_shards, fingerprint
from vepe.training.stage import StageLoop
from vepe.training.start import build_start


class Trainer:
    """One run: `train()` goes through all stages and writes `weights.safetensors`.

    Args:
        config: the whole run.
        folder: where checkpoints, logs and weights go.
        resume: go on from `last.pt` in `folder`.

    Raises:
        VepeError: where the folder cannot be made, or holds a run and `resume` is not asked for,
            or data, weights, parts or the device are missing.
    """

    def __init__(self, config: TrainConfig, folder: Path, *, resume: bool = False) -> None:
        keep_freed_memory()
        last = folder / LAST
        if last.exists() and not resume:
            raise VepeError(
                f"'{folder}' already holds a run; add --resume to go on or choose another folder."
            )
        if resume and not last.exists():
            raise VepeError(f"There is no checkpoint '{last}' to resume from.")
        _make(folder)
        processes = start_processes(config)
        if processes.main:
            for left_over in folder.glob(f".{LAST}.*.part"):  # of a run that was killed
                left_over.unlink(missing_ok=True)
        seed_everything(config.seed)
        model_config, model = build_start(config, load=not resume)
        model.backbone.to(memory_format=torch.channels_last)  # faster convolutions on CPUs
        root = Path(config.data_root)
        check_stages(config, model)
        with processes.first_ahead():
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
        self.start, self.restored = Progress(), self._restore(last) if resume else None
        if self.restored is not None:
            self.start = self.restored.progress
        self.run.ema.model.to(processes.device)
        if config.gradient_checkpointing:
            checkpoint_gradients(model)
        if config.compile:
            compile_parts(model, processes.device)

    @property
    def model(self) -> Vepe:
        """The weights that are trained."""
        return self.run.model

    @property
    def model_config(self) -> ModelConfig:
        """What the model is made of."""
        return self.run.model_config

    def _restore(self, last: Path) -> Checkpoint:
        run = self.run
        checkpoint = load_checkpoint(last, run.identity)
        run.model.load_state_dict(checkpoint.parts["model"])
        run.ema.load_state_dict(checkpoint.parts["ema"])
        scaler = run.processes.accelerator.scaler
        if scaler is not None and "scaler" in checkpoint.parts:
            scaler.load_state_dict(checkpoint.parts["scaler"])
        if run.evaluation is not None and "evaluation" in checkpoint.parts:
            run.evaluation.load_state_dict(checkpoint.parts["evaluation"])
        return checkpoint

    def train(self) -> Path:
        """Runs all stages; returns the file with the averaged weights."""
        run = self.run
        watch = Watch(
            run.folder, run.config, run.ema.model, run.criterion(), run.model_config.skeleton
        )
        told = run.folder if run.processes.main else None
        if told is not None:
            write_environment(run.folder, run.config, run.processes.count)
        with RunLog(told, run.config, self.start) as journal, Interruption() as interruption:
            for number in range(self.start.stage, len(run.config.stages)):
                begin = self.start if number == self.start.stage else Progress(stage=number)
                self._begin_stage(begin)
                loop = StageLoop(run, begin, self.restored, journal, watch, interruption)
                self.restored = None
                loop.train()
        if run.processes.main:
            run.export(training=self._calibrate())
            self._finish(watch, journal)
        run.processes.wait()
        return run.folder / WEIGHTS

    def _finish(self, watch: Watch, journal: RunLog) -> None:
        """Writes the run's page; without it the weights are as good."""
        try:
            watch.finish(self._more_batches(max(self.run.config.calibration_batches, 1)))
        except VepeError as error:
            journal.display.note(f"The page of the run was not written. {error}")

    def _begin_stage(self, begin: Progress) -> None:
        self.run.processes.accelerator.free_memory()  # the last stage's optimiser
        if begin.stage > 0 and begin.step == 0:
            # A new stage builds on the averaged weights, for those are what will be used.
            self.run.model.load_state_dict(self.run.ema.model.state_dict())
            self.run.ema.steps = 0

    def _more_batches(self, count: int) -> Iterator[Batch]:
        """Batches of the last stage's data that it was not trained on."""
        run, stages = self.run, self.run.config.stages
        stage = stages[-1].model_copy(update={"steps": count, "minutes": None})
        config = run.config.model_copy(update={"accumulate": 1})
        skeleton = run.model_config.skeleton
        loader = StageLoader(config, stage, len(stages), 0, skeleton, run.processes)
        return (batch for step in loader for _, batch in step)

    def _calibrate(self) -> dict[str, Any]:
        """Calibrates the averaged weights on the last stage's data, after its last batch.

        Tells what was fitted, for the weights' header.
        """
        count = self.run.config.calibration_batches
        if not count:
            return {}
        batches = self._more_batches(count)
        fitted = calibrate_scores(self.run.ema.model, self.run.criterion(), batches)
        return {"calibration": asdict(fitted)}


def _make(folder: Path) -> None:
    """The run's folder. Raises VepeError where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VepeError(
            f"'{folder}' cannot be a run's folder ({error.strerror}); choose another one."
        ) from error


def check_stages(config: TrainConfig, model: Vepe) -> None:
    """Finds what later stages lack now, and not after an hour of the first one.

    Raises:
        VepeError: where a stage freezes what is not there, has no data, or pictures of a size
            that the model cannot take.
    """
    for stage in config.stages:
        freeze(model, stage)
        check_shards(stage, Path(config.data_root))
        _check_size(stage, model.stride)


def _check_size(stage: StageConfig, stride: int) -> None:
    if stage.size_px % stride:
        raise VepeError(
            f"Stage '{stage.name}' has size_px {stage.size_px}; give a multiple of {stride}, the "
            "model's coarsest stride."
        )
