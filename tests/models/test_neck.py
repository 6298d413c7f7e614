"""High-resolution features: they sharpen the refinement, start without effect, respect padding."""

from __future__ import annotations

import pytest
import torch

from tiny_networks import encoded_memory, lively_model, tiny_config
from vepe.errors import VepeError
from vepe.models.build import build_model


def random_image() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.rand(1, 3, 64, 96)


def test_high_resolution_features_have_half_the_finest_stride() -> None:
    memory = encoded_memory(lively_model(high_resolution_dim=8), random_image())
    assert memory.high_resolution.shape == (1, 8, 16, 24)
    assert memory.maps[0].shape[-2:] == (8, 12)
    same_size = memory.with_maps(memory.maps)
    assert memory[0:1].high_resolution.shape == same_size.high_resolution.shape


def test_new_features_change_nothing_and_trained_ones_do() -> None:
    """So that weights from before they existed can be trained further with them."""
    model = lively_model(high_resolution_dim=8)
    projections = [layer.search.to_fine for layer in model.spatial_decoder.layers]
    outputs = []
    with torch.inference_mode():
        outputs.append(model.encode_frame(random_image())[1].layers[-1].keypoints_px)
        for projection in projections:
            projection.weight.zero_()
        outputs.append(model.encode_frame(random_image())[1].layers[-1].keypoints_px)
        for parameter in model.fine_map.parameters():
            parameter.add_(1.0)
        outputs.append(model.encode_frame(random_image())[1].layers[-1].keypoints_px)
    assert (outputs[0] - outputs[1]).abs().max() > 1e-3
    assert torch.equal(outputs[1], outputs[2])
    fresh = build_model(tiny_config(high_resolution_dim=8))
    assert not any(layer.search.to_fine.weight.any() for layer in fresh.pose_decoder.layers)


def test_keys_are_zero_in_the_padding() -> None:
    model = lively_model(high_resolution_dim=8)
    padding = torch.zeros(1, 64, 96, dtype=torch.bool)
    padding[..., 64:] = True
    memory = encoded_memory(model, random_image(), padding)
    keys = memory.projected_high_resolution(model.pose_decoder.layers[0].search.to_fine)
    assert keys[..., :16].any()
    assert not keys[..., 16:].any()


def test_a_memory_without_high_resolution_features_raises() -> None:
    memory = encoded_memory(lively_model(), random_image())
    with pytest.raises(ValueError, match="no high-resolution features"):
        memory.projected_high_resolution(torch.nn.Identity())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "vit_tiny_patch16_224"}, "no map at stride 4"),
        ({"high_resolution_dim": 12}, "multiple of 8"),
        ({"keypoint_search": False}, "keypoint_search"),
    ],
)
def test_configs_that_cannot_have_high_resolution_features(changes: dict, message: str) -> None:
    with pytest.raises(VepeError, match=message):
        build_model(tiny_config(**{"high_resolution_dim": 8, **changes}))
