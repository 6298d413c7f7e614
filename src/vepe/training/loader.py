"""The batches of a stage, from the exact sample on, with what each clip's noise is drawn from."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader

from vepe.config.training import StageConfig, TrainConfig
from vepe.data.batch import Batch, collate
from vepe.data.clip import Clip
from vepe.data.sampling import ClipSource, ResumableBatchSampler
from vepe.errors import VepeError
from vepe.skeleton import Skeleton
from vepe.training.distributed import Processes
from vepe.training.sources import build_mixture

MicroBatch = tuple[Sequence[tuple[int, ...]], Batch]
"""A batch, and for each of its clips the key that its noise is drawn from."""

ENDLESS_STEPS = 2**31
MOST_WORKERS = 8


class StageLoader:
    """Optimiser steps of a stage, each of `accumulate` batches; the sample a clip is, is counted
    over all processes.

    Args:
        config: the run.
        stage: what is loaded.
        number: place of the stage in the run; stages draw other samples.
        begin: first optimiser step.
        skeleton: of the labels.
        processes: which of them loads.
    """

    def __init__(
        self,
        config: TrainConfig,
        stage: StageConfig,
        number: int,
        begin: int,
        skeleton: Skeleton,
        processes: Processes,
    ) -> None:
        self.accumulate, self.key = config.accumulate, (config.seed, number)
        seed = config.seed + 1000 * number
        mixture = build_mixture(stage, Path(config.data_root), skeleton, seed)
        self.order = ResumableBatchSampler(
            batch=stage.batch,
            start_step=begin * config.accumulate,
            steps=(stage.steps or ENDLESS_STEPS) * config.accumulate,
            rank=processes.index,
            processes=processes.count,
        )
        workers = worker_count(config, processes.device)
        self.batches: DataLoader[Any] = DataLoader(
            _Told(mixture),  # type: ignore[arg-type]
            batch_sampler=self.order,
            num_workers=workers,
            collate_fn=_collate,
            pin_memory=processes.device.type == "cuda",
            worker_init_fn=_give_way,
            prefetch_factor=4 if workers else None,
            # Its own generator: else a run that is cut draws from torch's once more.
            generator=torch.Generator(),
        )

    def __iter__(self) -> Iterator[list[MicroBatch]]:
        """The batches of one optimiser step after the other.

        Raises:
            VepeError: where a clip cannot be made.
        """
        samples = self._samples()
        while step := list(islice(samples, self.accumulate)):
            yield step

    def _samples(self) -> Iterator[MicroBatch]:
        for indices, batch in zip(self.order, self.batches, strict=True):
            if isinstance(batch, VepeError):
                raise batch
            yield [(*self.key, index) for index in indices], batch


def worker_count(config: TrainConfig, device: torch.device) -> int:
    """Processes that make clips for each training process, where the run does not say.

    On a CPU none: threads of the step wait for the slowest of them, so that a worker on one of
    their cores costs far more than the clips it makes (2 cores: 4.7 clips a second without, 2.7
    with one). A GPU is fed by as many as there are cores for, `MOST_WORKERS` at most.
    """
    if config.workers is not None:
        return config.workers
    if device.type == "cpu":
        return 0
    beside = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # torchrun's count on this machine
    return min(MOST_WORKERS, max(1, (os.cpu_count() or 1) // beside - 1))


class _Told:
    """Clips, or errors in their place: one that a worker raised would reach us with its traceback
    in its text."""

    def __init__(self, source: ClipSource) -> None:
        self.source = source

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Clip | VepeError:
        try:
            return self.source[index]
        except VepeError as error:
            return VepeError(str(error))


def _collate(clips: list[Clip | VepeError]) -> Batch | VepeError:
    """A batch, or the first error."""
    error = next((clip for clip in clips if isinstance(clip, VepeError)), None)
    return error or collate([clip for clip in clips if isinstance(clip, Clip)])


def _give_way(worker: int) -> None:
    """Clips are made in the gaps: on few cores, a worker that preempts the step costs it more."""
    # A stop is the main process's to handle; it ends its workers by SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # 0 runs in this thread and touches no pool; 1 would wait for ever for the pool's threads, which
    # a forked process has not got, if the main process ever used them.
    cv2.setNumThreads(0)
    if hasattr(os, "nice"):
        os.nice(10)
