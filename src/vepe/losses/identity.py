"""Identity losses over frames: consistency of one person, discrepancy of different people.

Contrastive and cosine losses as IDOL weighs them (arXiv 2207.10661), on Hungarian matches: every
labelled person with a track gives clean positives, all others of the same clip are negatives. Other
clips give none: two clips of one video may show the same person, and the loss of a clip must not
depend on what else is in the batch.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def identity_losses(
    embeddings: Float[Tensor, "M D"],
    track_ids: Int[Tensor, "M"],
    frames: Int[Tensor, "M"],
    temperature: Float[Tensor, ""],
    clips: Int[Tensor, "M"] | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""], int]:
    """Sums of the contrastive and of the cosine loss, and the number of anchors they are over.

    Args:
        embeddings: unit embeddings of matched people.
        track_ids: their identities, unique over the batch; -1 is left out.
        frames: in which frame each was seen; positives come from other frames alone.
        temperature: divides the cosines of the contrastive loss (learnt).
        clips: in which clip each was seen; None where there is one.
    """
    known = track_ids >= 0
    embeddings, track_ids, frames = embeddings[known], track_ids[known], frames[known]
    same = track_ids[:, None] == track_ids[None, :]
    positive = same & (frames[:, None] != frames[None, :])
    anchors = positive.any(dim=1)
    count = int(anchors.sum())
    if count == 0:
        zero = embeddings.sum() * 0 + temperature * 0
        return zero, zero, 0
    different = ~same
    if clips is not None:
        different &= clips[known][:, None] == clips[known][None, :]
    cosine = embeddings @ embeddings.T
    logits = cosine / temperature
    # Each positive against all negatives: other positives must not push it down.
    negative = torch.logsumexp(logits.masked_fill(~different, -1e4), dim=1, keepdim=True)
    each = torch.nn.functional.softplus(negative - logits)
    contrastive = (each * positive).sum(1) / positive.sum(1).clamp_min(1)
    pulled = ((1 - cosine).square() * positive).sum(1) / positive.sum(1).clamp_min(1)
    pushed = (cosine.clamp_min(0).square() * different).sum(1) / different.sum(1).clamp_min(1)
    return contrastive[anchors].sum(), (pulled + pushed)[anchors].sum(), count
