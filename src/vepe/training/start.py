"""The start of a run: the model of its configuration, and the weights it starts from.

With `init`, weights are transferred to a model that may have another skeleton or other parts: each
tensor is copied if its name and shape agree. Only few tensors depend on the skeleton (the last
layer of the proposals, the keypoint embedding, and the layer that joins the appearance of all
keypoints); there the rows or columns of keypoints with the same name are copied, and new keypoints
start with weights of their own.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import PartialState
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vepe.config.load import parse
from vepe.config.model import ModelConfig
from vepe.config.training import TrainConfig
from vepe.errors import VepeError, printable
from vepe.inference.model_files import read_card
from vepe.inference.weights import load_weights
from vepe.models.build import build_model
from vepe.models.instance_consistency import Appearance
from vepe.models.vepe import Vepe
from vepe.skeleton import Skeleton

MIN_FRACTION = 0.5
"""If less than this fraction of the model fits the weights, they are most likely a mistake."""


def build_start(
    config: TrainConfig, *, load: bool = True, quiet: bool = False
) -> tuple[ModelConfig, Vepe]:
    """The model of a run, with the weights it starts from.

    Args:
        config: the run. With `init`, a table on stderr says which weights were copied.
        load: False leaves all weights random, for resumed runs.
        quiet: print no table.

    Raises:
        VepeError: if files are missing or damaged, options contradict each other, or less than
            half of the model fits the weights.
    """
    model_config = start_config(config)
    _check_options(config, model_config)
    model = build_model(model_config, pretrained_backbone=load and config.pretrained_backbone)
    if not load:
        return model_config, model
    if config.init is not None:
        _load_init(config, model, model_config, quiet=quiet)
    if config.backbone_weights is not None:
        _load_backbone(Path(config.data_root) / config.backbone_weights, model, model_config)
    return model_config, model


def start_config(config: TrainConfig) -> ModelConfig:
    """The model's configuration. Raises VepeError as `build_start`."""
    options = config.model_options(lambda init: read_card(init).config.model_dump(mode="json"))
    return parse(ModelConfig, options, "model")


def _check_options(config: TrainConfig, model: ModelConfig) -> None:
    """Raises VepeError if there are two sources of weights for the backbone."""
    if config.init is None or read_card(config.init).config.backbone != model.backbone:
        return
    for name in ("backbone_weights", "pretrained_backbone"):
        if getattr(config, name):
            raise VepeError(
                f"`init` already has weights of this backbone; leave out `{name}`, or set it to "
                f"{'false' if name == 'pretrained_backbone' else 'null'}."
            )


def _load_init(run: TrainConfig, model: Vepe, config: ModelConfig, *, quiet: bool) -> None:
    """Copies what fits of the run's `init` into the model."""
    init = str(run.init)
    source, source_config, _ = load_weights(init)
    transfer = transfer_weights(source, source_config.skeleton, model, config.skeleton)
    # A backbone with its own weights does not count.
    excluded = ("backbone",) if run.backbone_weights or run.pretrained_backbone else ()
    fraction = transfer.fraction(exclude=excluded)
    if fraction < MIN_FRACTION:
        raise VepeError(
            f"Only {100 * fraction:.0f} % of the model '{config.name}' fits the weights "
            f"'{init}' (model '{source_config.name}'); set model.extends=init, or start from "
            "weights of a similar model."
        )
    if PartialState().is_main_process and not quiet:
        print_transfer(transfer, init, Console(stderr=True))


def _load_backbone(path: Path, model: Vepe, config: ModelConfig) -> None:
    """Loads the weights of a bare backbone."""
    if not path.is_file():
        raise VepeError(f"There is no backbone file '{path}'; check `backbone_weights`.")
    try:
        model.backbone.net.load_state_dict(load_file(path))
    except (RuntimeError, SafetensorError) as error:
        raise VepeError(
            f"'{path}' does not fit the backbone '{config.backbone}': "
            f"{str(error).splitlines()[-1].strip()}."
        ) from error


@dataclass(frozen=True)
class TensorTransfer:
    """One tensor of the new model: its size, and how many of its values were copied."""

    name: str
    size: int
    copied: int


