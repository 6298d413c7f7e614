"""A recipe that trains in seconds, for tests of logs, reports and commands."""

from __future__ import annotations

from typing import Any

from figures.sets import figures_source
from vepe.config.load import merge, parse
from vepe.config.training import TrainConfig

TINY: dict[str, Any] = {
    "model": {
        "backbone": "mobilenetv2_035",
        "dim": 32,
        "hidden": 32,
        "queries": 4,
        "spatial_decoder": {"layers": 1},
        "temporal": {"window": 2},
        "consistency": {"dim": 8},
    },
    "workers": 0,
    "calibration_batches": 1,
    "image_every_steps": 2,
    "stages": [
        {
            "name": "frames",
            "steps": 2,
            "size_px": 64,
            "batch": 2,
            "data": [figures_source()],
        },
        {
            "name": "temporal",
            "steps": 1,
            "frames": 2,
            "size_px": 64,
            "batch": 1,
            "data": [figures_source()],
        },
    ],
}


def tiny_recipe(**changes: Any) -> TrainConfig:
    return parse(TrainConfig, merge(TINY, changes), "tiny")
