"""The micro-batches of a stage, resumable at the exact sample.

Each clip comes with the key (seed, stage, index) that its denoising noise is drawn from, so that
neither resuming nor the number of processes changes it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader, get_worker_info

from vepe.config.training import StageConfig, TrainConfig
from vepe.data.batch import Batch, collate
from vepe.data.clip import Clip
from vepe.data.sampling import ClipSource, ResumableBatchSampler
from vepe.errors import VepeError
from vepe.skeleton import Skeleton
from vepe.training.distributed import Processes
from vepe.training.sources import build_mixture

MicroBatch = tuple[Sequence[tuple[int, ...]], Batch]
"""A batch, and the key (seed, stage, index) of each clip."""

ENDLESS_STEPS = 2**31
MAX_WORKERS = 8


class StageLoader:
    """Iterates over the optimiser steps of a stage, each a list of `accumulate` micro-batches.

    Samples are numbered over all processes.

    Args:
        config: the run.
        stage: the stage.
        number: index of the stage in the run; stages draw different samples.
        begin: first optimiser step.
        skeleton: of the labels.
        processes: this process loads its share.
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
        self.accumulate = config.accumulation(stage, processes.count)
        self.key = (config.seed, number)
        seed = config.seed + 1000 * number
        mixture = build_mixture(stage, Path(config.data_root), skeleton, seed)
        self.order = ResumableBatchSampler(
            batch=stage.batch,
            start_step=begin * self.accumulate,
            steps=(stage.steps or ENDLESS_STEPS) * self.accumulate,
            rank=processes.index,
            processes=processes.count,
        )
        workers = worker_count(config, processes.device)
        self.batches: DataLoader[Any] = DataLoader(
            _ErrorsAsItems(mixture),  # type: ignore[arg-type]
            batch_sampler=self.order,
            num_workers=workers,
            collate_fn=_collate,
            pin_memory=processes.device.type == "cuda",
            worker_init_fn=_init_worker,
            prefetch_factor=4 if workers else None,
            # Its own generator: otherwise a resumed run would draw from torch's once more.
            generator=torch.Generator(),
        )

    def __iter__(self) -> Iterator[list[MicroBatch]]:
        """The micro-batches of each optimiser step.

        Raises:
            VepeError: if a clip cannot be made.
        """
        samples = self._samples()
        while step := list(islice(samples, self.accumulate)):
            yield step

    def _samples(self) -> Iterator[MicroBatch]:
        for indices, batch in zip(self.order, self.batches, strict=True):
            if isinstance(batch, VepeError):
                raise batch
            yield [(*self.key, index) for index in indices], batch


@contextmanager
def explained_losses() -> Iterator[None]:
    """Says what to do when a worker is lost, which torch raises wherever the main thread is then.

    Raises:
        VepeError: if a worker was killed, or ended by itself.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise VepeError(
            "A process that loads data was lost, as when memory runs out; go on with --resume and "
            "fewer of them: --set workers=1, or 0."
        ) from error


def worker_count(config: TrainConfig, device: torch.device) -> int:
    """Loader processes per training process: `config.workers`, or a default for the device.

    The default on a CPU is 0: the threads of a step wait for the slowest of them, so that a worker
    on one of their cores costs more than it brings (2 cores: 4.7 clips/s without, 2.7 with one).
    With a GPU there is one per free core, `MAX_WORKERS` at most.
    """
    if config.workers is not None:
        return config.workers
    if device.type == "cpu":
        return 0
    local_processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # set by torchrun
    return min(MAX_WORKERS, max(1, (os.cpu_count() or 1) // local_processes - 1))


class _ErrorsAsItems:
    """Returns errors instead of raising them: a worker would add its traceback to the message."""

    def __init__(self, source: ClipSource) -> None:
        self.source = source

    def __getitem__(self, index: int) -> Clip | VepeError:
        try:
            return self.source[index]
        except VepeError as error:
            return VepeError(str(error))


def _collate(clips: list[Clip | VepeError]) -> Batch | VepeError:
    """A batch, or the first error of its clips, or of the memory that a worker shares it in.

    Without room for it, torch's own thread would fail later on, and the main process would wait for
    ever. Containers have little of that memory by default.
    """
    error = next((clip for clip in clips if isinstance(clip, VepeError)), None)
    if error is not None:
        return error
    batch = collate([clip for clip in clips if isinstance(clip, Clip)])
    if get_worker_info() is None:
        return batch
    try:
        for value in (*vars(batch).values(), *vars(batch.targets).values()):
            if isinstance(value, Tensor):
                value.share_memory_()
    except RuntimeError as failure:
        return VepeError(
            f"A batch does not fit into the shared memory, /dev/shm ({_cause(failure)}); enlarge "
            "it (docker run --shm-size=4g), or train without loader processes: --set workers=0."
        )
    return batch


def _cause(error: RuntimeError) -> str:
    """What the system says, from a message such as 'unable to ... : No space left (28)'."""
    return str(error).splitlines()[0].rpartition(": ")[2]


def _init_worker(worker: int) -> None:
    """Low priority and no threads: on few cores, a worker must not preempt the training step."""
    # The main process handles a stop; it ends its workers by SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # 0 uses no thread pool. 1 would wait forever for its threads, which a forked process does not
    # have, if the main process has used the pool.
    cv2.setNumThreads(0)
    if hasattr(os, "nice"):
        os.nice(10)
