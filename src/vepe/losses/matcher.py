"""Matching of predicted and labelled people: one-to-one for layers, one-to-many for dense cells.

Dimensions: B batch, Q predictions (S where they are cells), P labelled people, K keypoints, M
matched pairs of the whole batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from vepe.losses.oks import normalised_l1, oks
from vepe.losses.targets import Targets

FORBIDDEN = 1e3
"""Extra cost of a cell that may not be matched with a person."""


@dataclass(frozen=True)
class MatchCosts:
    """Weights of the matching costs, after GroupPose's; L1 is in units of the person here."""

    score: float = 2.0
    l1: float = 5.0
    oks: float = 4.0


@dataclass(frozen=True)
class Matches:
    """M matched pairs of a batch.

    Attributes:
        frame, prediction, person: (M,) indices into B, Q and P.
    """

    frame: Int[Tensor, "M"]
    prediction: Int[Tensor, "M"]
    person: Int[Tensor, "M"]

    def __len__(self) -> int:
        return len(self.frame)


@torch.no_grad()
def pair_costs(
    keypoints_px: Float[Tensor, "B Q K 2"],
    targets: Targets,
    sigmas: Float[Tensor, "K"],
    weights: MatchCosts,
) -> Float[Tensor, "B Q P"]:
    """Matching cost of every predicted pose with every labelled person, without scores.

    Returns:
        l1 * normalised L1 - oks * OKS, or 1e4 for people in the padding.
    """
    pred = keypoints_px.unsqueeze(2)  # (B, Q, 1, K, 2)
    labels = (targets.keypoints_px.unsqueeze(1), targets.labelled.unsqueeze(1))  # (B, 1, P, K, ...)
    areas = targets.areas_px.unsqueeze(1)  # (B, 1, P)
    similarity = oks(pred, *labels, areas, sigmas)  # (B, Q, P)
    distance = normalised_l1(pred, *labels, areas).clamp_max(10.0)  # (B, Q, P)
    cost = weights.l1 * distance - weights.oks * similarity
    return cost.masked_fill(~targets.valid.unsqueeze(1), 1e4)


@torch.no_grad()
def match(
    score_logits: Float[Tensor, "B Q"],
    cost: Float[Tensor, "B Q P"],
    targets: Targets,
    weights: MatchCosts,
) -> Matches:
    """One-to-one matching of lowest cost in every frame (Hungarian, DETR arXiv 2005.12872).

    Args:
        score_logits: person scores of the predictions; high scores lower the cost.
        cost: `pair_costs`, plus further costs if any.
        targets: whose valid people are matched.
        weights: of the costs.

    Returns:
        matches in which every valid person has one prediction (if there are enough), and every
        prediction at most one person.
    """
    cost = cost - weights.score * score_logits.sigmoid().unsqueeze(-1)
    # A diverged network gives NaN: any match will do, the loss itself stops the run.
    table = np.nan_to_num(cost.float().cpu().numpy(), nan=1e6, posinf=1e6, neginf=-1e6)
    valid = targets.valid.cpu().numpy()
    frames, predictions, people = [], [], []
    for b in range(len(table)):
        present = np.flatnonzero(valid[b])
        q, p = linear_sum_assignment(table[b][:, present])
        frames.append(np.full(len(q), b))
        predictions.append(q)
        people.append(present[p])

    def concat(parts: list[np.ndarray]) -> Int[Tensor, "M"]:
        return torch.from_numpy(np.concatenate(parts).astype(np.int64)).to(score_logits.device)

    return Matches(concat(frames), concat(predictions), concat(people))


@torch.no_grad()
def match_many(
    score_logits: Float[Tensor, "B S"],
    cost: Float[Tensor, "B S P"],
    targets: Targets,
    weights: MatchCosts,
    per_person: int,
) -> Matches:
    """One-to-many matching: the `per_person` cheapest cells of every person.

    A fixed number of cells per person, as in task-aligned assignment (TOOD, arXiv 2108.07755).
    Arguments as for `match`; `cost` includes `cell_costs`.

    Returns:
        matches in which every valid person has up to `per_person` cells, none of them forbidden,
        and every cell at most one person: the cheapest of those that it is among the best for.
    """
    cost = cost - weights.score * score_logits.sigmoid().unsqueeze(-1)
    best = cost.topk(min(per_person, cost.shape[1]), dim=1, largest=False).indices  # (B, n, P)
    selected = torch.zeros_like(cost, dtype=torch.bool).scatter_(1, best, True)  # (B, S, P)
    selected &= (cost < FORBIDDEN / 2) & targets.valid.unsqueeze(1)
    cheapest = cost.masked_fill(~selected, FORBIDDEN * 2).argmin(dim=2)  # (B, S)
    frame, cell = torch.nonzero(selected.any(dim=2), as_tuple=True)
    return Matches(frame, cell, cheapest[frame, cell])


@torch.no_grad()
def cell_costs(
    centres_px: Float[Tensor, "S 2"], strides_px: Float[Tensor, "S"], targets: Targets
) -> Float[Tensor, "B S P"]:
    """Prior costs of matching cells with people (ours).

    A cell should lie near the mean of the labelled keypoints, on the level on which the person is
    about eight cells tall. Cells too far away cost `FORBIDDEN` more.
    """
    weight = targets.labelled.float().unsqueeze(-1)  # (B, P, K, 1)
    middle = (targets.keypoints_px * weight).sum(2) / weight.sum(2).clamp_min(1)  # (B, P, 2)
    box = targets.boxes_xyxy_px
    size = torch.maximum(box[..., 2] - box[..., 0], box[..., 3] - box[..., 1]).clamp_min(4.0)
    distance = (centres_px[None, :, None] - middle[:, None]).norm(dim=-1)  # (B, S, P)
    relative = distance / size[:, None]
    octave = torch.log2(size[:, None] / (8 * strides_px[None, :, None])).abs()  # (B, S, P)
    near = (relative < 0.4) | (distance < strides_px[None, :, None])
    return 4 * relative + 1.5 * octave + FORBIDDEN * (~near)
