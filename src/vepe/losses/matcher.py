"""Who is whom: one-to-one matching of predicted and labelled people, and one-to-many for cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from vepe.losses.oks import normalised_l1, oks
from vepe.losses.targets import Targets


@dataclass(frozen=True)
class MatchCosts:
    """Weights of the matching costs, after GroupPose's; L1 is in units of the person here."""

    score: float = 2.0
    l1: float = 5.0
    oks: float = 4.0


@dataclass(frozen=True)
class Matches:
    """M matched pairs of a batch: frame, prediction and person indices, each (M,)."""

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
    costs: MatchCosts,
) -> Float[Tensor, "B Q P"]:
    """Cost of taking pose q for person p, scores left out; invalid people cost the most."""
    predicted = keypoints_px.unsqueeze(2)
    labels = (targets.keypoints_px.unsqueeze(1), targets.labelled.unsqueeze(1))
    areas = targets.areas_px.unsqueeze(1)
    similarity = oks(predicted, *labels, areas, sigmas)
    distance = normalised_l1(predicted, *labels, areas).clamp_max(10.0)
    total = costs.l1 * distance - costs.oks * similarity
    return total.masked_fill(~targets.valid.unsqueeze(1), 1e4)


@torch.no_grad()
def match(
    score_logits: Float[Tensor, "B Q"],
    poses: Float[Tensor, "B Q P"],
    targets: Targets,
    costs: MatchCosts,
) -> Matches:
    """The cheapest one-to-one matching of every frame (Hungarian, DETR arXiv 2005.12872).

    `poses` are `pair_costs`, with whatever else a match shall cost.
    """
    cost = poses - costs.score * score_logits.sigmoid().unsqueeze(-1)
    # A diverged network gives NaN: any match will do then, the loss itself stops the run.
    table = np.nan_to_num(cost.float().cpu().numpy(), nan=1e6, posinf=1e6, neginf=-1e6)
    valid = targets.valid.cpu().numpy()
    frames, predictions, people = [], [], []
    for b in range(len(table)):
        present = np.flatnonzero(valid[b])
        q, p = linear_sum_assignment(table[b][:, present])
        frames.append(np.full(len(q), b))
        predictions.append(q)
        people.append(present[p])
    return _matches(frames, predictions, people, score_logits.device)


@torch.no_grad()
def match_many(
    score_logits: Float[Tensor, "B S"],
    poses: Float[Tensor, "B S P"],
    targets: Targets,
    costs: MatchCosts,
    per_person: int,
) -> Matches:
    """For every person the `per_person` cheapest cells; a cell wanted twice takes the cheaper.

    A fixed number of cells a person, as in task-aligned assignment (TOOD, arXiv 2108.07755).
    """
    cost = poses - costs.score * score_logits.sigmoid().unsqueeze(-1)
    best = cost.topk(min(per_person, cost.shape[1]), dim=1, largest=False).indices
    wanted = torch.zeros_like(cost, dtype=torch.bool).scatter_(1, best, True)
    wanted &= (cost < FORBIDDEN / 2) & targets.valid.unsqueeze(1)
    cheapest = cost.masked_fill(~wanted, FORBIDDEN * 2).argmin(dim=2)
    frame, cell = torch.nonzero(wanted.any(dim=2), as_tuple=True)
    return Matches(frame, cell, cheapest[frame, cell])


FORBIDDEN = 1e3
"""Extra cost of a cell that may not answer for a person."""


@torch.no_grad()
def cell_costs(
    centres_px: Float[Tensor, "S 2"], strides_px: Float[Tensor, "S"], targets: Targets
) -> Float[Tensor, "B S P"]:
    """Prior costs of cells for people; cells that are too far away are forbidden.

    A cell should lie near the middle of the labelled keypoints, on the level on which the person
    is about eight cells tall (ours).
    """
    weight = targets.labelled.float().unsqueeze(-1)
    middle = (targets.keypoints_px * weight).sum(2) / weight.sum(2).clamp_min(1)
    box = targets.boxes_xyxy_px
    size = torch.maximum(box[..., 2] - box[..., 0], box[..., 3] - box[..., 1]).clamp_min(4.0)
    distance = (centres_px[None, :, None] - middle[:, None]).norm(dim=-1)
    relative = distance / size[:, None]
    octave = torch.log2(size[:, None] / (8 * strides_px[None, :, None])).abs()
    near = (relative < 0.4) | (distance < strides_px[None, :, None])
    return 4 * relative + 1.5 * octave + FORBIDDEN * (~near)


def _matches(
    frames: list[np.ndarray],
    predictions: list[np.ndarray],
    people: list[np.ndarray],
    device: torch.device,
) -> Matches:
    def join(parts: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.concatenate(parts).astype(np.int64)).to(device)

    return Matches(join(frames), join(predictions), join(people))
