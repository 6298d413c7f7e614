"""The start of a run: transferred weights, a new skeleton, contradicting options."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file

from figures.sets import figures_source
from vepe.config.load import merge, override, parse
from vepe.config.model import ModelConfig
from vepe.config.training import TrainConfig
from vepe.errors import VepeError
from vepe.inference.weights import load_weights, save_weights
from vepe.models.build import build_model
from vepe.models.vepe import Vepe
from vepe.skeleton import POSETRACK15, Skeleton
from vepe.training.start import build_start, print_transfer, transfer_weights

TOOL = {"keypoints": ["base", "nose", "tip"], "edges": [["base", "nose"], ["nose", "tip"]]}
STAGE = {"name": "all", "steps": 1, "data": [figures_source()]}


def run(**changes: Any) -> TrainConfig:
    return parse(TrainConfig, {"stages": [STAGE], **changes}, "test")


def test_bundled_weights_with_a_new_skeleton(capsys: pytest.CaptureFixture[str]) -> None:
    train_config = run(init="vepe-n", model={"extends": "init", "skeleton": TOOL})
    config, model = build_start(train_config)
    output = capsys.readouterr().err
    assert config.skeleton.keypoints == ("base", "nose", "tip")
    assert model.proposals.keypoints == 3
    bundled, bundled_config, _ = load_weights("vepe-n")
    assert config.backbone == bundled_config.backbone
    assert torch.equal(
        model.pyramid.state_dict()[key := next(iter(model.pyramid.state_dict()))],
        bundled.pyramid.state_dict()[key],
    )
    assert torch.equal(
        model.spatial_decoder.keypoint_embedding.weight[1],
        bundled.spatial_decoder.keypoint_embedding.weight[bundled_config.skeleton.index("nose")],
    )
    assert "New keypoints: base, tip; known: nose." in " ".join(output.split())
    build_start(train_config, load=False)
    assert capsys.readouterr().err == ""


def test_options_on_top_of_the_model_of_the_weights(tmp_path: Path) -> None:
    options = {"backbone": "mobilenetv2_035", "dim": 32, "hidden": 32, "queries": 4}
    config, model = build_start(run(model=options))
    file = save_weights(tmp_path / "tiny.safetensors", model, config, {}, dtype="fp32")
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
def test_errors(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(VepeError, match=message):
        build_start(run(**changes))


def test_weights_of_another_backbone_are_an_error(tmp_path: Path) -> None:
    file = tmp_path / "trunk.safetensors"
    save_file({"conv.weight": torch.zeros(1)}, file)
    tiny = {"backbone": "mobilenetv2_035", "dim": 32, "hidden": 32}
    with pytest.raises(VepeError, match="does not fit the backbone 'mobilenetv2_035'"):
        build_start(run(model=tiny, backbone_weights=str(file)))
    config, model = build_start(run(model=tiny))
    save_file(build_model(config).backbone.net.state_dict(), file)
    start = build_start(run(model=tiny, backbone_weights=str(file)))[1]
    assert not torch.equal(start.backbone.net.conv_stem.weight, model.backbone.net.conv_stem.weight)


def test_new_backbone_has_its_own_weights(tmp_path: Path) -> None:
    """How vepe-s starts from vepe-n: the backbone has its own file, the rest is copied."""
    smaller = {"extends": "vepe-n", "backbone": "mobilenetv2_035"}
    bare = build_start(run(model=smaller))[1]
    file = tmp_path / "trunk.safetensors"
    save_file(bare.backbone.net.state_dict(), file)
    start = build_start(run(model=smaller, init="vepe-n", backbone_weights=str(file)))[1]
    assert torch.equal(start.backbone.net.conv_stem.weight, bare.backbone.net.conv_stem.weight)
    assert not torch.equal(start.proposals.score.weight, bare.proposals.score.weight)


TINY: dict[str, Any] = {"backbone": "mobilenetv2_035", "dim": 32, "hidden": 32, "queries": 4}
HANDLE = Skeleton("tool", ("left_wrist", "handle", "nose"), ((0, 1),), (), (0.05,) * 3)
KEYPOINT_TENSORS = {
    "proposals.pose.4.weight",
    "proposals.pose.4.bias",
    "spatial_decoder.keypoint_embedding.weight",
}


def tiny(seed: int, skeleton: Skeleton = POSETRACK15, **changes: Any) -> Vepe:
    torch.manual_seed(seed)
    options = merge(TINY, {**changes, "skeleton": skeleton.to_dict()})
    return build_model(parse(ModelConfig, options, "tiny")).eval()


def test_same_model_is_copied_completely() -> None:
    source, target = tiny(0), tiny(1)
    transfer = transfer_weights(source, POSETRACK15, target, POSETRACK15)
    assert transfer.fraction() == 1.0
    assert transfer.incomplete == transfer.new_keypoints == ()
    for name, tensor in source.state_dict().items():
        assert torch.equal(tensor, target.state_dict()[name]), name


def test_appearance_of_keypoints_in_another_order() -> None:
    """Tensors of the same shape, too, are copied by keypoint."""
    names = POSETRACK15.keypoints
    turned = Skeleton("turned", names[::-1], ((0, 1),), (), (0.05,) * 15)
    options = {"consistency": {"appearance": 8}}
    source, target = tiny(0, **options), tiny(1, turned, **options)
    name = "appearance.join.weight"
    torch.nn.init.normal_(source.get_parameter(name))
    assert transfer_weights(source, POSETRACK15, target, turned).fraction() == 1.0
    old, new = (m.get_parameter(name).unflatten(1, (15, 8)) for m in (source, target))
    assert torch.equal(new, old.flip(1))


def test_rows_of_keypoints_with_the_same_name_are_copied() -> None:
    source, target = tiny(0), tiny(1, HANDLE)
    initial = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    transfer = transfer_weights(source, POSETRACK15, target, HANDLE)
    assert set(transfer.incomplete) == KEYPOINT_TENSORS
    assert transfer.known_keypoints == ("left_wrist", "nose")
    assert transfer.new_keypoints == ("handle",)
    for name in KEYPOINT_TENSORS:
        old, new = source.state_dict()[name], target.state_dict()[name]
        rows = len(new) // 3
        for k, keypoint in enumerate(HANDLE.keypoints):
            rows_of_k = new[k * rows : (k + 1) * rows]
            if keypoint == "handle":
                assert torch.equal(rows_of_k, initial[name][k * rows : (k + 1) * rows])
            else:
                of = POSETRACK15.index(keypoint)
                assert torch.equal(rows_of_k, old[of * rows : (of + 1) * rows])


def test_proposals_of_copied_keypoints_are_equal() -> None:
    """Copied rows mean the same keypoint: the proposals of both models agree."""
    source, target = tiny(0), tiny(1, HANDLE)
    transfer_weights(source, POSETRACK15, target, HANDLE)
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        old = source.encode_frame(image)[1].proposals.keypoints_px
        new = target.encode_frame(image)[1].proposals.keypoints_px
    for keypoint in ("left_wrist", "nose"):
        torch.testing.assert_close(
            new[:, :, HANDLE.index(keypoint)], old[:, :, POSETRACK15.index(keypoint)]
        )


def test_new_parts_are_random() -> None:
    source = tiny(0, temporal={"pose_encoder": False}, consistency={"dim": 16})
    target = tiny(1)
    transfer = transfer_weights(source, POSETRACK15, target, POSETRACK15)
    new = {name.split(".")[0] for name in transfer.incomplete}
    assert new == {"pose_encoder", "identity"}
    assert 0.5 < transfer.fraction() < 1.0


def test_table_names_parts_and_keypoints() -> None:
    transfer = transfer_weights(tiny(0), POSETRACK15, tiny(1, HANDLE), HANDLE)
    console = Console(width=120, record=True, file=io.StringIO())
    print_transfer(transfer, "vepe-n", console)
    text = console.export_text()
    copied = len(transfer.tensors) - 3
    assert f"Copied {copied} of {len(transfer.tensors)} tensors" in text
    assert "New keypoints: handle; known: left_wrist, nose." in text
    assert "keypoint_embedding.weight" in text
