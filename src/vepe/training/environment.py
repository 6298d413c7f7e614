"""What a run was made with, kept beside it: `recipe.yaml` and `environment.json`."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

import torch
import yaml

from vepe import __version__
from vepe.config.training import TrainConfig
from vepe.formats.files import dump_json, replacing

RECIPE_NAME, ENVIRONMENT_NAME = "recipe.yaml", "environment.json"
_PACKAGES = ("torch", "torchvision", "timm", "accelerate", "numpy", "opencv-python-headless", "av")


def environment(processes: int = 1) -> dict[str, str]:
    """Versions and hardware by name, as text for people."""
    found = {
        "vepe": __version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        **{name: _version(name) for name in _PACKAGES},
        "processors": f"{os.cpu_count()}, of which torch uses {torch.get_num_threads()}",
        "processes": str(processes),
    }
    if torch.cuda.is_available():
        found["cuda"] = str(torch.version.cuda)
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            memory = f"{properties.total_memory / 2**30:.0f} GiB"
            found[f"gpu {index}"] = f"{properties.name}, {memory}"
    return found


def write_environment(folder: Path, config: TrainConfig, processes: int = 1) -> None:
    """Writes both files into the run's folder; the recipe can be trained from as it stands.

    Raises:
        VepeError: where the folder cannot be written.
    """
    with replacing(folder / RECIPE_NAME) as beside:
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        beside.write_text(text, encoding="utf-8")
    dump_json(folder / ENVIRONMENT_NAME, environment(processes))


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"
