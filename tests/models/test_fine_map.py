"""The fine map: it sharpens the search, starts without a say, and holds nothing in the padding."""

from __future__ import annotations

import pytest
import torch
from tiny_networks import lively_model, tiny_config

from vepe.errors import VepeError
from vepe.models.build import build_model


def picture() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.rand(1, 3, 64, 96)


def test_it_has_half_the_finest_stride() -> None:
    memory = lively_model(fine=8).encode_frame(picture()).memory
    assert memory.fine.shape == (1, 8, 16, 24)
    assert memory.maps[0].shape[-2:] == (8, 12)
    assert memory[0:1].fine.shape == memory.with_maps(memory.maps).fine.shape


def test_a_new_one_has_no_say_and_a_trained_one_has() -> None:
    """So that weights from before it can go on training with it."""
    model = lively_model(fine=8)
    fine = [layer.search.to_fine for layer in model.spatial_decoder.layers]
    answers = []
    with torch.inference_mode():
        answers.append(model.encode_frame(picture()).queries.points_px)
        for conv in fine:
            conv.weight.zero_()
        answers.append(model.encode_frame(picture()).queries.points_px)
        for parameter in model.fine_map.parameters():
            parameter.add_(1.0)
        answers.append(model.encode_frame(picture()).queries.points_px)
    assert (answers[0] - answers[1]).abs().max() > 1e-3
    assert torch.equal(answers[1], answers[2])
    fresh = build_model(tiny_config(fine=8))
    assert not any(layer.search.to_fine.weight.any() for layer in fresh.pose_decoder.layers)


def test_keys_in_the_padding_are_nothing() -> None:
    model = lively_model(fine=8)
    padding = torch.zeros(1, 64, 96, dtype=torch.bool)
    padding[..., 64:] = True
    memory = model.encode_frame(picture(), padding).memory
    keys = memory.projected_fine(model.pose_decoder.layers[0].search.to_fine)
    assert keys[..., :16].any()
    assert not keys[..., 16:].any()


def test_a_memory_without_one_cannot_be_asked() -> None:
    memory = lively_model().encode_frame(picture()).memory
    with pytest.raises(ValueError, match="no fine map"):
        memory.projected_fine(torch.nn.Identity())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "vit_tiny_patch16_224"}, "no map at stride 4"),
        ({"fine": 12}, "multiple of 8"),
        ({"keypoint_search": False}, "keypoint_search"),
    ],
)
def test_what_it_needs(changes: dict, message: str) -> None:
    with pytest.raises(VepeError, match=message):
        build_model(tiny_config(**{"fine": 8, **changes}))
