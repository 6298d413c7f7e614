"""Proposals: the best cells outside the padding; all cells on request, whatever the mode."""

from __future__ import annotations

import torch

from tiny_networks import lively_model
from vepe.models.memory import Memory
from vepe.models.proposals import ProposalHead


def random_memory() -> Memory:
    torch.manual_seed(2)
    return Memory([torch.rand(2, 16, 4, 6), torch.rand(2, 16, 2, 3)], None, (8, 16))


def test_proposals_never_lie_in_the_padding() -> None:
    model = lively_model()
    torch.manual_seed(1)
    padding = torch.zeros(1, 64, 96, dtype=torch.bool)
    padding[..., 48:] = True
    with torch.inference_mode():
        _, output = model.encode_frame(torch.rand(1, 3, 64, 96), padding, all_cells=True)
    proposals = output.proposals
    chosen = proposals.cells.centres_px[proposals.index[0]]
    real = proposals.score_logits[0] > -1e3
    assert real.any()
    assert (chosen[real][:, 0] < 48).all()


def test_proposals_are_the_best_cells() -> None:
    head, memory = ProposalHead(16, 5, 4), random_memory()
    torch.nn.init.normal_(head.score.weight)
    proposals = head(memory, all_cells=True)
    for b in range(2):
        best = proposals.cells.score_logits[b].argsort(descending=True)[:4]
        assert proposals.index[b].tolist() == best.tolist()
        torch.testing.assert_close(proposals.keypoints_px[b], proposals.cells.keypoints_px[b, best])


def test_the_mode_changes_nothing() -> None:
    """A frozen head in evaluation mode still serves the losses; training mode adds no work."""
    head, memory = ProposalHead(16, 5, 4), random_memory()
    outputs = []
    for training in (True, False):
        head.train(training)
        assert head(memory).cells is None
        outputs.append(head(memory, all_cells=True))
        torch.testing.assert_close(head(memory).keypoints_px, outputs[-1].keypoints_px)
    first, second = outputs
    assert torch.equal(first.keypoints_px, second.keypoints_px)
    assert torch.equal(first.cells.dense_score_logits, second.cells.dense_score_logits)


def test_few_cells_give_few_proposals() -> None:
    assert ProposalHead(16, 5, 100)(random_memory()).score_logits.shape == (2, 30)
