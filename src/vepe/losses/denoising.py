"""Denoising queries: labelled poses with noise that the decoder has to recover (training only).

Contrastive denoising of poses as in DETRPose (arXiv 2506.13027): positive copies carry little noise
and have to return to their person, negative ones are moved far away and have to be rejected. Copies
come in groups; queries attend to their own group only.

Dimensions: B batch, P labelled people, G groups, M = G * P copies, N proposals, K keypoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vepe.losses.matcher import Matches
from vepe.losses.targets import Targets
from vepe.models.spatial_decoder import DenoisingQueries


@dataclass(frozen=True)
class DenoisingSettings:
    """The noise.

    Attributes:
        groups: copies of every person, every second one negative; 0 switches denoising off.
        max_noise: largest standard deviation of the noise, in units of the root of the area.
        negative_shift: distance by which negative copies are moved, in the same unit.
    """

    groups: int = 2
    max_noise: float = 0.3
    negative_shift: float = 0.8


@dataclass(frozen=True)
class DenoisingGroups:
    """Denoising queries and their targets.

    Attributes:
        queries: input of the decoder.
        matches: positive copies with their people; predictions count from 0 among the M copies.
        valid: (B, M) False for copies of padding.
        num_positive: number of positive groups.
    """

    queries: DenoisingQueries
    matches: Matches
    valid: Bool[Tensor, "B M"]
    num_positive: int


def make_denoising(
    targets: Targets,
    num_proposals: int,
    settings: DenoisingSettings,
    seeds: Sequence[Sequence[int]],
) -> DenoisingGroups | None:
    """Noised copies of all labelled people; None without people, or if denoising is off.

    Args:
        targets: the labelled people.
        num_proposals: N, the queries before the copies in the decoder.
        settings: the noise.
        seeds: one per frame; the noise of a frame depends on its seed only.
    """
    if settings.groups == 0 or not bool(targets.valid.any()):
        return None
    _, people, keypoints, _ = targets.keypoints_px.shape
    unit = targets.areas_px.clamp_min(1.0).sqrt()[..., None, None]  # (B, P, 1, 1)
    # Per person: the unlabelled keypoints, then spread, noise, shift and direction of each group.
    widths = [2 * keypoints] + [1, 2 * keypoints, 2, 2] * settings.groups
    draws = iter(_normal(targets.valid, sum(widths), seeds).split(widths, dim=-1))

    def draw_points() -> Float[Tensor, "B P k 2"]:
        return next(draws).unflatten(-1, (-1, 2))

    poses = _fill_unlabelled(targets, draw_points())  # (B, P, K, 2)
    copies = []
    for group in range(settings.groups):
        # The normal distribution function makes the spread uniform in 0..max_noise.
        spread = settings.max_noise * torch.special.ndtr(next(draws)).unsqueeze(-1)  # (B, P, 1, 1)
        noise = spread * draw_points()  # (B, P, K, 2)
        shift = 0.5 * spread * draw_points()  # (B, P, 1, 2)
        direction = draw_points()  # (B, P, 1, 2)
        if group % 2:
            shift = shift + settings.negative_shift * F.normalize(direction, dim=-1)
        copies.append(poses + (noise + shift) * unit)

    frame, person = torch.nonzero(targets.valid, as_tuple=True)
    positive = range(0, settings.groups, 2)
    matches = Matches(
        frame.repeat(len(positive)),
        torch.cat([person + group * people for group in positive]),
        person.repeat(len(positive)),
    )
    valid = targets.valid.repeat(1, settings.groups)  # (B, M)
    mask = _group_mask(num_proposals, settings.groups, valid)
    queries = DenoisingQueries(torch.cat(copies, dim=1), mask)
    return DenoisingGroups(queries, matches, valid, len(positive))


def _normal(
    valid: Bool[Tensor, "B P"], width: int, seeds: Sequence[Sequence[int]]
) -> Float[Tensor, "B P width"]:
    """Normal numbers, drawn person by person, so that more padding does not change them."""
    drawn = np.zeros((*valid.shape, width), np.float32)
    counts = (valid.cpu() * torch.arange(1, valid.shape[1] + 1)).amax(dim=1).tolist()
    for row, (count, seed) in enumerate(zip(counts, seeds, strict=True)):
        drawn[row, :count] = np.random.default_rng(seed).standard_normal((count, width))
    return torch.from_numpy(drawn).to(valid.device)


def _fill_unlabelled(targets: Targets, noise: Float[Tensor, "B P K 2"]) -> Float[Tensor, "B P K 2"]:
    """The labelled keypoints, with random points of the person's box for the unlabelled ones."""
    box = targets.boxes_xyxy_px.unsqueeze(2)  # (B, P, 1, 4)
    centre, half = (box[..., :2] + box[..., 2:]) / 2, (box[..., 2:] - box[..., :2]) / 2
    random = centre + 0.5 * half * noise.clamp(-2, 2)
    return torch.where(targets.labelled.unsqueeze(-1), targets.keypoints_px, random)


def _group_mask(
    num_proposals: int, groups: int, valid: Bool[Tensor, "B M"]
) -> Bool[Tensor, "B N+M N+M"]:
    """Which query may attend to which: proposals to proposals, copies to valid ones of their group.

    Every query attends to itself, so that no row is empty.
    """
    device = valid.device
    group: Int[Tensor, "N+M"] = torch.cat(
        [
            torch.full((num_proposals,), -1, device=device),
            torch.arange(groups, device=device).repeat_interleave(valid.shape[1] // groups),
        ]
    )
    visible = torch.cat([valid.new_ones(len(valid), num_proposals), valid], dim=1)  # (B, N+M)
    itself = torch.eye(len(group), dtype=torch.bool, device=device)
    return ((group[:, None] == group[None, :]) & visible[:, None, :]) | itself
