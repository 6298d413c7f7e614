"""Carried people: whom a neighbouring frame shows and the key frame's own proposals miss (ours).

Every frame proposes people on its own, and the temporal parts refine what was proposed. Somebody
who is blurred or covered for a moment would be lost to them: so the window's nearest frame lends
the queries of those people for whom the key frame has no query, moved along their way. They go
through the same encoder and decoder as the others, which see in the key frame's memory whether
somebody is there. Track queries (TrackFormer, MOTR) do so from output to output, without end;
here they come from the window alone, so that the state stays bounded and free of feedback.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vepe.models.decoder_layer import person_size_px
from vepe.models.instance_consistency import InstanceConsistency
from vepe.models.pose_encoder import FrameQueries

SAME_PLACE = 0.2
"""Mean distance of keypoints, in units of the person's size, at which two poses are one person's
with a weight of 1/e."""
FARTHEST = 0.5
"""Longest way, in units of the person's size, that somebody is moved."""


class CarriedPeople(nn.Module):
    """Chooses `count` people of a neighbouring frame and adds them to the key frame's queries.

    Args:
        dim: channels C.
        count: how many are lent, M.
    """

    def __init__(self, dim: int, count: int) -> None:
        super().__init__()
        self.count = count
        # Tells the later parts that a query is lent; untrained it says nothing.
        self.lent = nn.Parameter(torch.zeros(dim))

    def forward(
        self,
        window: list[FrameQueries],
        key: int,
        delta_s: Float[Tensor, "B T"],
        consistency: InstanceConsistency,
    ) -> FrameQueries:
        """The key frame's N queries and, behind them, M lent ones (none in a window of one).

        Args:
            window: queries of all frames, the key frame at index `key`.
            delta_s: seconds from the key frame to each frame.
            consistency: gives the soft association of two frames.
        """
        own = window[key]
        if len(window) == 1:
            return own
        # The past side first; at a window's start the future side, where there is one.
        side = -1 if key else 1
        near, far = key + side, key + 2 * side
        lender = window[near]
        points = lender.points_px
        if 0 <= far < len(window) and consistency.matching == "identity":
            ahead = _way(window, near, far, delta_s, consistency)
            points = points + ahead[:, :, None]
        rows = _missed(own, lender, points, min(self.count, lender.scores.shape[1]))
        return FrameQueries(
            torch.cat([own.queries, _rows(lender.queries, rows) + self.lent], dim=1),
            torch.cat([own.points_px, _rows(points, rows)], dim=1),
            torch.cat([own.identity, _rows(lender.identity, rows)], dim=1),
            torch.cat([own.scores, _rows(lender.scores, rows)], dim=1),
        )


@torch.no_grad()
def _way(
    window: list[FrameQueries],
    near: int,
    far: int,
    delta_s: Float[Tensor, "B T"],
    consistency: InstanceConsistency,
) -> Float[Tensor, "B N 2"]:
    """How far the people of frame `near` will have moved in the key frame, judged by frame `far`.

    The steady velocity between the two, as much of it as their association is certain.
    """
    here, there = window[near], window[far]
    shares, sure = consistency(here.identity, there.identity, there.scores)
    before = shares.float() @ there.points_px[:, :, 0]
    moved = here.points_px[:, :, 0] - before
    time = (-delta_s[:, near] / (delta_s[:, near] - delta_s[:, far])).clamp(0, 2)
    way = moved * (sure * time[:, None]).unsqueeze(-1)
    most = FARTHEST * person_size_px(here.points_px[:, :, 1:]).unsqueeze(-1)
    # Somebody who seems to have jumped is somebody else: he is not moved at all.
    return torch.where(way.norm(dim=-1, keepdim=True) <= most, way, 0)


@torch.no_grad()
def _missed(
    own: FrameQueries, lender: FrameQueries, points_px: Float[Tensor, "B N J 2"], count: int
) -> Int[Tensor, "B M"]:
    """Rows of the lender's people that are most surely somebody whom the key frame has no query of.

    What counts is their score less that of the key frame's best query in the same place.
    """
    poses = points_px[:, :, 1:]
    distance = (poses.unsqueeze(2) - own.points_px[:, None, :, 1:]).norm(dim=-1).mean(dim=-1)
    relative = distance / (SAME_PLACE * person_size_px(poses)).unsqueeze(-1)
    there = ((-relative.square()).exp() * own.scores.unsqueeze(1)).amax(dim=-1)
    return (lender.scores - there).topk(count, dim=1).indices


def _rows(values: Float[Tensor, "B N ..."], rows: Int[Tensor, "B M"]) -> Float[Tensor, "B M ..."]:
    """Some rows of each frame's people."""
    index = rows.view(*rows.shape, *[1] * (values.dim() - 2)).expand(-1, -1, *values.shape[2:])
    return values.gather(1, index)
