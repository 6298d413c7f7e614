"""Weights on disk: safetensors that carry their configuration, skeleton and history.

The header's metadata holds `vepe_version`, `config` (a `ModelConfig`, skeleton included) and
`training` (what data, which recipe), so a file of weights is all that a model needs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from vepe import __version__
from vepe.config.load import parse, preset_names, read_yaml
from vepe.config.model import ModelConfig
from vepe.errors import VepeError
from vepe.formats.files import replacing
from vepe.inference import hub
from vepe.models.build import build_model
from vepe.models.vepe import Vepe
from vepe.skeleton import Skeleton

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class WeightsCard:
    """What a file of weights says of itself, without its tensors being read.

    Attributes:
        path: the file.
        version: the VEPE that wrote it.
        config: what the model is made of.
        training: data and recipe, as the writer told them.
        bytes: size of the file.
    """

    path: Path
    version: str
    config: ModelConfig
    training: dict[str, Any]
    bytes: int


def save_weights(
    path: str | Path,
    model: Vepe,
    config: ModelConfig,
    training: dict[str, Any],
    dtype: Literal["fp16", "fp32"] = "fp16",
) -> Path:
    """Writes the weights beside `path` and renames them; returns the path.

    In fp16, tensors that hold values beyond its range stay in fp32.

    Args:
        path: a name that ends in `.safetensors`.
        model: its weights are taken from whatever device they are on.
        config: what it was built from.
        training: data, recipe and the like; anything JSON can hold.
        dtype: precision of what is written.

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
    with replacing(path) as beside:
        beside.write_bytes(save(tensors, metadata))
    return path


def _packed(tensor: Tensor, dtype: Literal["fp16", "fp32"]) -> Tensor:
    tensor = tensor.detach().cpu()
    if not tensor.is_floating_point():
        return tensor
    full = tensor.float()
    half = full.half()
    return half if dtype == "fp16" and bool(torch.isfinite(half).all()) else full


def load_weights(
    name: str | Path, *, skeleton: Skeleton | None = None
) -> tuple[Vepe, ModelConfig, dict[str, Any]]:
    """The model in eval mode and fp32 on the CPU, its configuration, and its history.

    Args:
        name: a preset whose weights are bundled, the path of a `.safetensors` file, or an address
            on the Hugging Face hub (see `vepe.inference.hub`).
        skeleton: where given, the keypoints that the model must have.

    Raises:
        VepeError: where there is no such file or preset, or it is damaged, has another skeleton, or
            does not fit its own configuration; the text names what.
    """
    card = read_card(name)
    _check_skeleton(card, skeleton)
    # Fresh weights are overwritten at once, but drawing them must not disturb the caller's seed.
    with torch.random.fork_rng(devices=[]):
        model = build_model(card.config)
    tensors = _read_tensors(card.path)
    _check_fit(card.path, model.state_dict(), tensors)
    model.load_state_dict(tensors)
    return model.eval(), card.config, card.training


def read_card(name: str | Path) -> WeightsCard:
    """What the weights say of themselves; quick. Arguments and errors as `load_weights`."""
    path = find_weights(name)
    with _opened(path) as file:
        metadata = file.metadata() or {}
    try:
        config, training = json.loads(metadata["config"]), json.loads(metadata["training"])
    except (KeyError, ValueError, RecursionError):
        raise VepeError(
            f"'{path}' does not say what model it belongs to (no VEPE configuration in its "
            "header); give weights that VEPE wrote."
        ) from None
    return WeightsCard(
        path,
        metadata.get("vepe_version", "unknown"),
        parse(ModelConfig, config, f"The configuration in '{path}'"),
        training,
        path.stat().st_size,
    )


def bundled_weights(preset: str) -> Path | None:
    """The file of weights that came with the package for a preset, or None."""
    path = Path(str(resources.files("vepe.weights"))) / f"{preset}{SUFFIX}"
    return path if path.is_file() else None


def find_weights(name: str | Path) -> Path:
    """The file that a name means. Raises VepeError where there is none, with what to do."""
    text, path = str(name), Path(name)
    if text.startswith(hub.PREFIX):
        return hub.fetch_weights(text)
    if path.suffix == SUFFIX or path.is_file():
        if not path.is_file():
            raise VepeError(f"There is no file of weights '{text}'; check the path.")
        return path
    bundled = bundled_weights(text) if text == path.name else None
    if bundled is not None:
        return bundled
    if text in preset_names():
        raise VepeError(
            f"No weights of '{text}' come with VEPE; pass a checkpoint ({SUFFIX} file, or "
            f"{hub.PREFIX}OWNER/REPO on the Hugging Face hub) or train it with `vepe train`."
        )
    if len(path.parts) > 1:
        raise VepeError(f"There is no file of weights '{text}'; give a {SUFFIX} file or a preset.")
    read_yaml(text)  # raises, naming the nearest preset
    raise AssertionError(text)


def _opened(path: Path) -> Any:
    """The open file. Raises VepeError where it is empty, cut off, or something else."""
    try:
        if path.stat().st_size == 0:
            raise VepeError(f"'{path}' is empty (0 bytes); fetch or train the weights again.")
        return safe_open(path, framework="pt")
    except SafetensorError:
        with path.open("rb") as file:
            begins_well = file.read(9)[8:] == b"{"  # 8 bytes of length, then the header's JSON
        if begins_well:
            raise VepeError(
                f"'{path}' is cut off or damaged; copy or train the weights again."
            ) from None
        raise VepeError(
            f"'{path}' is not a file of weights, or is damaged; give a {SUFFIX} file that VEPE "
            "wrote."
        ) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise VepeError(f"'{path}' cannot be read ({reason}); check its rights.") from None


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors, floating ones in fp32. Raises VepeError where one holds NaN or infinity."""
    tensors = {}
    with _opened(path) as file:
        for key in file.keys():  # noqa: SIM118 (the file is no mapping)
            tensor = file.get_tensor(key)
            if tensor.is_floating_point():
                tensor = tensor.float()
                if not torch.isfinite(tensor).all():
                    raise VepeError(
                        f"'{path}' holds NaN or infinite numbers in '{key}': its training went "
                        "astray; use an earlier checkpoint."
                    )
            tensors[key] = tensor
    return tensors


def _check_skeleton(card: WeightsCard, wanted: Skeleton | None) -> None:
    own = card.config.skeleton
    if wanted is not None and own.keypoints != wanted.keypoints:
        raise VepeError(
            f"'{card.path}' has the skeleton '{own.name}' ({len(own)} keypoints), but "
            f"'{wanted.name}' ({len(wanted)}) is asked for; give weights of that skeleton."
        )


def _check_fit(path: Path, wanted: dict[str, Tensor], given: dict[str, Tensor]) -> None:
    """Raises VepeError that says which tensors are missing, unknown or of another shape."""
    reshaped = [
        f"{key} is {tuple(given[key].shape)} instead of {tuple(wanted[key].shape)}"
        for key in wanted.keys() & given.keys()
        if wanted[key].shape != given[key].shape
    ]
    problems = {
        "lacks": sorted(wanted.keys() - given.keys()),
        "has unknown": sorted(given.keys() - wanted.keys()),
        "differs in shape:": sorted(reshaped),
    }
    said = [f"{what} {_listed(keys)}" for what, keys in problems.items() if keys]
    if said:
        raise VepeError(
            f"'{path}' does not fit its own configuration: it {' and '.join(said)}; it was written "
            "by another version of VEPE or changed since."
        )


def _listed(keys: list[str], most: int = 3) -> str:
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + more
