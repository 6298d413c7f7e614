"""Identity losses: anchors, independence of clips, and embeddings that separate people."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from vepe.losses.identity import identity_losses


def unit(*rows: list[float]) -> torch.Tensor:
    return F.normalize(torch.tensor(rows), dim=-1)


@pytest.mark.parametrize(
    ("embeddings", "ids", "frames", "anchors"),
    [
        (unit([1.0, 0], [1, 0], [0, 1], [0, 1]), [0, 0, 1, 1], [0, 1, 0, 1], 4),
        (unit([1.0, 0], [1, 0]), [0, 0], [0, 0], 0),  # one frame: no positives
        (unit([1.0, 0], [1, 0], [0, 1]), [-1, -1, 3], [0, 1, 0], 0),  # unknown tracks
    ],
)
def test_anchors_are_people_seen_in_several_frames(
    embeddings: torch.Tensor, ids: list[int], frames: list[int], anchors: int
) -> None:
    contrastive, cosine, count = identity_losses(
        embeddings, torch.tensor(ids), torch.tensor(frames), torch.tensor(0.1)
    )
    assert count == anchors
    assert contrastive < 0.01
    assert cosine < 0.01


def test_other_clips_of_the_batch_change_nothing() -> None:
    """Neither the negatives of a clip's people, nor the sum of their losses."""
    torch.manual_seed(1)
    e = F.normalize(torch.randn(8, 4), dim=-1)
    ids, frames = torch.tensor([0, 1, 0, 1, 7, 8, 7, 8]), torch.tensor([0, 0, 2, 2, 1, 1, 3, 3])
    temperature = torch.tensor(0.1)
    both = identity_losses(e, ids, frames, temperature, frames % 2)
    alone = [identity_losses(e[r], ids[r], frames[r], temperature) for r in (slice(4), slice(4, 8))]
    for batch, first, second in zip(both, *alone, strict=True):
        assert float(batch) == pytest.approx(float(first + second), rel=1e-5)


def test_descent_separates_people() -> None:
    torch.manual_seed(0)
    raw = torch.randn(6, 8, requires_grad=True)
    ids, frames = torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([0, 0, 0, 1, 1, 1])
    optimiser = torch.optim.Adam([raw], 0.1)
    for _ in range(150):
        e = F.normalize(raw, dim=-1)
        contrastive, cosine, _ = identity_losses(e, ids, frames, torch.tensor(0.1))
        optimiser.zero_grad()
        (contrastive + cosine).backward()
        optimiser.step()
    e = F.normalize(raw, dim=-1).detach()
    similarity = e[:3] @ e[3:].T
    assert (similarity.argmax(dim=1) == torch.arange(3)).all()
    assert similarity.diag().min() > 0.9
    assert (similarity - torch.diag(similarity.diag())).max() < 0.3
