"""Weights: safetensors files that carry their configuration, skeleton and history.

The header's metadata holds `vepe_version`, `config` (a `ModelConfig` with skeleton and tracker
settings) and `training` (data, recipe), so the file is all that a model needs. A name of weights is
a preset whose file comes with the package, a path, or an address on the Hugging Face hub; from the
hub, only safetensors are downloaded, and no code is run.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from vepe import __version__
from vepe.config.base import SILENT
from vepe.config.documents import parse_json
from vepe.config.load import nearest, parse, preset_names
from vepe.config.model import ModelConfig
from vepe.errors import VepeError
from vepe.formats.files import replacing
from vepe.inference.upgrade import upgrade_config, upgrade_tensors
from vepe.models.build import build_model
from vepe.models.vepe import Vepe
from vepe.skeleton import Skeleton, keypoint_difference

SUFFIX = ".safetensors"
PREFIX = "hf://"
DEFAULT_FILE = "model.safetensors"

_PART = r"[\w][\w.-]*"
_ADDRESS = re.compile(
    rf"{PREFIX}(?P<repo>{_PART}/{_PART})(@(?P<revision>[\w./-]+?))?(/(?P<file>(?:{_PART}/)*"
    rf"{_PART}\.safetensors))?"
)


@dataclass(frozen=True)
class WeightsCard:
    """The metadata of a weights file, read without its tensors.

    Attributes:
        path: the file.
        version: VEPE version that wrote it.
        config: what the model is made of.
        training: data and recipe, as given to `save_weights`.
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
    """Writes a weights file atomically; returns its path.

    In fp16, tensors with values beyond its range stay in fp32.

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
    return half if dtype == "fp16" and bool(torch.isfinite(half).all()) else full


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
    _check_skeleton(card, skeleton)
    # Fresh weights are overwritten at once, but drawing them must not disturb the caller's seed.
    with torch.random.fork_rng(devices=[]):
        model = build_model(card.config)
    try:
        tensors = upgrade_tensors(_read_tensors(card.path))
    except (KeyError, RuntimeError):
        raise VepeError(
            f"'{card.path}' lacks tensors of its own version of VEPE; copy or train the weights "
            "again."
        ) from None
    _check_fit(card.path, model.state_dict(), tensors)
    model.load_state_dict(tensors)
    return model.eval(), card.config, card.training


def read_card(name: str | Path) -> WeightsCard:
    """The metadata of weights; quick. Arguments and errors as `load_weights`."""
    path = find_weights(name)
    with _opened(path) as file:
        metadata = file.metadata() or {}
    try:
        config = upgrade_config(dict(parse_json(metadata["config"], "config")))
        training = dict(parse_json(metadata["training"], "training"))
    except (KeyError, TypeError, ValueError, VepeError):
        raise VepeError(
            f"'{path}' has no VEPE configuration in its header, so its model is unknown; give "
            "weights that VEPE wrote."
        ) from None
    return WeightsCard(
        path,
        metadata.get("vepe_version", "unknown"),
        parse(ModelConfig, config, f"The configuration in '{path}'", SILENT),
        training,
        path.stat().st_size,
    )


def bundled_weights(preset: str) -> Path | None:
    """The weights file that comes with the package for a preset, or None."""
    path = Path(str(resources.files("vepe.weights"))) / f"{preset}{SUFFIX}"
    return path if path.is_file() else None


def find_weights(name: str | Path) -> Path:
    """The file that a name refers to. Raises VepeError where there is none."""
    text, path = str(name), Path(name)
    if text.startswith(PREFIX):
        return fetch_weights(text)
    if path.suffix == SUFFIX or path.is_file():
        if not path.is_file():
            raise VepeError(f"There is no weights file '{text}'; check the path.")
        return path
    bundled = bundled_weights(text) if text == path.name else None
    if bundled is not None:
        return bundled
    if text in preset_names():
        raise VepeError(
            f"There are no bundled weights for '{text}'; pass a weights file ({SUFFIX}, or "
            f"{PREFIX}OWNER/REPO on the Hugging Face hub) or train it with `vepe train`."
        )
    if len(path.parts) > 1:
        raise VepeError(f"There is no weights file '{text}'; give a {SUFFIX} file or a preset.")
    with_weights = [preset for preset in preset_names() if bundled_weights(preset)]
    raise VepeError(f"There is no preset '{text}'{nearest(text, with_weights)}")


def _opened(path: Path) -> Any:
    """The open file. Raises VepeError where it is empty, cut off, or something else."""
    try:
        if path.stat().st_size == 0:
            raise VepeError(f"'{path}' is empty (0 bytes); download or train the weights again.")
        return safe_open(path, framework="pt")
    except SafetensorError:
        with path.open("rb") as file:
            begins_well = file.read(9)[8:] == b"{"  # 8 bytes of length, then the header's JSON
        if begins_well:
            raise VepeError(
                f"'{path}' is cut off or damaged; copy or train the weights again."
            ) from None
        raise VepeError(
            f"'{path}' is not a weights file, or is damaged; give a {SUFFIX} file that VEPE wrote."
        ) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise VepeError(f"'{path}' cannot be read ({reason}); check its rights.") from None


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors, floating-point ones in fp32. Raises VepeError where one has NaN or infinity."""
    tensors = {}
    with _opened(path) as file:
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


def fetch_weights(address: str) -> Path:
    """Downloads weights from the Hugging Face hub, or takes them from the hub's local cache.

    Args:
        address: `hf://OWNER/REPO` for its file `model.safetensors`, or
            `hf://OWNER/REPO/FILE.safetensors`; `@REVISION` after REPO selects a branch, tag or
            commit.

    Raises:
        VepeError: where the address is malformed, or there is no such file, network, access or
            space; the message says which, and what to do.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise VepeError(
            f"'{address}' is no address of weights; write {PREFIX}OWNER/REPO or "
            f"{PREFIX}OWNER/REPO/FILE.safetensors."
        )
    # This import takes a second: commands that download nothing should not wait for it.
    from huggingface_hub import errors, hf_hub_download

    repo, file = match["repo"], match["file"] or DEFAULT_FILE
    try:
        return Path(hf_hub_download(repo, file, revision=match["revision"]))
    except errors.GatedRepoError:
        why = "its owner must grant access: ask on its page, then `hf auth login`"
    except errors.RepositoryNotFoundError:
        why = "there is no such repository, or it is private: check the name, or `hf auth login`"
    except errors.RevisionNotFoundError:
        why = f"it has no revision '{match['revision']}': check the name"
    except errors.LocalEntryNotFoundError:
        why = "the hub cannot be reached and no copy is on this machine: check the network"
    except errors.EntryNotFoundError:
        why = f"it has no file '{file}': add the file's name after the repository"
    except (errors.HfHubHTTPError, OSError, ValueError) as error:
        why = f"{str(error).splitlines()[0].rstrip('.')}: try again, or download the file by hand"
    raise VepeError(f"'{address}' could not be downloaded; {why}.") from None
