"""Denoising queries: labelled poses with noise, which the decoder must mend (training alone).

Contrastive pose denoising after DETRPose (arXiv 2506.13027): a lightly noised pose must come back
to its person, a pose moved far away must be told from one. Groups see themselves alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vepe.losses.matcher import Matches
from vepe.losses.targets import Targets
from vepe.models.spatial_decoder import NoisedPoses


@dataclass(frozen=True)
class NoiseSettings:
    """How noise is made.

    Attributes:
        groups: copies of every person, half of them far away; 0 switches denoising off.
        near: largest standard deviation of near noise, in units of the root of the area.
        far: distance of far copies in the same unit.
    """

    groups: int = 2
    near: float = 0.3
    far: float = 0.8


@dataclass(frozen=True)
class Noised:
    """Noised poses for the decoder, and which of them must come back to whom.

    Attributes:
        poses: what the decoder gets.
        matches: near copies with their people; prediction indices count from 0 among the noised.
        counts: (B, M) True for copies of real people, near or far; the rest is padding.
        near_groups: how many near copies every person has.
    """

    poses: NoisedPoses
    matches: Matches
    counts: Bool[Tensor, "B M"]
    near_groups: int


def make_noised(
    targets: Targets, queries: int, settings: NoiseSettings, keys: Sequence[Sequence[int]]
) -> Noised | None:
    """Noised copies of all labelled people; None where there are none or denoising is off.

    Args:
        queries: number of proposals that stand before the copies in the decoder.
        keys: one for each frame; its noise is a function of its key and nothing else.
    """
    if settings.groups == 0 or not bool(targets.valid.any()):
        return None
    _, people, keypoints, _ = targets.keypoints_px.shape
    unit = targets.areas_px.clamp_min(1.0).sqrt()[..., None, None]
    widths = [2 * keypoints] + [1, 2 * keypoints, 2, 2] * settings.groups
    pieces = iter(_normal(targets.valid, sum(widths), keys).split(widths, dim=-1))

    def normal() -> Float[Tensor, "B P k 2"]:
        return next(pieces).unflatten(-1, (-1, 2))

    start = _filled(targets, normal())
    copies = []
    for group in range(settings.groups):
        spread = settings.near * torch.special.ndtr(next(pieces)).unsqueeze(-1)  # uniform in 0..1
        noise = spread * normal()
        shift = 0.5 * spread * normal()
        direction = normal()
        if group % 2:
            unit_vector = torch.nn.functional.normalize(direction, dim=-1)
            shift = shift + settings.far * unit_vector
        copies.append(start + (noise + shift) * unit)

    frame, person = torch.nonzero(targets.valid, as_tuple=True)
    near = range(0, settings.groups, 2)
    matches = Matches(
        frame.repeat(len(near)),
        torch.cat([person + group * people for group in near]),
        person.repeat(len(near)),
    )
    counts = targets.valid.repeat(1, settings.groups)
    poses = NoisedPoses(torch.cat(copies, dim=1), _group_mask(queries, settings.groups, counts))
    return Noised(poses, matches, counts, len(near))


def _normal(
    valid: Bool[Tensor, "B P"], width: int, keys: Sequence[Sequence[int]]
) -> Float[Tensor, "B P width"]:
    """Normal numbers for every person, drawn person by person: room for more changes nothing."""
    drawn = np.zeros((*valid.shape, width), np.float32)
    slots = (valid.cpu() * torch.arange(1, valid.shape[1] + 1)).amax(dim=1).tolist()
    for row, (count, key) in enumerate(zip(slots, keys, strict=True)):
        drawn[row, :count] = np.random.default_rng(key).standard_normal((count, width))
    return torch.from_numpy(drawn).to(valid.device)


def _filled(targets: Targets, noise: Tensor) -> Tensor:
    """Labelled keypoints; unlabelled ones somewhere in the person's box, for they need a place."""
    box = targets.boxes_xyxy_px.unsqueeze(2)
    middle, half = (box[..., :2] + box[..., 2:]) / 2, (box[..., 2:] - box[..., :2]) / 2
    somewhere = middle + 0.5 * half * noise.clamp(-2, 2)
    return torch.where(targets.labelled.unsqueeze(-1), targets.keypoints_px, somewhere)


def _group_mask(queries: int, groups: int, real: Bool[Tensor, "B M"]) -> Bool[Tensor, "B Q Q"]:
    """Proposals see proposals, each group itself; nobody sees padding, but for itself."""
    device = real.device
    group: Int[Tensor, "Q"] = torch.cat(
        [
            torch.full((queries,), -1, device=device),
            torch.arange(groups, device=device).repeat_interleave(real.shape[1] // groups),
        ]
    )
    seen = torch.cat([real.new_ones(len(real), queries), real], dim=1)
    itself = torch.eye(len(group), dtype=torch.bool, device=device)
    return ((group[:, None] == group[None, :]) & seen[:, None, :]) | itself
