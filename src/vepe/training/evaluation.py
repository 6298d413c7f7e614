"""Evaluation during a run: scores of the EMA weights, the best of them, early stopping."""

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
from vepe.inference.torch_network import TorchNetwork
from vepe.models.backbone import fold_batch_norms
from vepe.models.vepe import Vepe


class Evaluation:
    """Scores weights as `vepe evaluate` does, and remembers the best score.

    Args:
        config: data set and metric.
        root: folder that its paths are relative to.

    Attributes:
        best: the best value of the metric so far, None before the first.
        num_without_best: evaluations of the current stage since the last new best.

    Raises:
        VepeError: if the ground truth or the folder of images is missing.
    """

    def __init__(self, config: EvaluationConfig, root: Path) -> None:
        self.config, self.gt, self.images = config, root / config.gt, root / config.images
        self.best: float | None = None
        self.num_without_best = 0
        for path, key in ((self.gt, "gt"), (self.images, "images")):
            if not path.exists():
                raise VepeError(f"'{path}' does not exist; check evaluation.{key} and --data-root.")

    def scores(self, model: Vepe, config: ModelConfig, device: torch.device) -> dict[str, float]:
        """All metrics by name, in percent, NaN if undefined. The model is copied, not changed."""
        settings, tracked = self.config, self.config.kind == "posetrack"
        default_conf = POSETRACK_CONF if tracked else COCO_CONF
        copied = copy.deepcopy(model).eval()
        fold_batch_norms(copied)
        predictor = Predictor(
            TorchNetwork(copied, str(device)),
            config,
            conf=default_conf if settings.conf is None else settings.conf,
            window=settings.window,
            input_px=settings.input_px,
        )
        results = self._posetrack(predictor) if tracked else self._images(predictor)
        values = {name: results.get(name) for name in METRICS[settings.kind]}
        return {name: math.nan if v is None else float(v) for name, v in values.items()}

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

    def update_best(self, metrics: dict[str, float]) -> bool:
        """Takes new scores; returns whether they are the best so far."""
        value = metrics[self.config.metric]
        better = math.isfinite(value) and (self.best is None or value > self.best)
        if better:
            self.best = value
        self.num_without_best = 0 if better else self.num_without_best + 1
        return better

    def early_stop(self) -> bool:
        """Whether the stage has had `patience` evaluations without a new best."""
        return self.config.patience is not None and self.num_without_best >= self.config.patience

    def state_dict(self) -> dict[str, float | int | None]:
        """For checkpoints."""
        return {"best": self.best, "waited": self.num_without_best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the value of `state_dict`."""
        best = state["best"]
        self.best = None if best is None else float(best)
        self.num_without_best = int(state["waited"])
