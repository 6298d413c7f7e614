"""Weights carried over to another skeleton: joints of the same name keep theirs."""

from __future__ import annotations

import io
from typing import Any

import torch
from rich.console import Console

from vepe.config.load import merge, parse
from vepe.config.model import ModelConfig
from vepe.models.build import build_model
from vepe.models.vepe import Vepe
from vepe.skeleton import POSETRACK15, Skeleton
from vepe.training.start import carry_over, print_transfer

TINY: dict[str, Any] = {"backbone": "mobilenetv2_035", "dim": 32, "hidden": 32, "queries": 4}
TOOL = Skeleton("tool", ("left_wrist", "handle", "nose"), ((0, 1),), (), (0.05,) * 3)
JOINT_TENSORS = {
    "proposals.pose.4.weight",
    "proposals.pose.4.bias",
    "spatial_decoder.keypoint_embedding.weight",
}


def model(seed: int, skeleton: Skeleton = POSETRACK15, **changes: Any) -> Vepe:
    torch.manual_seed(seed)
    options = merge(TINY, {**changes, "skeleton": skeleton.to_dict()})
    return build_model(parse(ModelConfig, options, "tiny")).eval()


def test_the_same_model_is_kept_whole() -> None:
    source, target = model(0), model(1)
    transfer = carry_over(source, POSETRACK15, target, POSETRACK15)
    assert transfer.share() == 1.0
    assert transfer.rebuilt == transfer.joints_new == ()
    for name, tensor in source.state_dict().items():
        assert torch.equal(tensor, target.state_dict()[name]), name


def test_joints_of_the_same_name_keep_their_rows() -> None:
    source, target = model(0), model(1, TOOL)
    fresh = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    transfer = carry_over(source, POSETRACK15, target, TOOL)
    assert set(transfer.rebuilt) == JOINT_TENSORS
    assert transfer.joints_kept == ("left_wrist", "nose")
    assert transfer.joints_new == ("handle",)
    for name in JOINT_TENSORS:
        was, now = source.state_dict()[name], target.state_dict()[name]
        rows = len(now) // 3
        for k, joint in enumerate(TOOL.keypoints):
            got = now[k * rows : (k + 1) * rows]
            if joint == "handle":
                assert torch.equal(got, fresh[name][k * rows : (k + 1) * rows])
            else:
                of = POSETRACK15.index(joint)
                assert torch.equal(got, was[of * rows : (of + 1) * rows])


def test_a_kept_joint_is_proposed_where_it_was() -> None:
    """Kept rows mean the same keypoint: the proposals of both models agree on it."""
    source, target = model(0), model(1, TOOL)
    carry_over(source, POSETRACK15, target, TOOL)
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        was = source.encode_frame(image).proposals.keypoints_px
        now = target.encode_frame(image).proposals.keypoints_px
    for joint in ("left_wrist", "nose"):
        torch.testing.assert_close(
            now[:, :, TOOL.index(joint)], was[:, :, POSETRACK15.index(joint)]
        )


def test_a_part_that_is_new_starts_afresh() -> None:
    source = model(0, temporal={"pose_encoder": False}, consistency={"dim": 16})
    target = model(1)
    transfer = carry_over(source, POSETRACK15, target, POSETRACK15)
    afresh = {name.split(".")[0] for name in transfer.rebuilt}
    assert afresh == {"pose_encoder", "identity"}
    assert 0.5 < transfer.share() < 1.0


def test_the_table_names_parts_and_joints() -> None:
    transfer = carry_over(model(0), POSETRACK15, model(1, TOOL), TOOL)
    console = Console(width=120, record=True, file=io.StringIO())
    print_transfer(transfer, "vepe-n", console)
    text = console.export_text()
    kept = len(transfer.tensors) - 3
    assert f"Kept {kept} of {len(transfer.tensors)} tensors whole" in text
    assert "start afresh: handle; kept: left_wrist, nose" in text
    assert "keypoint_embedding.weight" in text
