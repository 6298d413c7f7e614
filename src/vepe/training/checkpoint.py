"""Training checkpoints: everything a run needs to go on as if it had never stopped.

One file `last.pt`, written beside and renamed, so that a crash or a full disk leaves the one
before. It holds tensors and plain values alone and loads with `weights_only=True`.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vepe.errors import VepeError


@dataclass(frozen=True)
class Progress:
    """Where a run stands: stage, optimiser step within it, and seconds spent in it."""

    stage: int = 0
    step: int = 0
    elapsed_s: float = 0.0


def save_checkpoint(path: Path, progress: Progress, parts: dict[str, Any], config: str) -> None:
    """Writes a checkpoint.

    Args:
        path: the file.
        progress: where the run stands.
        parts: named objects with `state_dict` (model, optimiser, EMA).
        config: the resolved configuration as JSON; resuming under another one is refused.

    Raises:
        VepeError: where the file cannot be written; the old one stays.
    """
    state = {
        "progress": asdict(progress),
        "parts": {name: part.state_dict() for name, part in parts.items()},
        "random": {"torch": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
        "config": config,
    }
    beside = path.with_suffix(".writing")
    try:
        torch.save(state, beside)
        beside.replace(path)
    except (OSError, RuntimeError) as error:
        beside.unlink(missing_ok=True)
        raise VepeError(
            f"The checkpoint '{path}' could not be written ({error}); the one before is kept, "
            "make room on the disk and resume."
        ) from error


def load_checkpoint(path: Path, config: str) -> tuple[Progress, dict[str, Any]]:
    """Progress and the state of every part; also restores the random generators.

    Raises:
        VepeError: where the file is missing, damaged, or belongs to another configuration.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        progress = Progress(**state["progress"])
        parts = state["parts"]
    except FileNotFoundError:
        raise VepeError(f"There is no checkpoint '{path}' to resume from.") from None
    except Exception as error:
        raise VepeError(
            f"The checkpoint '{path}' is damaged ({type(error).__name__}); remove it and start "
            "anew."
        ) from error
    if state["config"] != config:
        raise VepeError(
            f"The checkpoint '{path}' was made with another configuration; "
            "resume with that one or choose another output folder."
        )
    torch.set_rng_state(state["random"]["torch"])
    if torch.cuda.is_available() and state["random"]["cuda"]:
        torch.cuda.set_rng_state_all(state["random"]["cuda"])
    return progress, parts


def seed_everything(seed: int) -> None:
    """Seeds Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
