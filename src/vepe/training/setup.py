"""How a run is set up on a machine: compilation, gradient checkpointing, and a record of both.

Parts of the model keep their names, so that weights do not depend on these options.
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

RECIPE_NAME, ENVIRONMENT_NAME = "recipe.yaml", "environment.json"
_PACKAGES = ("torch", "torchvision", "timm", "accelerate", "numpy", "opencv-python-headless", "av")


def compile_parts(model: Vepe, device: torch.device) -> None:
    """Applies torch.compile to backbone, FPN, encoders and decoders, in place.

    Matching and losses are not compiled: they leave the device, and their shapes vary.

    Raises:
        VepeError: if torch finds no working compiler.
    """
    try:
        torch.compile(_probe)(torch.zeros(8, device=device))
    except Exception as error:  # of many types: no C++ compiler, no Triton, no Python headers
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


def enable_gradient_checkpointing(model: Vepe) -> None:
    """Recomputes activations in the backward pass instead of storing them, in place.

    It applies to each block of the backbone and each layer of encoders and decoders: about a third
    more time for a fraction of the memory (Chen et al., arXiv 1604.06174). Without gradients
    nothing changes.
    """
    net: Any = model.backbone.net
    if hasattr(net, "set_grad_checkpointing"):
        net.set_grad_checkpointing(True)
    else:
        _recompute(model.backbone)
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
                _recompute(layer)
    _recompute(model.pyramid)


def _recompute(module: nn.Module) -> None:
    forward = module.forward

    def checkpointed(*args: Any, **options: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **options)
        return checkpoint(forward, *args, use_reentrant=False, **options)

    module.forward = checkpointed


def environment(processes: int = 1) -> dict[str, str]:
    """Versions and hardware by name, as readable text."""
    entries = {
        "vepe": __version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        **{name: _version(name) for name in _PACKAGES},
        "cpu cores": f"{os.cpu_count()}, of which torch uses {torch.get_num_threads()}",
        "processes": str(processes),
    }
    if torch.cuda.is_available():
        entries["cuda"] = str(torch.version.cuda)
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            memory = f"{properties.total_memory / 2**30:.0f} GiB"
            entries[f"gpu {index}"] = f"{properties.name}, {memory}"
    return entries


def write_environment(folder: Path, config: TrainConfig, processes: int = 1) -> None:
    """Writes `recipe.yaml`, a complete recipe, and `environment.json` into a run's folder.

    Raises:
        VepeError: if the folder cannot be written.
    """
    with replacing(folder / RECIPE_NAME) as partial:
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        partial.write_text(text, encoding="utf-8")
    dump_json(folder / ENVIRONMENT_NAME, environment(processes))


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"
