"""Carrying weights over to a model of another skeleton (or one part more): what fits is kept.

Only a few tensors know the keypoints: rows of the proposals' last layer and of the keypoint
embedding. A joint of the same name keeps its rows; new joints start afresh. Everything else is
kept where name and shape agree.

What a run starts from: the model of its configuration, and the weights there already.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from rich.console import Console
from rich.table import Table
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vepe.config.load import merge, parse, read_yaml
from vepe.config.model import ModelConfig
from vepe.config.training import TrainConfig
from vepe.errors import VepeError
from vepe.inference.weights import load_weights, read_card
from vepe.models.build import build_model
from vepe.models.vepe import Vepe
from vepe.skeleton import Skeleton


@dataclass(frozen=True)
class TensorFate:
    """What became of one tensor of the new model: how many of its numbers were carried over."""

    name: str
    numbers: int
    kept: int


@dataclass(frozen=True)
class Transfer:
    """What was carried over.

    Attributes:
        tensors: every tensor of the new model.
        joints_kept, joints_new: keypoints of the new skeleton that the old one had, and others.
    """

    tensors: tuple[TensorFate, ...]
    joints_kept: tuple[str, ...]
    joints_new: tuple[str, ...]

    def share(self, without: tuple[str, ...] = ()) -> float:
        """Share of the new model's numbers that were carried over, in 0..1; parts left out."""
        asked = [t for t in self.tensors if t.name.split(".")[0] not in without]
        return sum(t.kept for t in asked) / sum(t.numbers for t in asked)

    @property
    def rebuilt(self) -> tuple[str, ...]:
        """Names of the tensors that start afresh, in whole or in part."""
        return tuple(t.name for t in self.tensors if t.kept < t.numbers)


@torch.no_grad()
def carry_over(source: Vepe, had: Skeleton, model: Vepe, has: Skeleton) -> Transfer:
    """Copies into `model` (skeleton `has`) what fits of `source` (skeleton `had`)."""
    given, wanted = source.state_dict(), model.state_dict()
    ours, theirs = has.shared_with(had)
    rows = _rows_a_keypoint(model)
    fates = []
    for name, target in wanted.items():
        found, kept = given.get(name), 0
        if found is not None and name in rows:
            kept = _copy_joints(found, target, list(zip(ours, theirs, strict=True)), rows[name])
        elif found is not None and found.shape == target.shape:
            target.copy_(found)
            kept = target.numel()
        fates.append(TensorFate(name, target.numel(), kept))
    known = {int(k) for k in ours}
    return Transfer(
        tuple(fates),
        tuple(name for k, name in enumerate(has.keypoints) if k in known),
        tuple(name for k, name in enumerate(has.keypoints) if k not in known),
    )


def _rows_a_keypoint(model: Vepe) -> dict[str, int]:
    """Rows that each keypoint has in the tensors that depend on the skeleton, by tensor's name."""
    last = f"proposals.pose.{len(model.proposals.pose) - 1}"
    return {f"{last}.weight": 2, f"{last}.bias": 2, "spatial_decoder.keypoint_embedding.weight": 1}


def _copy_joints(found: Tensor, target: Tensor, pairs: list[tuple[int, int]], rows: int) -> int:
    """Copies the rows of joints (of the target, of the source); how many numbers that were."""
    if found.shape[1:] != target.shape[1:]:
        return 0
    kept = 0
    for to, of in pairs:
        chosen = target[to * rows : (to + 1) * rows]
        chosen.copy_(found[of * rows : (of + 1) * rows])
        kept += chosen.numel()
    return kept


def print_transfer(transfer: Transfer, init: str, console: Console) -> None:
    """A short table: what was kept of each part, what starts afresh, and which joints are new."""
    parts: dict[str, list[TensorFate]] = defaultdict(list)
    for fate in transfer.tensors:
        parts[fate.name.split(".")[0]].append(fate)
    table = Table("part", "tensors kept", "rebuilt", title=f"Weights from {init}")
    for part, fates in parts.items():
        afresh = [f.name.removeprefix(f"{part}.") for f in fates if f.kept < f.numbers]
        more = f" and {len(afresh) - 3} more" if len(afresh) > 3 else ""
        kept = f"{len(fates) - len(afresh)} of {len(fates)}"
        table.add_row(part, kept, ", ".join(afresh[:3]) + more)
    console.print(table)
    whole = len(transfer.tensors) - len(transfer.rebuilt)
    console.print(
        f"Kept {whole} of {len(transfer.tensors)} tensors whole, "
        f"{math.floor(1000 * transfer.share()) / 10:g} % of all numbers."
    )
    if transfer.joints_new:
        kept_joints = ", ".join(transfer.joints_kept) or "none"
        console.print(
            f"Keypoints that start afresh: {', '.join(transfer.joints_new)}; kept: {kept_joints}."
        )


