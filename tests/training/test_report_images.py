"""Images of predictions: matched as in the loss, worst clips first."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from figures.moving import figure_clips
from tiny_models import TINY, tiny_model
from vepe.data.batch import Batch, collate
from vepe.losses.criterion import Criterion
from vepe.models.vepe import Vepe
from vepe.skeleton import POSETRACK15
from vepe.training.report_images import CELL_PX, draw_batch, predict_clips, save_worst, worst_clips

SKELETON = TINY.skeleton


@pytest.fixture(scope="module")
def model() -> Vepe:
    return tiny_model()


@pytest.fixture(scope="module")
def batches() -> list[Batch]:
    clips = figure_clips(4, seed=2)
    return [collate([clips[0], clips[1]]), collate([clips[2], clips[3]])]


def criterion() -> Criterion:
    return Criterion(torch.tensor(POSETRACK15.sigmas))


def test_all_labelled_people_are_matched_and_the_network_is_unchanged(
    model: Vepe, batches: list[Batch]
) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    clips = predict_clips(model, criterion(), batches[0])
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())
    assert [len(clip.frames) for clip in clips] == [2, 2]
    for b, clip in enumerate(clips):
        assert clip.name == batches[0].names[b]
        for t, frame in enumerate(clip.frames):
            row = t * 2 + b
            people = int(batches[0].targets.valid[row].sum())
            assert sorted(frame.pairs[:, 1].tolist()) == list(range(people))
            assert len(frame.labels.keypoints_px) == people
            assert (frame.image == batches[0].images[row].numpy()).all()
            assert frame.loss is None if people == 0 else frame.loss > 0
            assert frame.time_s == batches[0].times_s[b, t]


def test_batch_has_one_row_per_clip(model: Vepe, batches: list[Batch]) -> None:
    image = draw_batch(model, criterion(), batches[0], SKELETON)
    band = image.shape[0] // 2 - CELL_PX
    assert image.shape == (2 * (CELL_PX + band), 2 * CELL_PX, 3)
    assert 0 < band < 60


def test_worst_clips_come_first(model: Vepe, batches: list[Batch], tmp_path: Path) -> None:
    losses = [c.loss for batch in batches for c in predict_clips(model, criterion(), batch)]
    worst = worst_clips(model, criterion(), batches, count=3)
    assert [clip.loss for clip in worst] == sorted(losses, reverse=True)[:3]
    save_worst(tmp_path, worst, SKELETON)
    save_worst(tmp_path, worst[:2], SKELETON)  # again: nothing of the first set is left
    folder = tmp_path / "worst"
    assert sorted(p.name for p in folder.iterdir()) == ["01.jpg", "02.jpg", "worst.json"]
    entries = json.loads((folder / "worst.json").read_text())
    assert [entry["loss"] for entry in entries] == pytest.approx(
        [clip.loss for clip in worst[:2]], abs=1e-3
    )
    assert np.asarray(Image.open(folder / "01.jpg")).std() > 5
