"""Scores of the averaged weights while a run goes, the best of them, and when to give up."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import torch

from vepe.config.model import ModelConfig
from vepe.config.training import METRICS, EvaluationConfig
from vepe.errors import VepeError
from vepe.evaluation.coco import coco_oks_ap, crowdpose_ap
from vepe.evaluation.posetrack import PoseTrackMatch
from vepe.evaluation.run_model import (
    COCO_CONF,
    POSETRACK_CONF,
    predict_coco,
    track_posetrack,
)
from vepe.inference.predictor import Predictor
from vepe.models.backbone import fold_batch_norms
from vepe.models.vepe import Vepe


class Evaluation:
    """Scores weights as `vepe evaluate` does, and remembers the best score.

    Args:
        config: what is scored, and by which metric.
        root: folder that its paths start from.

    Attributes:
        best: the best value of the metric so far, None before the first.
        waited: evaluations of the present stage since there was a better one.

    Raises:
        VepeError: where the ground truth or the folder of pictures is not there.
    """

    def __init__(self, config: EvaluationConfig, root: Path) -> None:
        self.config, self.gt, self.images = config, root / config.gt, root / config.images
        self.best: float | None = None
        self.waited = 0
        for path, key in ((self.gt, "gt"), (self.images, "images")):
            if not path.exists():
                raise VepeError(f"'{path}' does not exist; check evaluation.{key} and --data-root.")

    def scores(self, model: Vepe, config: ModelConfig, device: torch.device) -> dict[str, float]:
        """All metrics by name, in percent; NaN where one is undefined. The model stays as it is."""
        settings, tracked = self.config, self.config.kind == "posetrack"
        default_conf = POSETRACK_CONF if tracked else COCO_CONF
        copied = copy.deepcopy(model).eval()
        fold_batch_norms(copied)
        predictor = Predictor(
            copied,
            config,
            device=device,
            conf=default_conf if settings.conf is None else settings.conf,
            window=settings.window,
            input_px=settings.input_px,
        )
        found = self._posetrack(predictor) if tracked else self._images(predictor)
        undefined = math.nan
        values = {name: found.get(name, undefined) for name in METRICS[settings.kind]}
        return {n: float(undefined if v is None else v) for n, v in values.items()}

    def _images(self, predictor: Predictor) -> dict[str, Any]:
        gt, pred = predict_coco(self.gt, self.images, lambda: predictor)
        sources = (str(self.gt), "The prediction")
        if self.config.kind == "crowdpose":
            return crowdpose_ap(gt, pred, sources).to_dict()
        return coco_oks_ap(gt, pred, self.config.joints, sources=sources).to_dict()

    def _posetrack(self, predictor: Predictor) -> dict[str, Any]:
        gt, pred = track_posetrack(self.gt, self.images, lambda: predictor, "the run")
        result = PoseTrackMatch.load(gt, pred).result().to_dict()
        tables = {n: result[n] for n in ("ap", "precision", "recall", "mota", "motp")}
        totals = {name: table["total"] for name, table in tables.items() if table is not None}
        return {**{n.lower(): v for n, v in (result["hota"] or {}).items()}, **totals}

    def note(self, metrics: dict[str, float]) -> bool:
        """Whether these are the best so far."""
        value = metrics[self.config.metric]
        better = math.isfinite(value) and (self.best is None or value > self.best)
        if better:
            self.best = value
        self.waited = 0 if better else self.waited + 1
        return better

    def exhausted(self) -> bool:
        """Whether the stage has waited long enough for a better score."""
        return self.config.patience is not None and self.waited >= self.config.patience

    def state_dict(self) -> dict[str, float | int | None]:
        """For checkpoints."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` gave."""
        self.best, self.waited = state["best"], int(state["waited"])
