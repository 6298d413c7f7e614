"""The composed network: switches, presets, skeletons, padding, precision, gradients."""

from __future__ import annotations

import pytest
import torch

from tiny_networks import encoded_memory, lively_model, tiny_config
from vepe.config.load import parse, preset_names, read_yaml
from vepe.config.model import ModelConfig
from vepe.errors import VepeError
from vepe.models.build import build_model
from vepe.models.deformable import sample_map
from vepe.skeleton import COCO17, POSETRACK15, Skeleton


def clip(batch: int = 1, frames: int = 3, height: int = 64, width: int = 96):
    torch.manual_seed(1)
    times = torch.arange(frames, dtype=torch.float64).expand(batch, -1) / 25
    return torch.rand(batch, frames, 3, height, width), times


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({}, []),
        ({"temporal": {"pose_encoder": False}}, ["pose_encoder"]),
        ({"temporal": {"memory_encoder": False}}, ["memory_encoder"]),
        (
            {"temporal": {"pose_encoder": False, "memory_encoder": False}},
            ["pose_encoder", "memory_encoder"],
        ),
        ({"consistency": {"enabled": False}}, []),
        ({"consistency": {"matching": "uniform"}}, []),
        ({"keypoint_search": False}, []),
        ({"spatial_encoder": {"layers": 0}}, []),
        ({"high_resolution_dim": 8}, []),
        ({"consistency": {"dim": 16, "appearance": 4}}, []),
    ],
)
def test_parts_can_be_switched_off_and_the_rest_learns(changes: dict, missing: list[str]) -> None:
    model = lively_model(**changes)
    for part in ("pose_encoder", "memory_encoder"):
        assert (getattr(model, part) is None) == (part in missing)
    images, times = clip()
    output = model.train()(images, times)[-1]
    assert output.keypoints_px.shape == (1, 6, 15, 2)
    loss = output.keypoints_px.sum() + output.score_logits.sum() + output.confidence_logits.sum()
    loss.backward()
    without_gradient = [
        name
        for name, p in model.pose_decoder.named_parameters()
        if p.grad is None or not torch.isfinite(p.grad).all()
    ]
    assert not without_gradient


def test_each_switch_changes_the_output() -> None:
    images, times = clip()
    outputs = []
    for changes in (
        {},
        {"temporal": {"pose_encoder": False}},
        {"temporal": {"memory_encoder": False}},
        {"consistency": {"matching": "uniform"}},
    ):
        model = lively_model()
        other = lively_model(**changes)
        other.load_state_dict(model.state_dict(), strict=False)
        with torch.inference_mode():
            outputs.append(other(images, times)[-1].keypoints_px)
    for a in range(len(outputs)):
        for b in range(a):
            assert (outputs[a] - outputs[b]).abs().max() > 1e-3


@pytest.mark.parametrize("name", preset_names())
def test_presets_build_and_run(name: str) -> None:
    config = parse(ModelConfig, read_yaml(name), name)
    assert config.name == name
    if config.backbone.startswith("swin"):
        with torch.device("meta"):  # 200 million parameters: shapes only
            model = build_model(config)
        assert sum(p.numel() for p in model.parameters()) > 2e7
        return
    model = build_model(config).eval()
    size = max(128, model.stride)
    with torch.inference_mode():
        output = model(*clip(frames=2, height=size, width=size))[-1]
    assert output.keypoints_px.shape == (1, config.queries, 15, 2)
    assert torch.isfinite(output.keypoints_px).all()


def skeleton_of(count: int) -> Skeleton:
    names = tuple(f"point_{i}" for i in range(count))
    return Skeleton("generic", names, (), (), (0.05,) * count)


@pytest.mark.parametrize("skeleton", [skeleton_of(1), skeleton_of(133), COCO17, POSETRACK15])
def test_any_skeleton(skeleton: Skeleton) -> None:
    model = build_model(tiny_config(skeleton=skeleton.to_dict())).eval()
    with torch.inference_mode():
        output = model(*clip())[0]
    assert output.keypoints_px.shape == (1, 6, len(skeleton), 2)
    assert output.confidence_logits.shape == (1, 6, len(skeleton))


@pytest.mark.parametrize(
    "backbone",
    ["resnet10t", "vit_tiny_patch16_224", "swinv2_cr_tiny_224", "convnextv2_atto", "davit_tiny"],
)
def test_families_of_backbones(backbone: str) -> None:
    model = build_model(tiny_config(backbone=backbone)).eval()
    with torch.inference_mode():
        output = model(*clip(frames=1))[0]
    assert torch.isfinite(output.keypoints_px).all()


def test_unknown_backbone_raises_with_a_suggestion() -> None:
    with pytest.raises(VepeError, match="did you mean 'resnet18'"):
        build_model(tiny_config(backbone="resnet_18"))


def test_size_that_is_no_multiple_of_the_stride_raises() -> None:
    with pytest.raises(ValueError, match="stride 32"):
        lively_model()(*clip(height=60))


@pytest.mark.parametrize("height", [32, 64])
@pytest.mark.parametrize("width", [32, 160])
def test_small_and_wide_inputs(height: int, width: int) -> None:
    model = lively_model()
    with torch.inference_mode():
        output = model(*clip(height=height, width=width))[0]
    assert torch.isfinite(output.keypoints_px).all()


def test_bfloat16_stays_near_float32() -> None:
    model = lively_model()
    images, times = clip()
    with torch.inference_mode():
        exact = encoded_memory(model, images[:, 0]).maps[0]
        with torch.autocast("cpu", torch.bfloat16):
            half = model(images, times)[-1]
            sampled = sample_map(
                torch.ones(1, 1, 4, 64), torch.tensor([[[[510.0, 8.0]]]]), torch.tensor([512.0, 32])
            )
            near = encoded_memory(model, images[:, 0]).maps[0]
    assert sampled.item() == pytest.approx(0.75)  # half of the last cell is outside
    assert torch.isfinite(half.keypoints_px).all()
    assert half.keypoints_px.dtype == torch.float32
    assert (exact - near.float()).abs().mean() < 0.05 * exact.abs().mean() + 0.02
