"""The recipes at the paper's scale: each parses, fits its model, and leads to the next."""

from __future__ import annotations

import pytest

from vepe.config.data import CocoConfig, PosetrackConfig
from vepe.config.load import override, parse, preset_names, read_yaml
from vepe.config.model import ModelConfig
from vepe.config.training import TrainConfig

BACKBONES = ("dinov2-s", "hrnet-w48", "r50", "swin-l")


def recipe(name: str) -> TrainConfig:
    return parse(TrainConfig, read_yaml(name, "recipes"), name)


def test_every_backbone_has_both_recipes() -> None:
    wanted = {f"vepe-{b}-{data}" for b in BACKBONES for data in ("coco", "posetrack")}
    assert wanted | {"finetune", "vepe-n"} <= set(preset_names("recipes"))


@pytest.mark.parametrize("data", ["coco", "posetrack"])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_recipes_fit_their_models(backbone: str, data: str) -> None:
    config = recipe(f"vepe-{backbone}-{data}")
    assert config.model == f"vepe-{backbone}"
    model = parse(ModelConfig, read_yaml(str(config.model)), "model")
    assert model.name == config.model
    for stage in config.stages:
        assert stage.size_px % model.strides[-1] == 0
        assert stage.batch * config.accumulation(stage, processes=1) == 16
        assert config.accumulation(stage, processes=8) == 1
        assert stage.lr == pytest.approx(10 * stage.backbone_lr)
        assert stage.frames in (1, 3)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_posetrack_goes_on_from_coco(backbone: str) -> None:
    first, second = recipe(f"vepe-{backbone}-coco"), recipe(f"vepe-{backbone}-posetrack")
    assert first.pretrained_backbone
    assert first.init is None
    assert not second.pretrained_backbone
    assert second.init == f"runs/vepe-{backbone}-coco/weights.safetensors"
    assert all(isinstance(d, CocoConfig) for s in first.stages for d in s.data)
    assert isinstance(second.stages[-1].data[0], PosetrackConfig)
    assert first.evaluation is not None
    assert second.evaluation is not None
    assert (first.evaluation.kind, second.evaluation.kind) == ("coco", "posetrack")


@pytest.mark.parametrize(
    ("setting", "gone"),
    [
        ("model.temporal.pose_encoder=false", ("temporal", "pose_encoder")),
        ("model.temporal.memory_encoder=false", ("temporal", "memory_encoder")),
        ("model.consistency.enabled=false", ("consistency", "enabled")),
    ],
)
def test_parts_are_switched_off_on_the_command_line(setting: str, gone: tuple[str, str]) -> None:
    data = override(read_yaml("vepe-r50-posetrack", "recipes"), [setting])
    parse(TrainConfig, data, "ablation")
    options = {**read_yaml(data["model"].pop("extends")), **data["model"]}
    assert getattr(getattr(parse(ModelConfig, options, "model"), gone[0]), gone[1]) is False
