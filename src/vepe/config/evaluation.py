"""What a training run is measured by while it goes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from vepe.config.base import Settings

METRICS = {
    "coco": ("ap", "ap50", "ap75", "ap_medium", "ap_large", "ar", "ar50", "ar75"),
    "crowdpose": ("ap", "ap50", "ap75", "ap_easy", "ap_medium", "ap_hard", "ar", "ar50", "ar75"),
    "posetrack": ("ap", "precision", "recall", "mota", "motp", "hota", "deta", "assa", "loca"),
}
"""Names of the metrics of each kind, in percent; more is better for all of them."""


class EvaluationConfig(Settings):
    """Scores of the averaged weights: every so often, and at the end of every stage.

    The best weights by `metric` are kept as `best.safetensors`.
    """

    kind: Literal["coco", "crowdpose", "posetrack"] = "coco"
    gt: str = Field(description="ground truth below `data_root`: a JSON file, PoseTrack's a folder")
    images: str = Field(description="folder below `data_root` that its picture names start from")
    joints: Literal["all", "shared"] = "shared"
    metric: str = "ap"
    every_steps: int | None = Field(None, ge=1)
    every_minutes: float | None = Field(None, gt=0)
    patience: int | None = Field(
        None, ge=1, description="end a stage after so many evaluations in a row without a new best"
    )
    conf: float | None = Field(None, ge=0, le=1, description="lowest person score")
    input_px: int | None = Field(None, ge=32)
    window: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _fits(self) -> EvaluationConfig:
        if self.metric not in METRICS[self.kind]:
            raise ValueError(
                f"{self.kind} has no metric '{self.metric}'; give {', '.join(METRICS[self.kind])}"
            )
        if self.patience and not (self.every_steps or self.every_minutes):
            raise ValueError("patience counts evaluations; give every_steps or every_minutes too")
        return self
