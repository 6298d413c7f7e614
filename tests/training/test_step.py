"""Unlabelled keypoints and frames have no loss."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tiny_models import TINY, tiny_model
from vepe.config.augmentation import AugmentationConfig
from vepe.config.data import CocoConfig, VideoConfig
from vepe.config.training import StageConfig
from vepe.data.batch import Batch, collate
from vepe.data.clip import Clip
from vepe.losses.criterion import Criterion, total
from vepe.losses.denoising import DenoisingSettings
from vepe.skeleton import COCO17, POSETRACK15
from vepe.training.optimiser import set_mode
from vepe.training.sources import build_source
from vepe.training.step import TrainingStep

CALM = AugmentationConfig(flip=0, copy_paste=0, occluders=0, turn_rad=0)
LACKING = [k for k, name in enumerate(POSETRACK15.keypoints) if name not in COCO17.keypoints]


def write_video(root: Path, frames: int = 5) -> None:
    """One COCO-17 video of one person, of which frame 2 alone is labelled."""
    rng = np.random.default_rng(0)
    images = []
    for f in range(frames):
        images.append({"id": f + 1, "file_name": f"{f}.png", "video_id": 1, "time_s": f / 25})
        cv2.imwrite(str(root / f"{f}.png"), rng.integers(0, 255, (90, 80, 3)).astype(np.uint8))
    points = np.concatenate([rng.uniform(15, 65, (17, 2)), np.full((17, 1), 2)], axis=1)
    person = {"id": 1, "image_id": 3, "category_id": 1, "track_id": 5, "area": 2000.0}
    person |= {"keypoints": points.ravel().tolist(), "bbox": [10, 10, 60, 60]}
    category = {"id": 1, "name": "person", "keypoints": list(COCO17.keypoints)}
    labels = {"images": images, "annotations": [person], "categories": [category]}
    (root / "labels.json").write_text(json.dumps(labels))


def clips_of(root: Path, config: VideoConfig | CocoConfig, frames: int, count: int) -> list[Clip]:
    stage = StageConfig(name="s", steps=1, frames=frames, size_px=64, data=(config,))
    source = build_source(config, stage, root, POSETRACK15, 0)
    clips = [source[i] for i in range(4 * count)]
    return [clip for clip in clips if len(clip.people[clip.key_indices[0]])][:count]


def losses(batch: Batch) -> dict[str, torch.Tensor]:
    model = tiny_model()
    set_mode(model)  # normalisations keep their statistics, as in a run
    step = TrainingStep(model, Criterion(torch.tensor(TINY.skeleton.sigmas)), DenoisingSettings())
    return step(batch)


def test_keypoints_without_labels_do_not_affect_any_loss(tmp_path: Path) -> None:
    write_video(tmp_path)
    config = CocoConfig(annotations=("labels.json",), augmentation=CALM, mosaic=(1, 0, 0, 0))
    batch = collate(clips_of(tmp_path, config, frames=2, count=2))
    targets = batch.targets
    assert len(LACKING) == 2  # head_bottom and head_top
    assert targets.valid.any()
    assert not targets.labelled[:, :, LACKING].any()
    elsewhere = targets.keypoints_px.clone()
    elsewhere[:, :, LACKING] = 40.0  # any guess at these joints, the same everywhere
    usual = losses(batch)
    other = losses(replace(batch, targets=replace(targets, keypoints_px=elsewhere)))
    for name, value in usual.items():
        assert value.item() == other[name].item(), name
    moved = targets.keypoints_px + 3.0 * targets.labelled[..., None]
    third = losses(replace(batch, targets=replace(targets, keypoints_px=moved)))
    assert any(third[name].item() != value.item() for name, value in usual.items())


def test_frames_without_labels_are_context_and_have_no_loss(tmp_path: Path) -> None:
    write_video(tmp_path)
    config = VideoConfig(annotations=("labels.json",), max_gap_s=0.04, augmentation=CALM)
    clips = clips_of(tmp_path, config, frames=3, count=8)
    keys = {clip.key_indices for clip in clips}
    assert keys <= {(0,), (1,), (2,)}
    assert len(keys) > 1
    batch = collate(clips)
    model = tiny_model().train()
    criterion = Criterion(torch.tensor(TINY.skeleton.sigmas))
    _, output = model.encode_frame(batch.pixels(torch.device("cpu")), all_cells=True)
    outputs = [o.keypoints_px for o in output.layers] + [o.score_logits for o in output.layers]
    outputs += [output.proposals.cells.keypoints_px, output.proposals.cells.score_logits]
    parts, _ = criterion.frames(output, batch.targets, None, 8.0)
    gradients = torch.autograd.grad(total(parts), outputs, allow_unused=True)
    labelled = torch.tensor([t in c.key_indices for t in range(3) for c in clips])
    taught = torch.zeros(len(labelled))
    for gradient in gradients:
        if gradient is not None:
            assert gradient[~labelled].abs().max() == 0
            taught += gradient.flatten(1).abs().sum(dim=1)
    assert (taught[labelled] > 0).all()


@pytest.mark.parametrize("part", ["spatial0/l1", "temporal0/score", "temporal0/l1"])
def test_unlabelled_neighbours_teach_nothing(tmp_path: Path, part: str) -> None:
    """A frame's poses are finished without other frames, so its loss does not depend on them."""
    write_video(tmp_path)
    config = VideoConfig(annotations=("labels.json",), max_gap_s=0.04, augmentation=CALM)
    clip = next(c for c in clips_of(tmp_path, config, 3, 8) if c.key_indices == (2,))
    images = copy.copy(clip.images)
    images[0] = 255 - images[0]
    one, other = (losses(collate([replace(clip, images=i)])) for i in (clip.images, images))
    assert one[part].item() == pytest.approx(other[part].item(), rel=1e-4)
