"""The processes of a run: how they start, and how they come to the same decisions.

Each process has its own clock, its own batch and its own Ctrl-C. What steers the loop is therefore
summed over all of them, or taken from the first, before anybody acts on it: a process that alone
leaves the loop would let the others wait for ever.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed
from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
from accelerate.state import AcceleratorState
from accelerate.utils import gather_object
from torch import nn
from torch.optim import Optimizer

from vepe.config.training import TrainConfig
from vepe.errors import VepeError
from vepe.inference.devices import choose_device

LONGEST_WAIT = timedelta(hours=2)
"""The others wait while the first process evaluates or reads labels for the first time."""


class Processes:
    """One or many processes, on one or many machines.

    Attributes:
        accelerator: what wraps modules and optimisers for them.
        count, index: how many there are, and which one this is.
        main: whether it is the first.
        device: where this one computes.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.count, self.index = accelerator.num_processes, accelerator.process_index
        self.main, self.device = accelerator.is_main_process, accelerator.device

    def prepare(self, module: nn.Module, optimiser: Optimizer) -> tuple[nn.Module, Optimizer]:
        """Both, ready for these processes and this precision; the module moves to the device."""
        with warnings.catch_warnings():
            # Newer torch has another name for it, which accelerate does not know yet.
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
        """Whether each flag is set anywhere."""
        return [value > 0 for value in self.sums([float(flag) for flag in flags])]

    def gather(self, value: Any) -> list[Any]:
        """The value of every process, in order."""
        return [value] if self.count == 1 else list(gather_object([value]))

    def first_ahead(self) -> AbstractContextManager[None]:
        """Within it, the first process of every machine goes ahead, and the others find what it
        put into the cache."""
        first: AbstractContextManager[None] = self.accelerator.local_main_process_first()
        return first

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            self.accelerator.wait_for_everyone()


def start_processes(config: TrainConfig) -> Processes:
    """Joins the processes that `torchrun` or `accelerate launch` started, or stands alone.

    Raises:
        VepeError: where the device is not there, or cannot compute in the precision asked for.
    """
    kind = choose_device(config.device).type
    if config.precision == "fp16" and kind != "cuda":
        raise VepeError(
            f"precision 'fp16' needs an NVIDIA GPU, but the device is '{kind}'; use bf16 or no."
        )
    if not torch.distributed.is_initialized():
        # Accelerate keeps one state a process; a second run in it may want another precision.
        AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(
        cpu=kind == "cpu",
        mixed_precision=config.precision,
        kwargs_handlers=[
            # Who is in a clip decides which weights it uses (denoising, identity): a process may
            # lack what another has. Batch statistics are never updated, so none are sent.
            DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False),
            InitProcessGroupKwargs(timeout=LONGEST_WAIT),
        ],
    )
    return Processes(accelerator)
