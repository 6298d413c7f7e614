"""A recipe of a few small steps in two stages, for tests of the training loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from figures.sets import figures_source
from vepe.config.load import merge, parse
from vepe.config.training import TrainConfig

FRAMES: dict[str, Any] = {
    "name": "frames",
    "steps": 3,
    "size_px": 64,
    "batch": 2,
    "backbone_lr": 1e-4,
    "data": [figures_source()],
}
TEMPORAL: dict[str, Any] = {
    "name": "temporal",
    "steps": 3,
    "frames": 2,
    "size_px": 64,
    "batch": 1,
    "freeze": ["backbone", "pyramid", "spatial_encoder", "proposals", "spatial_decoder"],
    "data": [figures_source()],
}
CLIPS: dict[str, Any] = {**FRAMES, "name": "clips", "frames": 2, "batch": 4}
"""Trains all parts of the model, on clips."""
RECIPE: dict[str, Any] = {
    "model": {
        "backbone": "mobilenetv2_035",
        "dim": 32,
        "hidden": 32,
        "queries": 4,
        "input_px": 64,
        "spatial_decoder": {"layers": 1},
        "temporal": {"window": 2},
        "consistency": {"dim": 8},
    },
    "device": "cpu",
    "workers": 0,
    "calibration_batches": 0,
    "image_every_steps": 0,
    "seed": 3,
    "stages": [FRAMES, TEMPORAL],
}


def recipe(**changes: Any) -> TrainConfig:
    """The recipe with other options."""
    return parse(TrainConfig, merge(RECIPE, changes), "test")


def checkpoint_tensors(folder: Path) -> dict[str, torch.Tensor]:
    """Every tensor and number in a run's last checkpoint by its path, without times."""
    state = torch.load(folder / "last.pt", weights_only=True)
    state["progress"].pop("elapsed_s")
    tensors: dict[str, torch.Tensor] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, torch.Tensor):
            tensors[path] = value
        elif isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, f"{path}/{key}")
        elif isinstance(value, list | tuple):
            for key, inner in enumerate(value):
                walk(inner, f"{path}/{key}")
        elif isinstance(value, int | float):
            tensors[path] = torch.tensor(value, dtype=torch.float64)

    for part in ("parts", "progress", "random"):
        walk(state[part], part)
    return tensors


def differing(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> list[str]:
    """Paths at which two checkpoints differ in any bit."""
    return sorted(k for k in a.keys() | b.keys() if k not in a or k not in b or a[k].ne(b[k]).any())
