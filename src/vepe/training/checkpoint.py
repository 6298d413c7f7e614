"""The state of all random generators, as plain values that a checkpoint can hold.

Whether a checkpoint may be gone on with under given settings.

Where data lie, on what machine a run computes and what it tells may change; what is computed may
not. Batches may be cut otherwise as long as an optimiser step sees the same clips.

Training checkpoints: everything a run needs to go on as if it had never stopped.

One file `last.pt`, written beside and renamed, so that a crash or a full disk leaves the one
before. It holds tensors and plain values alone and loads with `weights_only=True`.
"""

from __future__ import annotations

import json
import platform
import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vepe import __version__
from vepe.config.model import ModelConfig
from vepe.config.training import TrainConfig
from vepe.errors import VepeError
from vepe.formats.files import replacing


def seed_everything(seed: int) -> None:
    """Seeds Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def random_state() -> dict[str, Any]:
    """Where the generators of this process stand."""
    name, keys, *rest = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [str(name), torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
        "python": random.getstate(),
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Restores what `random_state` gave."""
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))


FREE = frozenset(
    {
        "data_root",
        "workers",
        "device",
        "compile",
        "gradient_checkpointing",
        "checkpoint_minutes",
        "checkpoint_steps",
        "evaluation",
        "logging",
        "pictures_every",
        "accumulate",  # counted in the batches of the stages
    }
)
"""Options of a run that may change when it is resumed."""


FREE_IN_DATA = frozenset({"root", "images", "annotations", "shards", "strict"})
"""Where the data of a stage lie may change: what they hold is told by their fingerprint."""


def changed_keys(
    old: Mapping[str, Any], new: Mapping[str, Any], old_processes: int, new_processes: int
) -> list[str]:
    """Dotted names of the options that keep a run from going on; empty where it may.

    Args:
        old, new: the run's options as plain values.
        old_processes, new_processes: how many processes each has.
    """
    before = dict(_leaves(_comparable(old, old_processes)))
    now = dict(_leaves(_comparable(new, new_processes)))
    return sorted(
        key for key in before.keys() | now.keys() if before.get(key, ...) != now.get(key, ...)
    )


def _comparable(config: Mapping[str, Any], processes: int) -> dict[str, Any]:
    """Without free options; the batch of a stage as clips an optimiser step."""
    times = int(config.get("accumulate", 1)) * processes
    stages = [
        {**s, "batch": s["batch"] * times, "data": [_kept(d, FREE_IN_DATA) for d in s["data"]]}
        for s in config.get("stages", ())
    ]
    return {**_kept(config, FREE), "stages": stages}


def _kept(options: Mapping[str, Any], free: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key not in free}


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """All plain values with their dotted places."""
    if isinstance(value, Mapping):
        items: list[tuple[Any, Any]] = list(value.items())
    elif isinstance(value, list | tuple):
        items = list(enumerate(value))
    else:
        yield path, value
        return
    for key, inner in items:
        yield from _leaves(inner, f"{path}.{key}" if path else str(key))


FORMAT = 2
"""Raised whenever the meaning of what is in the file changes."""


@dataclass(frozen=True)
class Progress:
    """Where a run stands: stage, optimiser steps done within it, and seconds spent in it."""

    stage: int = 0
    step: int = 0
    elapsed_s: float = 0.0


@dataclass(frozen=True)
class RunIdentity:
    """What a checkpoint belongs to: options, model, data, and how many processes."""

    config: TrainConfig
    model: ModelConfig
    data: Mapping[str, Any] | None
    processes: int


def versions() -> dict[str, str]:
    """What a run was made with."""
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
        progress: where the run stands.
        parts: named objects with `state_dict` (model, optimiser, EMA and so on).
        random_states: of the generators of every process.
        identity: what it belongs to; resuming anything else is refused.

    Raises:
        VepeError: where the file cannot be written; the old one stays.
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
        with replacing(path) as beside:
            torch.save(state, beside)
    except (RuntimeError, VepeError) as error:  # torch tells of a full disk by a RuntimeError
        cause = error.__cause__ if isinstance(error, VepeError) else error
        reason = getattr(cause, "strerror", None) or str(cause).splitlines()[0]
        raise VepeError(
            f"The checkpoint '{path}' could not be written ({reason}); the one before is kept, "
            "make room on the disk and resume."
        ) from error


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds: where the run stood, the states of its parts and generators."""

    progress: Progress
    parts: dict[str, Any]
    random_states: list[dict[str, Any]]


def load_checkpoint(path: Path, identity: RunIdentity) -> Checkpoint:
    """Reads a checkpoint.

    Raises:
        VepeError: where the file is missing, damaged, of another version, or belongs to another
            configuration, model or data; the text names what differs.
    """
    state = _read(path)
    if state.get("format") != FORMAT:
        made_by = state.get("versions", {}).get("vepe", "an older version")
        raise VepeError(
            f"The checkpoint '{path}' was written by VEPE {made_by} in another format; resume it "
            "with that version, or start anew from its weights.safetensors (init=...)."
        )
    try:
        progress, config = Progress(**state["progress"]), json.loads(state["config"])
        model, data = json.loads(state["model"]), json.loads(state["data"])
        parts, random_states, processes = state["parts"], state["random"], state["processes"]
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error
    current = identity.config.model_dump(mode="json")
    current_model = {"model": identity.model.model_dump(mode="json")}
    changed = changed_keys(config, current, processes, identity.processes)
    changed += changed_keys({"model": model}, current_model, 1, 1)
    if changed:
        raise VepeError(
            f"The checkpoint '{path}' was made with another configuration: {_listed(changed)} "
            f"differ{'s' if len(changed) == 1 else ''}. Resume with what it was made with, or "
            "choose another output folder."
        )
    if (
        data is not None
        and identity.data is not None
        and data != json.loads(json.dumps(identity.data))
    ):
        raise VepeError(
            f"The data have changed since the checkpoint '{path}' was made; put them back, or "
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


def _damaged(path: Path, error: Exception) -> VepeError:
    return VepeError(
        f"The checkpoint '{path}' is damaged ({type(error).__name__}); remove it and start anew."
    )


def _listed(keys: list[str], most: int = 5) -> str:
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(f"'{key}'" for key in keys[:most]) + more
