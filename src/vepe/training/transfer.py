"""Carrying weights over to a model of another skeleton (or one part more): what fits is kept.

Only a few tensors know the keypoints: rows of the proposals' last layer and of the keypoint
embedding. A joint of the same name keeps its rows; new joints start afresh. Everything else is
kept where name and shape agree.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

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
