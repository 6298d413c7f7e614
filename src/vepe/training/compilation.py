"""torch.compile for the parts of the network that are plain tensor code."""

from __future__ import annotations

import torch

from vepe.errors import VepeError
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
