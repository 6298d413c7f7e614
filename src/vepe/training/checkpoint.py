"""The state of a run, and `last.pt`: everything that a run needs to resume exactly.

The file is written next to the old one and renamed, so that a crash or a full disk leaves the old
one. It contains only tensors and plain values and is loaded with `weights_only=True`.

Options that change what is computed must not change on resuming (`changed_keys`); where the data
are, the machine and the logging may. The batch may be split differently as long as an optimiser
step sees the same clips.
"""

from __future__ import annotations

import json
import math
import platform
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vepe import __version__
from vepe.config.documents import parse_json
from vepe.config.model import ModelConfig
from vepe.config.training import MAX_STEPS, TrainConfig
from vepe.errors import VepeError
from vepe.formats.files import replacing
from vepe.inference.weights import save_weights, with_later_tensors
from vepe.losses.criterion import Criterion
from vepe.models.vepe import Vepe
from vepe.training.distributed import Processes
from vepe.training.evaluation import Evaluation
from vepe.training.optimiser import Ema

LAST, BEST, WEIGHTS = "last.pt", "best.safetensors", "weights.safetensors"

FORMAT = 2
"""Increased whenever the meaning of the file's content changes."""


@dataclass(frozen=True)
class Progress:
    """Where a run is: stage, optimiser steps done in it, and seconds spent in it."""

    stage: int = 0
    step: int = 0
    elapsed_s: float = 0.0


@dataclass(frozen=True)
class RunIdentity:
    """What a checkpoint belongs to: options, model, fingerprints of the data, and processes."""

    config: TrainConfig
    model: ModelConfig
    data: Mapping[str, Any] | None
    processes: int


@dataclass(frozen=True)
class Run:
    """What all stages of a run share.

    Attributes:
        config, model_config: the run and its model.
        folder: output folder.
        model, ema: the weights and their moving average.
        processes: the processes that train.
        evaluation: None if the recipe has none.
        data: fingerprint of each stage's data.
    """

    config: TrainConfig
    model_config: ModelConfig
    folder: Path
    model: Vepe
    ema: Ema[Vepe]
    processes: Processes
    evaluation: Evaluation | None
    data: Mapping[str, Any]

    @property
    def identity(self) -> RunIdentity:
        """What its checkpoints belong to."""
        return RunIdentity(self.config, self.model_config, self.data, self.processes.count)

    def criterion(self) -> Criterion:
        """The losses, on the device."""
        sigmas = torch.tensor(self.model_config.skeleton.sigmas, device=self.processes.device)
        return Criterion(sigmas, self.config.losses)

    def save(self, progress: Progress, optimiser: torch.optim.Optimizer) -> None:
        """Writes `last.pt`; all processes have to call it.

        Raises:
            VepeError: if it cannot be written.
        """
        states = self.processes.gather(random_state())
        if not self.processes.main:
            return
        parts = {"model": self.model, "ema": self.ema, "optimiser": optimiser}
        optional = {"scaler": self.processes.accelerator.scaler, "evaluation": self.evaluation}
        parts |= {name: part for name, part in optional.items() if part is not None}
        save_checkpoint(self.folder / LAST, progress, parts, states, self.identity)

    def restore(self) -> Checkpoint:
        """Loads `last.pt` into the model, the EMA, the scaler and the evaluation.

        Raises:
            VepeError: as `load_checkpoint`.
        """
        path = self.folder / LAST
        checkpoint = load_checkpoint(path, self.identity)
        with damage_reported(path):
            ema = checkpoint.parts["ema"]
            averaged = with_later_tensors(ema["model"], self.ema.model)
            self.ema.load_state_dict({**ema, "model": averaged})
            self.model.load_state_dict(with_later_tensors(checkpoint.parts["model"], self.model))
            scaler = self.processes.accelerator.scaler
            if scaler is not None and "scaler" in checkpoint.parts:
                scaler.load_state_dict(checkpoint.parts["scaler"])
            if self.evaluation is not None and "evaluation" in checkpoint.parts:
                self.evaluation.load_state_dict(checkpoint.parts["evaluation"])
        return checkpoint

    def export(self, name: str = WEIGHTS, training: Mapping[str, Any] | None = None) -> Path:
        """Writes the current EMA weights.

        Args:
            name: of the file.
            training: added to the training history in the file's header.

        Raises:
            VepeError: if the file cannot be written.
        """
        path = self.folder / name
        if self.processes.main:
            history = {
                "recipe": self.config.model_dump(mode="json"),
                "versions": versions(),
                "data": dict(self.data),
                **(training or {}),
            }
            save_weights(path, self.ema.model, self.model_config, history)
        return path


