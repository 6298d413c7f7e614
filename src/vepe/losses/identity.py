"""Identity losses over frames: one person's embeddings agree, different people's differ.

Contrastive and cosine losses as in IDOL (arXiv 2207.10661), on Hungarian matches: labelled people
with the same track are positives, all others of the same clip are negatives. People of other clips
are no negatives: two clips of one video may show the same person, and the loss of a clip must not
depend on what else is in the batch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float, Int
from torch import Tensor


def identity_losses(
    embeddings: Float[Tensor, "M D"],
    track_ids: Int[Tensor, "M"],
    frames: Int[Tensor, "M"],
    temperature: Float[Tensor, ""],
    clips: Int[Tensor, "M"] | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""], int]:
    """Contrastive and cosine loss of matched people.

    Args:
        embeddings: unit embeddings.
        track_ids: identities, unique over the batch; people with -1 are left out.
        frames: frame of each person; positives come from other frames only.
        temperature: divisor of the cosines in the contrastive loss (learnt).
        clips: clip of each person; None: all are of one clip.

    Returns:
        the sums of both losses over the anchors (people with a positive), and their number.
    """
    known = track_ids >= 0
    embeddings, track_ids, frames = embeddings[known], track_ids[known], frames[known]
    same = track_ids[:, None] == track_ids[None, :]  # (M, M)
    positive = same & (frames[:, None] != frames[None, :])
    anchors = positive.any(dim=1)  # (M,)
    num_anchors = int(anchors.sum())
    if num_anchors == 0:
        zero = embeddings.sum() * 0 + temperature * 0  # keeps every parameter in the graph
        return zero, zero, 0
    negative = ~same
    if clips is not None:
        negative &= clips[known][:, None] == clips[known][None, :]
    cosine = embeddings @ embeddings.T  # (M, M)
    logits = cosine / temperature
    # Each positive against all negatives: other positives must not push it down.
    against = torch.logsumexp(logits.masked_fill(~negative, -1e4), dim=1, keepdim=True)  # (M, 1)
    per_pair = F.softplus(against - logits)
    contrastive = (per_pair * positive).sum(1) / positive.sum(1).clamp_min(1)
    pull = ((1 - cosine).square() * positive).sum(1) / positive.sum(1).clamp_min(1)
    push = (cosine.clamp_min(0).square() * negative).sum(1) / negative.sum(1).clamp_min(1)
    return contrastive[anchors].sum(), (pull + push)[anchors].sum(), num_anchors
