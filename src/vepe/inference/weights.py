"""Weights in PyTorch: safetensors files that carry their configuration, skeleton and history.

Their names and metadata are read in `vepe.inference.model_files`, without torch.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from vepe import __version__
from vepe.config.model import ModelConfig
from vepe.errors import VepeError
from vepe.formats.files import replacing
from vepe.inference.model_files import SUFFIX, WeightsCard, read_card
from vepe.inference.upgrade import upgrade_tensors
from vepe.models.build import build_model
from vepe.models.vepe import Vepe
from vepe.skeleton import Skeleton, keypoint_difference

MAX_ROUNDING = 0.01
"""The bias of a score of several hundreds, which calibrations once added up to, would be off by
0.25."""

_LATER = ("pose_fusion.", "pose_decoder.score_calibration")


def save_weights(
    path: str | Path,
    model: Vepe,
    config: ModelConfig,
    training: dict[str, Any],
    dtype: Literal["fp16", "fp32"] = "fp16",
) -> Path:
    """Writes a weights file atomically; returns its path.

    In fp16, tensors with a value that it would change by more than `MAX_ROUNDING` stay in fp32.

    Args:
        path: a name that ends in `.safetensors`.
        model: on any device.
        config: what it was built from.
        training: data, recipe and the like; anything JSON can hold.
        dtype: precision of the file.

    Raises:
        VepeError: where the file cannot be written or the name has another ending.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise VepeError(f"'{path}' does not end in {SUFFIX}; name a file that does.")
    metadata = {
        "format": "pt",
        "vepe_version": __version__,
        "config": config.model_dump_json(),
        "training": json.dumps(training),
    }
    tensors = {
        name: _packed(tensor, dtype).clone().contiguous()
        for name, tensor in model.state_dict().items()
    }
    with replacing(path) as partial:
        partial.write_bytes(save(tensors, metadata))
    return path


def _packed(tensor: Tensor, dtype: Literal["fp16", "fp32"]) -> Tensor:
    tensor = tensor.detach().cpu()
    if not tensor.is_floating_point():
        return tensor
    full = tensor.float()
    half = full.half()
    # Infinity and NaN fail the comparison, too.
    fits = bool(((half.float() - full).abs() <= MAX_ROUNDING).all())
    return half if dtype == "fp16" and fits else full


def load_weights(
    name: str | Path, *, skeleton: Skeleton | None = None
) -> tuple[Vepe, ModelConfig, dict[str, Any]]:
    """Loads a model.

    Args:
        name: a preset whose weights are bundled, the path of a `.safetensors` file, or an address
            on the Hugging Face hub (see `fetch_weights`).
        skeleton: the keypoints that the model must have, or None for any.

    Returns:
        The model in eval mode and fp32 on the CPU, its configuration, and its training history.

    Raises:
        VepeError: where there is no such file or preset, or the file is damaged, has another
            skeleton, or does not fit its own configuration; the message says which.
    """
    card = read_card(name)
    if card.path.suffix != SUFFIX:
        raise VepeError(
            f"'{card.path}' is an exported model, which has no weights to train or to run in "
            f"PyTorch; give the {SUFFIX} file that it was exported from."
        )
    _check_skeleton(card, skeleton)
    # Fresh weights are overwritten at once, but drawing them must not disturb the caller's seed.
    with torch.random.fork_rng(devices=[]):
        model = build_model(card.config)
    try:
        tensors = with_later_tensors(upgrade_tensors(_read_tensors(card.path)), model)
    except (KeyError, RuntimeError, SafetensorError):
        raise VepeError(
            f"'{card.path}' lacks tensors of its own version of VEPE; copy or train the weights "
            "again."
        ) from None
    _check_fit(card.path, model.state_dict(), tensors)
    model.load_state_dict(tensors)
    return model.eval(), card.config, card.training


def with_later_tensors(tensors: dict[str, Tensor], fresh: Vepe) -> dict[str, Tensor]:
    """The tensors of a model; those that it is too old to have are the initial ones.

    Args:
        tensors: of a file from before the fusion or the score's calibration, or of a later one.
        fresh: a model of its configuration, not trained.
    """
    return {n: t for n, t in fresh.state_dict().items() if n.startswith(_LATER)} | tensors


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors, floating-point ones in fp32. Raises VepeError where one has NaN or infinity."""
    tensors = {}
    with safe_open(path, framework="pt") as file:
        for key in file.keys():  # noqa: SIM118 (the file is no mapping)
            tensor = file.get_tensor(key)
            if tensor.is_floating_point():
                tensor = tensor.float()
                if not torch.isfinite(tensor).all():
                    raise VepeError(
                        f"'{path}' has NaN or infinite values in '{key}': its training diverged; "
                        "use an earlier checkpoint."
                    )
            tensors[key] = tensor
    return tensors


def _check_skeleton(card: WeightsCard, required: Skeleton | None) -> None:
    own = card.config.skeleton
    if required is not None and own.keypoints != required.keypoints:
        raise VepeError(
            f"'{card.path}' has the skeleton '{own.name}' ({len(own)} keypoints), but "
            f"'{required.name}' ({len(required)}) is required, so it is "
            f"{keypoint_difference(own.keypoints, required.keypoints)}; give weights of that "
            "skeleton."
        )


def _check_fit(path: Path, expected: dict[str, Tensor], tensors: dict[str, Tensor]) -> None:
    """Raises VepeError that says which tensors are missing, unknown or of another shape."""
    reshaped = [
        f"{key} is {tuple(tensors[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in expected.keys() & tensors.keys()
        if expected[key].shape != tensors[key].shape
    ]
    problems = {
        "lacks": sorted(expected.keys() - tensors.keys()),
        "has unknown": sorted(tensors.keys() - expected.keys()),
        "differs in shape:": sorted(reshaped),
    }
    parts = [f"{what} {_listed(keys)}" for what, keys in problems.items() if keys]
    if parts:
        raise VepeError(
            f"'{path}' does not fit its own configuration: it {' and '.join(parts)}; it was "
            "written by another version of VEPE or changed since."
        )


def _listed(keys: list[str], most: int = 3) -> str:
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + more