def seed_everything(seed: int) -> None:
    """Seeds Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def random_state() -> dict[str, Any]:
    """The state of all random generators of this process, as plain values."""
    name, keys, *rest = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [str(name), torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
        "python": random.getstate(),
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Restores the value of `random_state`."""
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))


FREE = frozenset({
    "data_root", "workers", "device", "compile", "gradient_checkpointing", "checkpoint_minutes",
    "checkpoint_steps", "evaluation", "logging", "image_every_steps",
    "accumulate",  # counted in the batches of the stages, as is the next
    "clips_per_step",
})  # fmt: skip
"""Options of a run that may change when it is resumed."""

FREE_IN_DATA = frozenset({"root", "images", "annotations", "shards", "strict"})
"""Options of a source that may change: where the data are. Their content has a fingerprint."""


def changed_keys(
    old: Mapping[str, Any], new: Mapping[str, Any], old_processes: int, new_processes: int
) -> list[str]:
    """Dotted names of the changed options that prevent resuming; empty if it is possible.

    Args:
        old, new: options of the run as plain values.
        old_processes, new_processes: number of processes of each.
    """
    olds = dict(_leaves(_comparable(old, old_processes)))
    news = dict(_leaves(_comparable(new, new_processes)))
    return sorted(
        key for key in olds.keys() | news.keys() if olds.get(key, ...) != news.get(key, ...)
    )


def _comparable(config: Mapping[str, Any], processes: int) -> dict[str, Any]:
    """Without free options; a stage's batch becomes its clips per optimiser step."""
    factor, clips = int(config.get("accumulate", 1)) * processes, config.get("clips_per_step")
    stages = [
        {
            **s,
            "batch": s["batch"] * factor if clips is None else clips,
            "data": [_without(d, FREE_IN_DATA) for d in s["data"]],
        }
        for s in config.get("stages", ())
    ]
    return {**_without(config, FREE), "stages": stages}


def _without(options: Mapping[str, Any], free: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key not in free}


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """All plain values with their dotted names."""
    if isinstance(value, Mapping):
        items: list[tuple[Any, Any]] = list(value.items())
    elif isinstance(value, list | tuple):
        items = list(enumerate(value))
    else:
        yield path, value
        return
    for key, inner in items:
        yield from _leaves(inner, f"{path}.{key}" if path else str(key))


def versions() -> dict[str, str]:
    """Versions that a run was made with."""
    return {
        "vepe": __version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }


def save_checkpoint(
    path: Path,
    progress: Progress,
    parts: Mapping[str, Any],
    random_states: list[dict[str, Any]],
    identity: RunIdentity,
) -> None:
    """Writes a checkpoint.

    Args:
        path: the file.
        progress: where the run is.
        parts: named objects with `state_dict` (model, optimiser, EMA and so on).
        random_states: `random_state` of every process.
        identity: what it belongs to; nothing else can be resumed from it.

    Raises:
        VepeError: if the file cannot be written; the old one stays.
    """
    state = {
        "format": FORMAT,
        "versions": versions(),
        "progress": asdict(progress),
        "parts": {name: part.state_dict() for name, part in parts.items()},
        "random": random_states,
        "config": identity.config.model_dump_json(),
        "model": identity.model.model_dump_json(),
        "data": json.dumps(identity.data),
        "processes": identity.processes,
    }
    try:
        with replacing(path) as partial:
            torch.save(state, partial)
    except (RuntimeError, VepeError) as error:  # torch raises RuntimeError if the disk is full
        cause = error.__cause__ if isinstance(error, VepeError) else error
        reason = getattr(cause, "strerror", None) or str(cause).splitlines()[0]
        raise VepeError(
            f"The checkpoint '{path}' could not be written ({reason}); the previous one is intact. "
            "Free some disk space and resume."
        ) from error