@dataclass(frozen=True)
class Transfer:
    """Result of `transfer_weights`.

    Attributes:
        tensors: every tensor of the new model.
        known_keypoints, new_keypoints: keypoints of the new skeleton that the old one has, and
            the others.
    """

    tensors: tuple[TensorTransfer, ...]
    known_keypoints: tuple[str, ...]
    new_keypoints: tuple[str, ...]

    def fraction(self, exclude: tuple[str, ...] = ()) -> float:
        """Fraction of the new model's values that were copied, without the parts in `exclude`."""
        tensors = [t for t in self.tensors if t.name.split(".")[0] not in exclude]
        return sum(t.copied for t in tensors) / sum(t.size for t in tensors)

    @property
    def incomplete(self) -> tuple[str, ...]:
        """Names of the tensors that are random, in whole or in part."""
        return tuple(t.name for t in self.tensors if t.copied < t.size)


@torch.no_grad()
def transfer_weights(
    source: Vepe, source_skeleton: Skeleton, model: Vepe, skeleton: Skeleton
) -> Transfer:
    """Copies into `model` (with `skeleton`) what fits of `source` (with `source_skeleton`)."""
    source_state = source.state_dict()
    ours, theirs = skeleton.shared_with(source_skeleton)
    keypoint_pairs = list(zip(ours, theirs, strict=True))
    by_keypoint = _keypoint_axes(model)
    tensors = []
    for name, target in model.state_dict().items():
        existing, copied = source_state.get(name), 0
        if existing is not None and name in by_keypoint:
            axis, rows = by_keypoint[name]
            old, new = existing.movedim(axis, 0), target.movedim(axis, 0)
            copied = _copy_keypoints(old, new, keypoint_pairs, rows)
        elif existing is not None and existing.shape == target.shape:
            target.copy_(existing)
            copied = target.numel()
        tensors.append(TensorTransfer(name, target.numel(), copied))
    known = {int(k) for k in ours}
    return Transfer(
        tuple(tensors),
        tuple(name for k, name in enumerate(skeleton.keypoints) if k in known),
        tuple(name for k, name in enumerate(skeleton.keypoints) if k not in known),
    )


def _keypoint_axes(model: Vepe) -> dict[str, tuple[int, int]]:
    """The tensors that depend on the skeleton: on which axis, and how many rows per keypoint."""
    last = f"proposals.pose.{len(model.proposals.pose) - 1}"
    axes = {f"{last}.weight": (0, 2), f"{last}.bias": (0, 2)}
    axes["spatial_decoder.keypoint_embedding.weight"] = (0, 1)
    for name, module in model.named_modules():
        if isinstance(module, Appearance):
            axes[f"{name}.join.weight"] = (1, module.describe.out_features)
    return axes


def _copy_keypoints(source: Tensor, target: Tensor, pairs: list[tuple[int, int]], rows: int) -> int:
    """Copies the rows of keypoints (index in target, in source); returns the number of values."""
    if source.shape[1:] != target.shape[1:]:
        return 0
    copied = 0
    for k, source_k in pairs:
        target_rows = target[k * rows : (k + 1) * rows]
        target_rows.copy_(source[source_k * rows : (source_k + 1) * rows])
        copied += target_rows.numel()
    return copied


def print_transfer(transfer: Transfer, init: str, console: Console) -> None:
    """Prints a table of what was copied for each part, and the new keypoints."""
    parts: dict[str, list[TensorTransfer]] = defaultdict(list)
    for tensor in transfer.tensors:
        parts[tensor.name.split(".")[0]].append(tensor)
    table = Table("part", "tensors copied", "new", title=escape(printable(f"Weights from {init}")))
    for part, tensors in parts.items():
        new = [t.name.removeprefix(f"{part}.") for t in tensors if t.copied < t.size]
        more = f" and {len(new) - 3} more" if len(new) > 3 else ""
        copied = f"{len(tensors) - len(new)} of {len(tensors)}"
        table.add_row(part, copied, ", ".join(new[:3]) + more)
    console.print(table)
    complete = len(transfer.tensors) - len(transfer.incomplete)
    console.print(
        f"Copied {complete} of {len(transfer.tensors)} tensors, "
        f"{math.floor(1000 * transfer.fraction()) / 10:g} % of all values."
    )
    if transfer.new_keypoints:
        known = ", ".join(transfer.known_keypoints) or "none"
        names = ", ".join(transfer.new_keypoints)
        console.print(printable(f"New keypoints: {names}; known: {known}."), markup=False)
