"""Appearance: colours along the body tell people apart, and unsure keypoints say nothing."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from tiny_networks import lively_model

from vepe.models.instance_consistency import Appearance

SIZE = torch.tensor([64.0, 64.0])


def described(confidence: float = 1.0) -> torch.Tensor:
    """Three people of four keypoints before a map that is red on the left, blue on the right."""
    torch.manual_seed(0)
    part = Appearance(3, 4, 8, 16)
    torch.nn.init.normal_(part.join.weight)
    level = torch.zeros(1, 3, 16, 16)
    level[:, 0, :, :8] = 1
    level[:, 2, :, 8:] = 1
    body = torch.tensor([[0.0, 0.0], [6.0, 0.0], [0.0, 20.0], [6.0, 20.0]])
    people = torch.stack([body + torch.tensor([x, 20.0]) for x in (6.0, 10.0, 48.0)])[None]
    return part(level, people, torch.full((1, 3, 4), confidence), SIZE)[0]


def test_same_clothes_are_alike_and_others_are_not() -> None:
    left, beside, right = described()
    torch.testing.assert_close(left, beside)
    assert F.cosine_similarity(left, right, dim=0) < 0.9


def test_keypoints_nobody_is_sure_of_say_nothing() -> None:
    assert described(confidence=0.0).abs().max() == 0


def test_weights_without_it_go_on_as_they_are() -> None:
    torch.manual_seed(5)
    images, times = torch.rand(1, 2, 3, 64, 96), torch.tensor([[0.0, 0.1]])
    plain = lively_model(consistency={"dim": 16})
    with_looks = lively_model(consistency={"dim": 16, "appearance": 4})
    with_looks.load_state_dict(plain.state_dict(), strict=False)
    torch.nn.init.zeros_(with_looks.appearance.join.weight)
    with torch.inference_mode():
        torch.testing.assert_close(
            plain(images, times)[-1].identity, with_looks(images, times)[-1].identity
        )
        torch.nn.init.normal_(with_looks.appearance.join.weight)
        changed = with_looks(images, times)[-1].identity
    assert (changed - plain(images, times)[-1].identity).abs().max() > 1e-3
