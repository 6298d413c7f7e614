"""Denoising queries: labelled poses with noise, which the decoder must mend (training alone).

Contrastive pose denoising after DETRPose (arXiv 2506.13027): a lightly noised pose must come back
to its person, a pose moved far away must be told from one. Groups see themselves alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
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
    targets: Targets, queries: int, settings: NoiseSettings, generator: torch.Generator | None
) -> Noised | None:
    """Noised copies of all labelled people; None where there are none or denoising is off.

    Args:
        queries: number of proposals that stand before the copies in the decoder.
    """
    if settings.groups == 0 or not bool(targets.valid.any()):
        return None
    batch, people, keypoints, _ = targets.keypoints_px.shape
    unit = targets.areas_px.clamp_min(1.0).sqrt()[..., None, None]

    def normal(*shape: int) -> Tensor:
        noise = torch.randn(shape, generator=generator)
        return noise.to(targets.keypoints_px.device)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator).to(targets.keypoints_px.device)

    start = _filled(targets, normal(batch, people, keypoints, 2))
    copies = []
    for group in range(settings.groups):
        spread = settings.near * uniform(batch, people, 1, 1)
        noise = spread * normal(batch, people, keypoints, 2)
        shift = 0.5 * spread * normal(batch, people, 1, 2)
        if group % 2:
            direction = normal(batch, people, 1, 2)
            shift = shift + settings.far * direction / direction.norm(dim=-1, keepdim=True)
        copies.append(start + (noise + shift) * unit)

    frame, person = torch.nonzero(targets.valid, as_tuple=True)
    near = range(0, settings.groups, 2)
    matches = Matches(
        frame.repeat(len(near)),
        torch.cat([person + group * people for group in near]),
        person.repeat(len(near)),
    )
    mask = _group_mask(queries, settings.groups, people, targets.valid.device)
    poses = NoisedPoses(torch.cat(copies, dim=1), mask)
    return Noised(poses, matches, targets.valid.repeat(1, settings.groups), len(near))


def _filled(targets: Targets, noise: Tensor) -> Tensor:
    """Labelled keypoints; unlabelled ones somewhere in the person's box, for they need a place."""
    box = targets.boxes_xyxy_px.unsqueeze(2)
    middle, half = (box[..., :2] + box[..., 2:]) / 2, (box[..., 2:] - box[..., :2]) / 2
    somewhere = middle + 0.5 * half * noise.clamp(-2, 2)
    return torch.where(targets.labelled.unsqueeze(-1), targets.keypoints_px, somewhere)


def _group_mask(
    queries: int, groups: int, people: int, device: torch.device
) -> Bool[Tensor, "Q Q"]:
    """Proposals see proposals, each group itself."""
    group: Int[Tensor, "Q"] = torch.cat(
        [
            torch.full((queries,), -1, device=device),
            torch.arange(groups, device=device).repeat_interleave(people),
        ]
    )
    return group[:, None] == group[None, :]