SAME_MODEL = "init"
"""`model: {extends: init}` is the model that the weights in `init` belong to."""

LEAST_SHARE = 0.5
"""Weights of which less than this fits are of another make, and most likely a mistake."""


def build_start(config: TrainConfig, *, load: bool = True) -> tuple[ModelConfig, Vepe]:
    """The model of a run, with the weights it starts from.

    Args:
        config: the run. With `init`, every weight that fits is kept; what depends on the
            skeleton is kept for joints of the same name; a table on stderr tells what was kept.
        load: False leaves all weights random, for runs that are resumed.

    Raises:
        VepeError: where files are missing or damaged, options contradict each other, or less than
            half of the model fits the weights.
    """
    model_config = parse(ModelConfig, _model_options(config), "model")
    _check_options(config, model_config)
    model = build_model(model_config, pretrained_backbone=load and config.pretrained_backbone)
    if not load:
        return model_config, model
    if config.init is not None:
        _start_from(config, model, model_config)
    if config.backbone_weights is not None:
        _load_backbone(Path(config.data_root) / config.backbone_weights, model, model_config)
    return model_config, model


def _check_options(config: TrainConfig, model: ModelConfig) -> None:
    """Two origins for one backbone are refused; another backbone than that of `init` needs one."""
    if config.init is None or read_card(config.init).config.backbone != model.backbone:
        return
    for name in ("backbone_weights", "pretrained_backbone"):
        if getattr(config, name):
            raise VepeError(
                f"`init` already brings this backbone; leave out `{name}`, or set it to "
                f"{'false' if name == 'pretrained_backbone' else 'null'}."
            )


def _model_options(config: TrainConfig) -> dict[str, Any]:
    """The options of the model with what they extend."""
    if isinstance(config.model, str):
        return read_yaml(config.model)
    options = dict(config.model)
    base = options.pop("extends", None)
    if base is None:
        return options
    if base == SAME_MODEL:
        if config.init is None:
            raise VepeError("`model` extends `init`, but there is none; set init=WEIGHTS.")
        below = read_card(config.init).config.model_dump(mode="json")
    else:
        below = read_yaml(str(base))
    if "skeleton" in options:
        below.pop("skeleton", None)  # a skeleton is replaced whole, never part by part
    return merge(below, options)


def _start_from(run: TrainConfig, model: Vepe, config: ModelConfig) -> None:
    """Puts what fits of the run's `init` into the model."""
    init = str(run.init)
    found, its_config, _ = load_weights(init)
    transfer = carry_over(found, its_config.skeleton, model, config.skeleton)
    # A backbone with an origin of its own is not asked for.
    apart = ("backbone",) if run.backbone_weights or run.pretrained_backbone else ()
    share = transfer.share(without=apart)
    if share < LEAST_SHARE:
        raise VepeError(
            f"Only {100 * share:.0f} % of the model '{config.name}' fits the weights "
            f"'{init}' (model '{its_config.name}'); set model.extends=init, or start from weights "
            "of the same make."
        )
    if PartialState().is_main_process:
        print_transfer(transfer, init, Console(stderr=True))


def _load_backbone(path: Path, model: Vepe, config: ModelConfig) -> None:
    """Puts the weights of a bare backbone into the model."""
    if not path.is_file():
        raise VepeError(f"There is no backbone file '{path}'; check `backbone_weights`.")
    try:
        model.backbone.net.load_state_dict(load_file(path))
    except (RuntimeError, SafetensorError) as error:
        raise VepeError(
            f"'{path}' does not fit the backbone '{config.backbone}': "
            f"{str(error).splitlines()[-1].strip()}."
        ) from error
