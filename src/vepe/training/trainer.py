"""The training loop, on accelerate: stages, checkpoints, resume, EMA, and a clean stop."""

from __future__ import annotations

import math
import os
import signal
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader

from vepe.allocator import keep_freed_memory
from vepe.config.training import StageConfig, TrainConfig
from vepe.data.batch import collate
from vepe.data.mixture import ResumableOrder
from vepe.errors import VepeError
from vepe.inference.checkpoint import save_weights
from vepe.losses.criterion import Criterion, total
from vepe.losses.denoising import NoiseSettings
from vepe.training.calibration import Calibration, calibrate_scores
from vepe.training.checkpoint import (
    Progress,
    load_checkpoint,
    save_checkpoint,
    seed_everything,
)
from vepe.training.ema import Ema
from vepe.training.interruption import Interruption
from vepe.training.journal import Journal
from vepe.training.optimiser import build_optimiser, freeze, rate_factor, set_mode, set_rate
from vepe.training.sources import build_mixture, check_shards
from vepe.training.start import build_start
from vepe.training.step import TrainingStep, detached


class Trainer:
    """One run: `train()` goes through all stages and writes `weights.safetensors`.

    Args:
        config: the whole run.
        folder: where checkpoints, logs and weights go.
        resume: go on from `last.pt` in `folder`.

    Raises:
        VepeError: where the folder holds a run and `resume` is not asked for, or data, weights or
            parts are missing.
    """

    def __init__(self, config: TrainConfig, folder: Path, *, resume: bool = False) -> None:
        keep_freed_memory()
        self.config, self.folder = config, folder
        self.last = folder / "last.pt"
        if self.last.exists() and not resume:
            raise VepeError(
                f"'{folder}' already holds a run; add --resume to go on or choose another folder."
            )
        folder.mkdir(parents=True, exist_ok=True)
        self.accelerator = Accelerator(
            mixed_precision=config.precision, gradient_accumulation_steps=config.accumulate
        )
        seed_everything(config.seed)
        self.model_config, self.model = build_start(config)
        self.model.backbone.to(memory_format=torch.channels_last)  # faster convolutions on CPUs
        self.ema = Ema(self.model, config.ema)
        self._check()
        self.start = Progress()
        self.restored: dict | None = None
        if resume:
            self.start, self.restored = load_checkpoint(self.last, config.model_dump_json())
            self.model.load_state_dict(self.restored["model"])
            self.ema.load_state_dict(self.restored["ema"])
        self.ema.model.to(self.accelerator.device)

    def train(self) -> Path:
        """Runs all stages; returns the file with the averaged weights."""
        main = self.accelerator.is_main_process
        with Journal(self.folder if main else None) as journal, Interruption() as interruption:
            for number, stage in enumerate(self.config.stages):
                if number < self.start.stage:
                    continue
                begin = self.start if number == self.start.stage else Progress(stage=number)
                self._stage(stage, begin, journal, interruption)
        return self.export(self._calibrate())

    def _calibrate(self) -> Calibration | None:
        """Calibrates the averaged weights on the last stage's data, after its last batch."""
        if not self.config.calibration_batches or not self.accelerator.is_main_process:
            return None
        stage = self.config.stages[-1].model_copy(
            update={"steps": self.config.calibration_batches, "minutes": None}
        )
        loader = self._loader(stage, Progress(stage=len(self.config.stages)))
        model = self.ema.model.to(self.accelerator.device)
        return calibrate_scores(model, self._criterion(), loader)

    def _criterion(self) -> Criterion:
        sigmas = torch.tensor(self.model_config.skeleton.sigmas, device=self.accelerator.device)
        return Criterion(sigmas, self.config.losses)

    def export(self, calibration: Calibration | None = None) -> Path:
        """Writes the averaged weights as they stand."""
        path = self.folder / "weights.safetensors"
        if self.accelerator.is_main_process:
            training: dict[str, Any] = {"recipe": self.config.model_dump(mode="json")}
            if calibration is not None:
                training["calibration"] = asdict(calibration)
            save_weights(path, self.ema.model, self.model_config, training)
        return path

    def _check(self) -> None:
        """Finds what later stages lack now, and not after an hour of the first one."""
        for stage in self.config.stages:
            freeze(self.model, stage)
            check_shards(stage, Path(self.config.data_root))
            if stage.size_px % self.model.stride:
                raise VepeError(
                    f"Stage '{stage.name}' has size_px {stage.size_px}; give a multiple of "
                    f"{self.model.stride}, the model's coarsest stride."
                )

    def _stage(
        self, stage: StageConfig, begin: Progress, journal: Journal, interruption: Interruption
    ) -> None:
        self.accelerator.free_memory()  # the last stage's optimiser
        if begin.stage > 0 and begin.step == 0:
            # A new stage builds on the averaged weights, for those are what will be used.
            self.model.load_state_dict(self.ema.model.state_dict())
            self.ema.steps = 0
        frozen = freeze(self.model, stage)
        step_module = TrainingStep(
            self.model,
            self._criterion(),
            NoiseSettings(groups=stage.noise_groups),
            identity=self.model_config.consistency.enabled,
            frozen_frames=frozen,
        )
        optimiser = build_optimiser(self.model, stage, self.config.weight_decay)
        step_module, optimiser = self.accelerator.prepare(step_module, optimiser)
        if self.restored is not None and begin.step:
            optimiser.load_state_dict(self.restored["optimiser"])
        self.restored = None
        loader = self._loader(stage, begin)
        noise = torch.Generator()
        clock = _Clock(stage, begin)
        set_mode(self.model)
        parts_to_save = {"model": self.model, "ema": self.ema, "optimiser": optimiser}
        saved = time.monotonic()
        for step, batch in enumerate(loader, start=begin.step):
            done = clock.progress(step)
            if done >= 1:
                break
            factor = rate_factor(step, done, stage.warmup_steps)
            set_rate(optimiser, factor)
            noise.manual_seed(self._noise_seed(begin.stage, step))
            with self.accelerator.accumulate(step_module):
                with self.accelerator.autocast():
                    parts = step_module(batch, noise)
                numbers = detached(parts)
                check_finite_or_stop(numbers, step)
                self.accelerator.backward(total(parts))
                if self.accelerator.sync_gradients:
                    trained = [p for p in self.model.parameters() if p.requires_grad]
                    self.accelerator.clip_grad_norm_(trained, self.config.clip_norm)
                optimiser.step()
                optimiser.zero_grad()
            if self.accelerator.sync_gradients:
                self.ema.update(self.model)
            journal.step(stage.name, step, done, numbers, batch.clips, factor * stage.lr)
            if interruption.asked:
                self._save(Progress(begin.stage, step + 1, clock.elapsed_s()), parts_to_save)
                journal.console.print(f"Stopped. Go on with --resume and -o {self.folder}.")
                raise KeyboardInterrupt
            if time.monotonic() - saved > 60 * self.config.checkpoint_minutes:
                self._save(Progress(begin.stage, step + 1, clock.elapsed_s()), parts_to_save)
                self.export()
                saved = time.monotonic()
        self._save(Progress(begin.stage + 1), parts_to_save)

    def _loader(self, stage: StageConfig, begin: Progress) -> DataLoader:
        """Batches from the exact sample on; with a budget of minutes the order never ends."""
        root, skeleton = Path(self.config.data_root), self.model_config.skeleton
        mixture = build_mixture(stage, root, skeleton, self.config.seed + 1000 * begin.stage)
        order = ResumableOrder(
            batch=stage.batch,
            start_step=begin.step,
            steps=stage.steps or 2**31,
            rank=self.accelerator.process_index,
            processes=self.accelerator.num_processes,
        )
        return DataLoader(
            mixture,  # type: ignore[arg-type]
            batch_sampler=order,
            num_workers=self.config.workers,
            collate_fn=collate,
            pin_memory=self.accelerator.device.type == "cuda",
            worker_init_fn=_give_way,
            prefetch_factor=4 if self.config.workers else None,
        )

    def _noise_seed(self, stage: int, step: int) -> int:
        """Every step and process draws its own noise, the same in a resumed run."""
        parts = (self.config.seed, stage, step, self.accelerator.process_index)
        return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)

    def _save(self, progress: Progress, parts: dict) -> None:
        if self.accelerator.is_main_process:
            save_checkpoint(self.last, progress, parts, self.config.model_dump_json())


def _give_way(worker: int) -> None:
    """Clips are made in the gaps: on few cores, a worker that preempts the step costs it more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's to handle
    cv2.setNumThreads(1)
    if hasattr(os, "nice"):
        os.nice(10)


class _Clock:
    """Progress of a stage by steps or minutes, whichever is further."""

    def __init__(self, stage: StageConfig, begin: Progress) -> None:
        self.stage, self.before, self.started = stage, begin.elapsed_s, time.monotonic()

    def elapsed_s(self) -> float:
        """Seconds spent in the stage, earlier sessions included."""
        return self.before + time.monotonic() - self.started

    def progress(self, step: int) -> float:
        """0 at the start, 1 at the end."""
        by_step = step / self.stage.steps if self.stage.steps else 0.0
        by_time = self.elapsed_s() / (60 * self.stage.minutes) if self.stage.minutes else 0.0
        return max(by_step, by_time)


def check_finite_or_stop(numbers: dict[str, float], step: int) -> None:
    """Stops a run whose loss is not finite, naming the part."""
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise VepeError(
                f"The loss part '{name}' is not finite at step {step}; lower the learning rate or "
                "look at the batch, and resume from the last checkpoint."
            )
