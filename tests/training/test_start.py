"""What a run starts from: bundled weights, a skeleton of one's own, and options that clash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from vepe.config.load import override, parse
from vepe.config.training import TrainConfig
from vepe.errors import VepeError
from vepe.inference.weights import load_weights, save_weights
from vepe.models.build import build_model
from vepe.training.start import build_start

TOOL = {"keypoints": ["base", "nose", "tip"], "edges": [["base", "nose"], ["nose", "tip"]]}
STAGE = {"name": "all", "steps": 1, "data": [{"kind": "synthetic"}]}


def run(**changes: Any) -> TrainConfig:
    return parse(TrainConfig, {"stages": [STAGE], **changes}, "test")


def test_bundled_weights_meet_a_new_skeleton(capsys: pytest.CaptureFixture[str]) -> None:
    config = run(init="vepe-n", model={"extends": "init", "skeleton": TOOL})
    made, model = build_start(config)
    told = capsys.readouterr().err
    assert made.skeleton.keypoints == ("base", "nose", "tip")
    assert model.proposals.keypoints == 3
    bundled, its_config, _ = load_weights("vepe-n")
    assert made.backbone == its_config.backbone
    assert torch.equal(
        model.pyramid.state_dict()[key := next(iter(model.pyramid.state_dict()))],
        bundled.pyramid.state_dict()[key],
    )
    assert torch.equal(
        model.spatial_decoder.keypoint_embedding.weight[1],
        bundled.spatial_decoder.keypoint_embedding.weight[its_config.skeleton.index("nose")],
    )
    assert "start afresh: base, tip; kept: nose" in " ".join(told.split())
    build_start(config, load=False)
    assert capsys.readouterr().err == ""


def test_options_on_top_of_the_model_of_the_weights(tmp_path: Path) -> None:
    options = {"backbone": "mobilenetv2_035", "dim": 32, "hidden": 32, "queries": 4}
    made, model = build_start(run(model=options))
    file = save_weights(tmp_path / "tiny.safetensors", model, made, {}, dtype="fp32")
    data = override(
        {"stages": [STAGE], "init": str(file), "model": {"extends": "init"}},
        ["model.temporal.window=5", "model.queries=7"],
    )
    grown, again = build_start(parse(TrainConfig, data, "test"))
    assert (grown.temporal.window, grown.queries, grown.dim) == (5, 7, 32)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"init": "vepe-n", "backbone_weights": "x.safetensors"}, "leave out `backbone_weights`"),
        ({"init": "vepe-n", "pretrained_backbone": True}, "or set it to false"),
        ({"model": {"extends": "init"}}, "set init=WEIGHTS"),
        ({"init": "vepe-n", "model": {"backbone": "resnet10t"}}, "% of the model 'custom' fits"),
        ({"model": {"skeleton": "dog"}}, "no skeleton 'dog'"),
        ({"model": "vepe-x"}, "no preset 'vepe-x'"),
        ({"backbone_weights": "nowhere.safetensors"}, "no backbone file"),
    ],
)
def test_what_cannot_be_is_told(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(VepeError, match=message):
        build_start(run(**changes))


def test_a_backbone_of_another_make_is_told(tmp_path: Path) -> None:
    file = tmp_path / "trunk.safetensors"
    save_file({"conv.weight": torch.zeros(1)}, file)
    tiny = {"backbone": "mobilenetv2_035", "dim": 32, "hidden": 32}
    with pytest.raises(VepeError, match="does not fit the backbone 'mobilenetv2_035'"):
        build_start(run(model=tiny, backbone_weights=str(file)))
    made, model = build_start(run(model=tiny))
    save_file(build_model(made).backbone.net.state_dict(), file)
    start = build_start(run(model=tiny, backbone_weights=str(file)))[1]
    assert not torch.equal(start.backbone.net.conv_stem.weight, model.backbone.net.conv_stem.weight)


def test_another_backbone_brings_its_own_weights(tmp_path: Path) -> None:
    """How vepe-s starts from vepe-n: the decoder is kept, the backbone comes from its own file."""
    smaller = {"extends": "vepe-n", "backbone": "mobilenetv2_035"}
    bare = build_start(run(model=smaller))[1]
    file = tmp_path / "trunk.safetensors"
    save_file(bare.backbone.net.state_dict(), file)
    start = build_start(run(model=smaller, init="vepe-n", backbone_weights=str(file)))[1]
    assert torch.equal(start.backbone.net.conv_stem.weight, bare.backbone.net.conv_stem.weight)
    assert not torch.equal(start.proposals.score.weight, bare.proposals.score.weight)
