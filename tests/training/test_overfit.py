"""A tiny network overfits two clips of drawn figures: the whole of it, identities included."""

from __future__ import annotations

import numpy as np
import torch

from figures.moving import figure_clips
from vepe.config.load import parse
from vepe.config.model import ModelConfig
from vepe.config.tracking import TrackerSettings
from vepe.data.batch import Batch, collate
from vepe.losses.criterion import Criterion, total
from vepe.losses.denoising import DenoisingSettings
from vepe.losses.matcher import MatchCosts, match, pair_costs
from vepe.losses.oks import oks
from vepe.models.build import build_model
from vepe.models.vepe import Vepe
from vepe.skeleton import POSETRACK15
from vepe.tracking.tracker import Tracker
from vepe.training.step import TrainingStep
from vepe.types import NO_TRACK, FramePoses

SIZE_PX, FRAMES, STEPS = 96, 4, 200


def two_clips() -> Batch:
    size_wh = (SIZE_PX, SIZE_PX)
    return collate(figure_clips(2, seed=5, frames=FRAMES, size_wh=size_wh, people=(2, 2), fps=8.0))


def tiny_network() -> Vepe:
    data = {
        "backbone": "mobilenetv2_050",
        "dim": 64,
        "hidden": 96,
        "points": 2,
        "queries": 6,
        "spatial_decoder": {"layers": 1},
        "temporal": {"window": 2},
        "consistency": {"dim": 16},
    }
    return build_model(parse(ModelConfig, data, "tiny"))


def learn(model: Vepe, batch: Batch, sigmas: torch.Tensor) -> float:
    step = TrainingStep(model, Criterion(sigmas), DenoisingSettings(groups=2))
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, STEPS)
    model.train()
    loss = torch.tensor(0.0)
    for number in range(STEPS):
        loss = total(step(batch, [(number, clip) for clip in range(batch.num_clips)]))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        schedule.step()
    return loss.item()


def tracked_ids(model: Vepe, batch: Batch, clip: int, sigmas: torch.Tensor) -> tuple[float, dict]:
    """Mean OKS of the labelled people of a clip, and the track ids of each person."""
    pixels = batch.pixels(torch.device("cpu"))
    images = torch.stack([pixels[batch.rows(t)][clip] for t in range(FRAMES)])[None]
    tracker = Tracker(TrackerSettings())
    state = tracker.start()
    similarity, ids = [], {}
    with torch.inference_mode():
        outputs = model.eval()(images, batch.times_s[clip : clip + 1])
    for t, output in enumerate(outputs):
        row = t * batch.num_clips + clip
        targets = batch.targets[slice(row, row + 1)]
        cost = pair_costs(output.keypoints_px, targets, sigmas, MatchCosts())
        matches = match(output.score_logits, cost, targets, MatchCosts())
        values = oks(
            output.keypoints_px[0, matches.prediction],
            targets.keypoints_px[0, matches.person],
            targets.labelled[0, matches.person],
            targets.areas_px[0, matches.person],
            sigmas,
        )
        similarity += values.tolist()
        poses = FramePoses(
            t,
            float(batch.times_s[clip, t]),
            output.keypoints_px[0].numpy(),
            output.confidence_logits[0].sigmoid().numpy(),
            output.score_logits[0].sigmoid().numpy(),
            np.full(output.score_logits.shape[1], -1),
            output.identity[0].numpy(),
        )
        state, tracked = tracker.step(state, poses)
        tracked = tracked.select(tracked.track_ids != NO_TRACK)
        # The tracker may reorder people: each labelled person is identified by pose.
        for person in range(targets.valid.shape[1]):
            if not targets.valid[0, person] or not len(tracked):
                continue
            labelled = targets.labelled[0, person].numpy()
            gt_px = targets.keypoints_px[0, person].numpy()[labelled]
            distance = np.abs(tracked.keypoints_px[:, labelled] - gt_px).mean(axis=(1, 2))
            track = int(tracked.track_ids[distance.argmin()])
            ids.setdefault(int(targets.track_ids[0, person]), set()).add(track)
    return float(np.mean(similarity)), ids


def test_network_overfits_two_clips() -> None:
    torch.manual_seed(0)
    batch, model = two_clips(), tiny_network()
    sigmas = torch.tensor(POSETRACK15.sigmas)
    learn(model, batch, sigmas)
    for clip in range(2):
        similarity, ids = tracked_ids(model, batch, clip, sigmas)
        assert similarity > 0.9
        assert len(ids) == 2
        assert all(len(tracks) == 1 for tracks in ids.values()), ids
        assert len(set.union(*ids.values())) == 2
