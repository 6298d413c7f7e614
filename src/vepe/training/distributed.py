"""The processes of a run: how they start, how they decide together, and how they are stopped.

Each process has its own clock, its own batch and its own signals. Whatever steers the loop is
summed over all processes, or taken from the first, before any of them acts on it: a process that
left the loop alone would make the others wait forever.
"""

from __future__ import annotations

import platform
import signal
import threading
import time
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from types import FrameType, TracebackType
from typing import Any

import torch
import torch.distributed
from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
from accelerate.state import AcceleratorState
from accelerate.utils import gather_object
from torch import nn
from torch.optim import Optimizer

from vepe.config.training import TrainConfig
from vepe.errors import VepeError, VepeWarning
from vepe.inference.torch_network import choose_device

MAX_WAIT = timedelta(hours=2)
"""The other processes wait while the first one evaluates or reads labels for the first time."""


class Processes:
    """One or many processes, on one or many machines.

    Attributes:
        accelerator: wraps modules and optimisers for them.
        count, index: number of processes, and the index of this one.
        main: whether this is the first process.
        device: device of this process.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.count, self.index = accelerator.num_processes, accelerator.process_index
        self.main, self.device = accelerator.is_main_process, accelerator.device

    def prepare(self, module: nn.Module, optimiser: Optimizer) -> tuple[nn.Module, Optimizer]:
        """Wraps both for these processes and this precision; the module moves to the device."""
        with warnings.catch_warnings():
            # accelerate does not know the name that newer torch versions use for it.
            warnings.filterwarnings("ignore", message=".*broadcast_buffers")
            prepared: tuple[nn.Module, Optimizer] = self.accelerator.prepare(module, optimiser)
        return prepared

    def sums(self, values: Sequence[float]) -> list[float]:
        """Each value summed over all processes."""
        if self.count == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(tensor)
        return tensor.tolist()

    def any(self, flags: Sequence[bool]) -> list[bool]:
        """Whether each flag is set in any process."""
        return [value > 0 for value in self.sums([float(flag) for flag in flags])]

    def gather(self, value: Any) -> list[Any]:
        """The value of every process, in order."""
        return [value] if self.count == 1 else list(gather_object([value]))

    def main_first(self) -> AbstractContextManager[None]:
        """Context that the first process of each machine runs before the others, which then find
        what it has cached."""
        context: AbstractContextManager[None] = self.accelerator.local_main_process_first()
        return context

    def wait(self) -> None:
        """Waits for all processes."""
        if self.count > 1:
            self.accelerator.wait_for_everyone()


def start_processes(config: TrainConfig) -> Processes:
    """Joins the processes that `torchrun` or `accelerate launch` started, or runs alone.

    Raises:
        VepeError: if the device is missing or does not support the precision, or the environment
            names other processes but not where they are.
    """
    kind = choose_device(config.device).type
    if config.precision == "fp16" and kind != "cuda":
        raise VepeError(
            f"precision 'fp16' needs an NVIDIA GPU, but the device is '{kind}'; use bf16 or fp32."
        )
    if config.precision == "bf16" and kind == "cpu" and not _multiplies_bf16():
        warnings.warn(
            "This CPU has neither AVX-512 nor AMX and emulates bf16, many times slower than fp32; "
            "set precision=fp32.",
            VepeWarning,
            stacklevel=2,
        )
    if not torch.distributed.is_initialized():
        # accelerate stores one state per process, and refuses a second run of another precision.
        # There is no public call for it; test_distributed.py fails when this one is gone.
        AcceleratorState._reset_state(reset_partial_state=True)
    try:
        accelerator = Accelerator(
            cpu=kind == "cpu",
            mixed_precision="no" if config.precision == "fp32" else config.precision,
            kwargs_handlers=[
                # The people in a clip decide which weights it uses (denoising, identity), so a
                # process may use fewer than another. Batch statistics are never updated, not sent.
                DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False),
                InitProcessGroupKwargs(timeout=MAX_WAIT),
            ],
        )
    except ValueError as error:
        if "MASTER_ADDR" not in str(error):
            raise
        raise VepeError(
            "WORLD_SIZE is set, but MASTER_ADDR is not; start the processes with torchrun or "
            "accelerate launch, which set both."
        ) from None
    return Processes(accelerator)


def _multiplies_bf16() -> bool:
    """Whether the CPU may have instructions for bf16: AVX-512 is the least they need."""
    return "AVX512" in torch.backends.cpu.get_cpu_capability() or platform.machine() != "x86_64"


STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
ECHO_S = 1.0
"""Launchers forward a Ctrl-C that the process has already seen: signals within this many seconds
of the first one count as the same."""


class StopSignal:
    """Context in which the first Ctrl-C or SIGTERM sets `requested`, and a later one interrupts.

    Stopping an optimiser in the middle of a step would leave weights that belong to no step, so the
    loop checks `requested` after each one. Outside the main thread, where signals cannot be caught,
    nothing changes.
    """

    def __init__(self) -> None:
        self.requested = False
        self.first_s = 0.0

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():
            self.previous = [signal.signal(number, self._handle) for number in STOP_SIGNALS]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if threading.current_thread() is threading.main_thread():
            for number, handler in zip(STOP_SIGNALS, self.previous, strict=True):
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.requested and now - self.first_s > ECHO_S:
            raise KeyboardInterrupt
        if not self.requested:
            self.requested, self.first_s = True, now
