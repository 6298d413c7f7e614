"""Appearance separates people by colour; identity associates people of two frames."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from tiny_networks import lively_model
from vepe.models.decoder_layer import PoseOutput
from vepe.models.instance_consistency import Appearance, InstanceConsistency

SIZE = torch.tensor([64.0, 64.0])


def appearance_of_three(confidence: float = 1.0) -> torch.Tensor:
    """Three people of four keypoints on a map that is red on the left and blue on the right."""
    torch.manual_seed(0)
    part = Appearance(3, 4, 8, 16)
    torch.nn.init.normal_(part.join.weight)
    features = torch.zeros(1, 3, 16, 16)
    features[:, 0, :, :8] = 1
    features[:, 2, :, 8:] = 1
    body = torch.tensor([[0.0, 0.0], [6.0, 0.0], [0.0, 20.0], [6.0, 20.0]])
    people = torch.stack([body + torch.tensor([x, 20.0]) for x in (6.0, 10.0, 48.0)])[None]
    return part(features, people, torch.full((1, 3, 4), confidence), SIZE)[0]


def test_same_colours_give_the_same_appearance_and_others_differ() -> None:
    red, also_red, blue = appearance_of_three()
    torch.testing.assert_close(red, also_red)
    assert F.cosine_similarity(red, blue, dim=0) < 0.9


def test_smoothing_is_the_mean_of_the_neighbours_in_the_map() -> None:
    torch.manual_seed(0)
    features = torch.rand(2, 3, 5, 4)
    mean = F.avg_pool2d(features, 3, stride=1, padding=1, count_include_pad=False)
    torch.testing.assert_close(Appearance(3, 4, 8, 16).neighbourhood_mean(features), mean)


def test_keypoints_without_confidence_add_nothing() -> None:
    assert appearance_of_three(confidence=0.0).abs().max() == 0


def test_weights_without_appearance_work_unchanged() -> None:
    torch.manual_seed(5)
    images, times = torch.rand(1, 2, 3, 64, 96), torch.tensor([[0.0, 0.1]])
    plain = lively_model(consistency={"dim": 16})
    extended = lively_model(consistency={"dim": 16, "appearance": 4})
    extended.load_state_dict(plain.state_dict(), strict=False)
    torch.nn.init.zeros_(extended.appearance.join.weight)
    with torch.inference_mode():
        torch.testing.assert_close(
            plain(images, times)[-1].identity, extended(images, times)[-1].identity
        )
        torch.nn.init.normal_(extended.appearance.join.weight)
        changed = extended(images, times)[-1].identity
    assert (changed - plain(images, times)[-1].identity).abs().max() > 1e-3


BODY = torch.tensor([[0.0, 0.0], [40.0, 0.0], [0.0, 100.0], [40.0, 100.0]])


def poses(x: list[float], people: list[int], scores: list[float] | None = None) -> PoseOutput:
    """People with their left at `x`; who they are gives the embedding."""
    keypoints = torch.stack([BODY + torch.tensor([at, 0.0]) for at in x])[None]
    logits = torch.tensor([scores or [2.0] * len(x)])
    return PoseOutput(
        logits, keypoints, torch.full((1, len(x), 4), 2.0), torch.eye(4)[None, people]
    )


@pytest.mark.parametrize(
    ("other", "matched"),
    [
        (poses([300.0, 0.0], [1, 0]), [1, 0]),  # by overlap and identity
        (poses([300.0, 0.0], [3, 3]), [1, 0]),  # by overlap alone
        (poses([0.0, 0.0, 300.0], [2, 0, 1]), [1, 2]),  # identity decides between equal places
        (poses([0.0, 0.0, 300.0], [0, 0, 1], [-9.0, 2.0, 2.0]), [1, 2]),  # a query without person
    ],
)
def test_people_are_associated_by_overlap_identity_and_score(
    other: PoseOutput, matched: list[int]
) -> None:
    key = poses([0.0, 300.0], [0, 1])
    association, match_confidence = InstanceConsistency().associate(key, other, other.keypoints_px)
    assert association.argmax(dim=-1)[0].tolist() == matched
    torch.testing.assert_close(association.sum(dim=-1), torch.ones(1, 2))
    assert (match_confidence > 0.99).all()


def test_matching_is_one_to_one_and_needs_overlap() -> None:
    key, other = poses([0.0, 10.0, 500.0], [0, 1, 2]), poses([0.0, 800.0], [0, 2])
    _, match_confidence = InstanceConsistency().associate(key, other, other.keypoints_px)
    assert match_confidence[0, 0] > 0.99
    assert match_confidence[0, 1:].tolist() == [0, 0]


@pytest.mark.parametrize("best", [0, 1])
def test_of_duplicates_the_one_with_the_highest_score_is_matched(best: int) -> None:
    """Although the other's place fits a little better."""
    scores = [-1.0, -1.0]
    scores[best] = 1.0
    key = poses([0.0, 2.0], [0, 0], scores)
    other = poses([2.0 - 2.0 * best, 300.0], [0, 1])
    _, match_confidence = InstanceConsistency().associate(key, other, other.keypoints_px)
    assert (match_confidence[0] > 0.9).tolist() == [best == 0, best == 1]


def test_uniform_matching_ignores_identity() -> None:
    """The score-weighted mean of all people, which overlaps only with people near it."""
    key, other = poses([0.0, 300.0], [0, 1]), poses([0.0, 300.0], [1, 0], [2.0, -9.0])
    association, match_confidence = InstanceConsistency("uniform").associate(
        key, other, other.keypoints_px
    )
    torch.testing.assert_close(association[:, 0], association[:, 1])
    assert association[0, 0, 0] > 0.99
    assert match_confidence[0, 0] > 0.99
    assert match_confidence[0, 1] == 0
