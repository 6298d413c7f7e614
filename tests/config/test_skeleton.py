"""Skeletons as users write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vepe.config.load import parse
from vepe.config.model import ModelConfig
from vepe.config.skeleton import UNKNOWN_SIGMA, read_skeleton
from vepe.errors import VepeError
from vepe.skeleton import COCO17, POSETRACK15

PLIERS: dict[str, Any] = {
    "keypoints": ["left_tip", "right_tip", "pivot"],
    "edges": [["left_tip", "pivot"], ["pivot", "right_tip"]],
}


@pytest.mark.parametrize(
    ("value", "edges", "pairs", "sigmas"),
    [
        (PLIERS, ((0, 2), (2, 1)), ((0, 1),), (UNKNOWN_SIGMA,) * 3),
        ({**PLIERS, "edges": [[0, 2]]}, ((0, 2),), ((0, 1),), (UNKNOWN_SIGMA,) * 3),
        ({**PLIERS, "flip_pairs": [], "sigmas": 0.1}, ((0, 2), (2, 1)), (), (0.1,) * 3),
        ({**PLIERS, "sigmas": [0.1, 0.2, 0.3]}, ((0, 2), (2, 1)), ((0, 1),), (0.1, 0.2, 0.3)),
        ({"keypoints": ["nose", "tail"]}, (), (), (0.026, UNKNOWN_SIGMA)),
    ],
)
def test_missing_parts_follow_from_the_names(
    value: dict[str, Any], edges: tuple, pairs: tuple, sigmas: tuple
) -> None:
    skeleton = read_skeleton(value)
    assert (skeleton.edges, skeleton.flip_pairs, skeleton.sigmas) == (edges, pairs, sigmas)


def test_files_and_names(tmp_path: Path) -> None:
    file = tmp_path / "pliers.yaml"
    file.write_text(json.dumps(PLIERS))
    assert read_skeleton(str(file)).name == "pliers"
    file.write_text(json.dumps({"skeleton": {**PLIERS, "name": "tongs"}}))
    config = parse(ModelConfig, {"skeleton": str(file)}, "mine")
    assert config.skeleton.name == "tongs"
    assert config.skeleton.keypoints == tuple(PLIERS["keypoints"])
    assert read_skeleton("coco17") is COCO17
    assert read_skeleton(POSETRACK15.to_dict()) == POSETRACK15


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("dog", "no skeleton 'dog'; known are posetrack15"),
        ("nowhere.yaml", "'nowhere.yaml' cannot be read"),
        ({**PLIERS, "edges": [["left_tip", "tail"]]}, "edges name 'tail'"),
        ({**PLIERS, "edges": ["left_tip"]}, "is not a pair of keypoints"),
        ({**PLIERS, "edges": [[0, 9]]}, "keypoint 9"),
        ({**PLIERS, "sigma": 1}, "has no 'sigma'"),
        ({**PLIERS, "sigmas": [1]}, "1 sigmas for 3"),
        ({"keypoints": ["a", "a"]}, "repeats"),
        ({"name": "empty"}, "needs `keypoints:`"),
        ([1, 2], "a name, a file"),
        ({**PLIERS, "edges": 3}, "edges must be a list of pairs"),
        ({**PLIERS, "edges": [[0, None]]}, "'None' in the skeleton's edges is no keypoint"),
        ({**PLIERS, "flip_pairs": [[0, float("inf")]]}, "flip_pairs is no keypoint"),
        ({**PLIERS, "sigmas": 0}, "needs sigmas above 0"),
        ({**PLIERS, "sigmas": float("nan")}, "needs sigmas above 0"),
        ({**PLIERS, "sigmas": 10**400}, "incomplete or malformed"),
    ],
)
def test_wrong_skeletons_have_a_message(value: Any, message: str) -> None:
    with pytest.raises(VepeError, match=message):
        read_skeleton(value)
    with pytest.raises(VepeError, match=f"^mine: skeleton: .*{message}"):
        parse(ModelConfig, {"skeleton": value}, "mine")