@dataclass(frozen=True)
class Checkpoint:
    """Content of a checkpoint: progress, states of the parts, and of the random generators."""

    progress: Progress
    parts: dict[str, Any]
    random_states: list[dict[str, Any]]


def load_checkpoint(path: Path, identity: RunIdentity) -> Checkpoint:
    """Reads a checkpoint.

    Raises:
        VepeError: if the file is missing, damaged, of another version, or belongs to another
            configuration, model or data; the message names what differs.
    """
    state = _read(path)
    number, written_by = state.get("format"), state.get("versions")
    if type(number) is not int or number != FORMAT:
        made_by = written_by.get("vepe") if isinstance(written_by, dict) else None
        made_by = made_by if isinstance(made_by, str) else "an older version"
        raise VepeError(
            f"The checkpoint '{path}' was written by VEPE {made_by} in another format; resume it "
            "with that version, or start a new run from its weights.safetensors (init=...)."
        )
    with damage_reported(path):
        progress = _checked_progress(state["progress"], len(identity.config.stages))
        config, model, data = (_json(state[key]) for key in ("config", "model", "data"))
        parts, random_states = dict(state["parts"]), list(state["random"])
        if len(random_states) != int(state["processes"]):
            raise ValueError("a random state of every process")
        current = identity.config.model_dump(mode="json")
        current_model = {"model": identity.model.model_dump(mode="json")}
        changed = changed_keys(config, current, int(state["processes"]), identity.processes)
        changed += changed_keys({"model": model}, current_model, 1, 1)
    if changed:
        raise VepeError(
            f"The checkpoint '{path}' was made with another configuration: {_listed(changed)} "
            f"differ{'s' if len(changed) == 1 else ''}. Resume with the same configuration, or "
            "choose another output folder."
        )
    if (
        data is not None
        and identity.data is not None
        and data != json.loads(json.dumps(identity.data))
    ):
        raise VepeError(
            f"The data have changed since the checkpoint '{path}' was made; restore them, or "
            "choose another output folder."
        )
    return Checkpoint(progress, parts, random_states)


def _read(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise VepeError(f"There is no checkpoint '{path}' to resume from.") from None
    except Exception as error:
        raise _damaged(path, error) from error
    if not isinstance(state, dict):
        raise _damaged(path, TypeError())
    return state


def _json(text: str) -> Any:
    try:
        return parse_json(text, "checkpoint")
    except VepeError as error:
        raise ValueError(str(error)) from None


def _checked_progress(values: Mapping[str, Any], num_stages: int) -> Progress:
    """The progress of a checkpoint. Raises ValueError or TypeError where it is impossible."""
    progress = Progress(**values)
    stage, step, elapsed_s = progress.stage, progress.step, float(progress.elapsed_s)
    if type(stage) is not int or type(step) is not int:
        raise TypeError("stage and step must be integers")
    if not (0 <= stage <= num_stages and 0 <= step <= MAX_STEPS and 0 <= elapsed_s < math.inf):
        raise ValueError("no such stage or step")
    return progress


@contextmanager
def damage_reported(path: Path) -> Iterator[None]:
    """Raises VepeError for any error of reading a checkpoint's values: the file is damaged."""
    try:
        yield
    except VepeError:
        raise
    except Exception as error:  # torch raises many kinds for wrong types, keys and shapes
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> VepeError:
    return VepeError(
        f"The checkpoint '{path}' is damaged ({type(error).__name__}); remove it and start again."
    )


def _listed(keys: list[str], limit: int = 5) -> str:
    more = f" and {len(keys) - limit} more" if len(keys) > limit else ""
    return ", ".join(f"'{key}'" for key in keys[:limit]) + more
