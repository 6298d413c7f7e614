"""Small drawn data sets pass the checks and readers of the large ones."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from small_examples import example

from vepe.config.load import parse
from vepe.config.training import StageConfig
from vepe.data.clip import Clip
from vepe.formats.dataset_check import check_dataset
from vepe.skeleton import POSETRACK15
from vepe.training.sources import build_source

RECIPES = Path(__file__).parents[2] / "src" / "vepe" / "config" / "presets" / "recipes"
SOURCES = {
    "coco": {"kind": "coco", "root": "coco", "images": "train2017"},
    "posetrack": {"kind": "posetrack", "root": "posetrack18"},
    "frames": {"kind": "frames", "shards": ["train/clips-*.tar"]},
    "stills": {"kind": "stills", "shards": ["train/people-*.tar", "train/lspet-*.tar"]},
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    draw = example("draw_small_data")
    draw.draw_coco(folder / "coco", train=4, val=1, width=160, height=120)
    draw.draw_posetrack(folder / "posetrack18", train=2, val=1, frames=8)
    draw.draw_shards(folder / "train", images=2, videos=1, frames=4)
    return folder


@pytest.mark.parametrize("name", ["coco", "posetrack18"])
def test_data_check_finds_no_problems(drawn: Path, name: str) -> None:
    report = check_dataset(drawn / name)
    assert report.formats
    # Only a note about fewer sequences than in the release is allowed.
    assert [f.line() for f in report.problems] == []


def clip_of(drawn: Path, source: str) -> Clip:
    stage = {"name": "a", "steps": 1, "frames": 3, "size_px": 128, "data": [SOURCES[source]]}
    parsed = parse(StageConfig, stage, "test")
    return build_source(parsed.data[0], parsed, drawn, POSETRACK15, 0)[0]


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_gives_clips(drawn: Path, source: str) -> None:
    clip = clip_of(drawn, source)
    assert clip.images.shape == (3, 128, 128, 3)
    labelled = [k for people in clip.people for k in people.visibility.ravel()]
    assert len(clip.key_indices) >= 1
    assert sum(v > 0 for v in labelled) > 0


def test_the_shards_of_the_bundled_recipe_are_drawn(drawn: Path) -> None:
    recipe = (RECIPES / "vepe-n.yaml").read_text(encoding="utf-8")
    patterns = set(re.findall(r'"(train/[^"]+)"', recipe))
    assert len(patterns) >= 4
    assert [pattern for pattern in patterns if not list(drawn.glob(pattern))] == []


def test_training_videos_are_labelled_in_the_middle(drawn: Path) -> None:
    from vepe.formats.posetrack import read_posetrack

    for split, expected in (("train", {2, 3, 4, 5}), ("val", {0, 2, 3, 4, 5})):
        for sequence in read_posetrack(drawn / "posetrack18" / "annotations" / split):
            assert {f.index for f in sequence.frames if f.is_labeled} == expected


def test_coco_has_no_head_top_label(drawn: Path) -> None:
    clip = clip_of(drawn, "coco")
    for people in clip.people:
        head_top = people.visibility[:, POSETRACK15.index("head_top")]
        assert not np.any(head_top)


def test_backbone_of_the_bundled_weights_fits_its_recipe(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    from vepe.models.backbone import Backbone

    path = example("draw_small_data").write_trunk(tmp_path)
    Backbone("mobilenetv2_pose_175", (8, 16, 32)).net.load_state_dict(load_file(path))
