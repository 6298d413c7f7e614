"""torch.compile for the parts of the network that are plain tensor code.

Gradient checkpointing: activations are computed once more on the way back, not kept.

Each layer of encoders and decoders forgets what it computed within; the backbone does so block by
block. About a third more time for a fraction of the memory (Chen et al., arXiv 1604.06174).

What a run was made with, kept beside it: `recipe.yaml` and `environment.json`.
"""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn
from torch.utils.checkpoint import checkpoint

from vepe import __version__
from vepe.config.training import TrainConfig
from vepe.errors import VepeError
from vepe.formats.files import dump_json, replacing
from vepe.models.vepe import Vepe


def compile_parts(model: Vepe, device: torch.device) -> None:
    """Compiles backbone, pyramid, encoders and decoders in place; weights keep their names.

    Matching and losses stay as they are: they leave the device and have shapes of every size.

    Raises:
        VepeError: where torch finds no working compiler here.
    """
    try:
        torch.compile(_probe)(torch.zeros(8, device=device))
    except Exception as error:  # many kinds: no C++ compiler, no Triton, no Python headers
        raise VepeError(
            f"compile=true needs a working compiler, and torch has none for '{device.type}' here "
            f"({type(error).__name__}); install one (g++, or triton for a GPU) or set "
            "compile=false."
        ) from error
    parts = (
        model.backbone,
        model.pyramid,
        model.spatial_encoder,
        model.spatial_decoder,
        model.memory_encoder,
        model.pose_encoder,
        model.pose_decoder,
    )
    for part in parts:
        if part is not None:
            part.compile(dynamic=False if part in (model.backbone, model.pyramid) else None)


def _probe(values: torch.Tensor) -> torch.Tensor:
    return values * 2 + 1


def checkpoint_gradients(model: Vepe) -> None:
    """Turns it on, in place; weights keep their names, and without gradients nothing changes."""
    net: Any = model.backbone.net
    if hasattr(net, "set_grad_checkpointing"):
        net.set_grad_checkpointing(True)
    else:
        _forget(model.backbone)
    stacks = (
        model.spatial_encoder,
        model.spatial_decoder,
        model.memory_encoder,
        model.pose_encoder,
        model.pose_decoder,
    )
    for stack in stacks:
        if stack is not None:
            for layer in stack.layers:
                _forget(layer)
    _forget(model.pyramid)


def _forget(module: nn.Module) -> None:
    forward = module.forward

    def recomputed(*args: Any, **options: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **options)
        return checkpoint(forward, *args, use_reentrant=False, **options)

    module.forward = recomputed


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
