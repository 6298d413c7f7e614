"""The composed network: switches, presets, skeletons, padding, precision, gradients."""

from __future__ import annotations

import pytest
import torch
from tiny_networks import lively_model, tiny_config

from vepe.config.load import parse, preset_names, read_yaml
from vepe.config.model import ModelConfig
from vepe.errors import VepeError
from vepe.models.build import build_model
from vepe.models.deformable import sample_map
from vepe.models.spatial_encoder import Memory
from vepe.skeleton import COCO17, POSETRACK15, Skeleton


def clip(batch: int = 1, frames: int = 3, height: int = 64, width: int = 96):
    torch.manual_seed(1)
    times = torch.arange(frames, dtype=torch.float64).expand(batch, -1) / 25
    return torch.rand(batch, frames, 3, height, width), times


@pytest.mark.parametrize(
    ("changes", "gone"),
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
        ({"fine": 8}, []),
        ({"consistency": {"dim": 16, "appearance": 4}}, []),
    ],
)
def test_parts_switch_off_and_the_rest_runs_and_learns(changes: dict, gone: list[str]) -> None:
    model = lively_model(**changes)
    for part in ("pose_encoder", "memory_encoder"):
        assert (getattr(model, part) is None) == (part in gone)
    images, times = clip()
    output = model.train()(images, times)[-1]
    assert output.keypoints_px.shape == (1, 6, 15, 2)
    loss = output.keypoints_px.sum() + output.score_logits.sum() + output.confidence_logits.sum()
    loss.backward()
    silent = [
        name
        for name, p in model.pose_decoder.named_parameters()
        if p.grad is None or not torch.isfinite(p.grad).all()
    ]
    assert not silent


def test_each_switch_changes_the_answer() -> None:
    images, times = clip()
    answers = []
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
            answers.append(other(images, times)[-1].keypoints_px)
    for a in range(len(answers)):
        for b in range(a):
            assert (answers[a] - answers[b]).abs().max() > 1e-3


@pytest.mark.parametrize("name", preset_names())
def test_presets_build_and_answer(name: str) -> None:
    config = parse(ModelConfig, read_yaml(name), name)
    assert config.name == name
    if config.backbone.startswith("swin"):
        with torch.device("meta"):  # 200 million numbers: shapes alone
            model = build_model(config)
        assert sum(p.numel() for p in model.parameters()) > 2e7
        return
    model = build_model(config).eval()
    size = max(128, model.stride)
    with torch.inference_mode():
        output = model(*clip(frames=2, height=size, width=size))[-1]
    assert output.keypoints_px.shape == (1, config.queries, 15, 2)
    assert torch.isfinite(output.keypoints_px).all()


def some_skeleton(count: int) -> Skeleton:
    names = tuple(f"point_{i}" for i in range(count))
    return Skeleton("some", names, (), (), (0.05,) * count)


@pytest.mark.parametrize("skeleton", [some_skeleton(1), some_skeleton(133), COCO17, POSETRACK15])
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


def test_unknown_backbones_are_named() -> None:
    with pytest.raises(VepeError, match="did you mean 'resnet18'"):
        build_model(tiny_config(backbone="resnet_18"))


def test_sizes_must_fit_the_stride() -> None:
    with pytest.raises(ValueError, match="stride 32"):
        lively_model()(*clip(height=60))


@pytest.mark.parametrize("height", [32, 64])
@pytest.mark.parametrize("width", [32, 160])
def test_odd_shapes_of_inputs(height: int, width: int) -> None:
    model = lively_model()
    with torch.inference_mode():
        output = model(*clip(height=height, width=width))[0]
    assert torch.isfinite(output.keypoints_px).all()


def test_padding_reads_like_the_outside() -> None:
    """Maps with a padded last column, whatever it holds, decode like the maps cut there."""
    model = lively_model()
    images = clip(frames=1)[0][:, 0]
    maps = model.pyramid(model.backbone(images), 64, 96)
    padding = [torch.zeros(1, *m.shape[-2:], dtype=torch.bool) for m in maps]
    for level, padded in zip(maps, padding, strict=True):
        last = level.shape[-1] // 3
        padded[..., -last:] = True
        level[..., -last:] = 100.0
    cut = [m[..., : m.shape[-1] * 2 // 3] for m in maps]
    answers = []
    with torch.inference_mode():
        for memory in (
            Memory(maps, padding, model.pyramid.strides),
            Memory(cut, None, model.pyramid.strides),
        ):
            # Positions are relative to the whole input: compare what is read, not the encoder.
            values = memory.projected(model.memory_encoder.layers[0].attention.project)
            at = torch.tensor([[[[10.0, 20.0], [60.0, 40.0], [63.0, 8.0], [70.0, 8.0]]]])
            answers.append([sample_map(v, at, memory.image_wh_px) for v in values])
    for a, b in zip(*answers, strict=True):
        torch.testing.assert_close(a, b)


def test_proposals_never_stand_in_the_padding() -> None:
    model = lively_model()
    padding = torch.zeros(1, 64, 96, dtype=torch.bool)
    padding[..., 48:] = True
    with torch.inference_mode():
        features = model.encode_frame(clip()[0][:, 0], padding)
    chosen = features.proposals.centres_px[features.proposals.index[0]]
    real = features.proposals.score_logits[0] > -1e3
    assert real.any()
    assert (chosen[real][:, 0] < 48).all()


def test_bfloat16_stays_near_float32() -> None:
    model = lively_model()
    images, times = clip()
    with torch.inference_mode():
        exact = model.encode_frame(images[:, 0]).memory.maps[0]
        with torch.autocast("cpu", torch.bfloat16):
            half = model(images, times)[-1]
            sampled = sample_map(
                torch.ones(1, 1, 4, 64), torch.tensor([[[[510.0, 8.0]]]]), torch.tensor([512.0, 32])
            )
            near = model.encode_frame(images[:, 0]).memory.maps[0]
    assert sampled.item() == pytest.approx(0.75)  # exact places: half of the last cell is outside
    assert torch.isfinite(half.keypoints_px).all()
    assert half.keypoints_px.dtype == torch.float32
    assert (exact - near.float()).abs().mean() < 0.05 * exact.abs().mean() + 0.02
