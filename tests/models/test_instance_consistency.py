"""Appearance separates people by colour; identity associates people of two frames."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from tiny_networks import lively_model

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


def test_people_are_associated_by_identity_and_background_is_left_out() -> None:
    key = torch.eye(4)[None, :2]
    other = torch.eye(4)[None, [1, 0, 2, 0]]  # the last one looks like person 0 but has no score
    scores = torch.tensor([[0.9, 0.9, 0.9, 1e-5]])
    association, match_confidence = InstanceConsistency()(key, other, scores)
    assert association.argmax(dim=-1).tolist() == [[1, 0]]
    assert association[0, 0, 3] < 1e-3
    torch.testing.assert_close(association.sum(dim=-1), torch.ones(1, 2))
    assert (match_confidence > 0.5).all()


def test_a_person_without_a_match_has_low_confidence() -> None:
    key, other = torch.eye(4)[None, :2], torch.eye(4)[None, 1:3]
    _, match_confidence = InstanceConsistency()(key, other, torch.full((1, 2), 0.9))
    assert match_confidence[0, 1] > 0.9
    assert match_confidence[0, 0] < 0.8 * match_confidence[0, 1]


def test_uniform_matching_ignores_identity() -> None:
    consistency = InstanceConsistency("uniform")
    scores = torch.tensor([[0.6, 0.2]])
    association, match_confidence = consistency(
        torch.eye(4)[None, :2], torch.eye(4)[None, :2], scores
    )
    torch.testing.assert_close(association, torch.tensor([[[0.75, 0.25], [0.75, 0.25]]]))
    assert (match_confidence == 1).all()
