"""What a training run is measured by while it goes.

What a training run does: data, stages, optimiser. Recipes in `config/presets/recipes/*.yaml`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from vepe.config.base import Settings
from vepe.config.data import SourceConfig
from vepe.errors import VepeError

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


class LossConfig(Settings):
    """Weights of the losses; 0 switches a part off."""

    score: float = Field(2.0, ge=0)
    l1: float = Field(5.0, ge=0)
    oks: float = Field(4.0, ge=0)
    confidence: float = Field(1.0, ge=0)
    dense: float = Field(1.0, ge=0)
    denoising: float = Field(1.0, ge=0)
    contrastive: float = Field(2.0, ge=0)
    cosine: float = Field(3.0, ge=0)
    proposals: float = Field(1.0, ge=0)
    layers: float = Field(1.0, ge=0)


class ScheduleConfig(Settings):
    """The learning rate over a stage, after its warm-up."""

    kind: Literal["cosine", "step", "constant"] = "cosine"
    milestones: tuple[float, ...] = Field(
        (), description="`step`: shares of the stage, 0 to 1, at which the rate falls"
    )
    gamma: float = Field(0.1, gt=0, lt=1, description="`step`: what it is multiplied by then")
    floor: float = Field(0.01, ge=0, le=1, description="`cosine`: share of the rate at the end")

    @model_validator(mode="after")
    def _fits(self) -> ScheduleConfig:
        rising = all(a < b for a, b in zip(self.milestones, self.milestones[1:], strict=False))
        if not rising or any(not 0 < m < 1 for m in self.milestones):
            raise ValueError("milestones are shares of the stage, between 0 and 1 and rising")
        if (self.kind == "step") != bool(self.milestones):
            raise ValueError("kind `step` and milestones go together")
        return self


class StageConfig(Settings):
    """One stage of a run: what is trained on what, for how long.

    Give `steps` for a run that can be repeated exactly, or `minutes` for a budget of wall time;
    with both, whichever comes first ends the stage. The schedule follows the same measure.
    """

    name: str
    steps: int | None = Field(None, ge=1)
    minutes: float | None = Field(None, gt=0)
    frames: int = Field(1, ge=1, description="frames of a clip")
    size_px: int = Field(320, ge=64, description="side of the training pictures")
    batch: int = Field(16, ge=1, description="clips at a time in each process")
    lr: float = Field(5e-4, gt=0)
    backbone_lr: float = Field(0.0, ge=0, description="0 freezes the backbone")
    sampling_lr: float = Field(
        1.0, gt=0, description="factor of the rate for where deformable attention looks"
    )
    schedule: ScheduleConfig = ScheduleConfig()
    freeze: tuple[str, ...] = Field(
        (), description="modules whose weights stay, such as pyramid or backbone.net.blocks.0"
    )
    warmup_steps: int = Field(100, ge=0)
    noise_groups: int = Field(2, ge=0, description="denoising copies of each person, half far")
    data: tuple[SourceConfig, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ends(self) -> StageConfig:
        if self.steps is None and self.minutes is None:
            raise ValueError("give steps or minutes, or the stage never ends")
        return self


class TrainConfig(Settings):
    """A whole run.

    An optimiser step takes `batch` x `accumulate` x processes clips; how they are spread changes
    nothing but rounding, so that a run may go on with more or fewer processes.
    """

    model: str | dict[str, Any] = Field("vepe-n", description="preset, YAML file, or options")
    backbone_weights: str | None = Field(None, description="safetensors of the bare backbone")
    pretrained_backbone: bool = Field(False, description="let timm download ImageNet weights")
    init: str | None = Field(None, description="checkpoint to start from")
    data_root: str = "."
    seed: int = 0
    workers: int | None = Field(
        None, ge=0, description="processes that make clips; unless given: none beside a CPU's step"
    )
    weight_decay: float = Field(1e-4, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    ema: float = Field(0.999, ge=0, lt=1)
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["no", "bf16", "fp16"] = "no"
    accumulate: int = Field(1, ge=1, description="batches that make up one optimiser step")
    gradient_checkpointing: bool = Field(False, description="less memory for a third more time")
    compile: bool = Field(False, description="let torch compile the network")
    calibration_batches: int = Field(30, ge=0, description="to calibrate scores at the end with")
    checkpoint_minutes: float = Field(5.0, gt=0)
    checkpoint_steps: int | None = Field(None, ge=1, description="besides the minutes")
    evaluation: EvaluationConfig | None = None
    logging: tuple[Literal["wandb", "mlflow"], ...] = Field((), description="besides TensorBoard")
    pictures_every: int = Field(500, ge=0, description="steps between two pictures; 0 for none")
    losses: LossConfig = LossConfig()
    stages: tuple[StageConfig, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _named(self) -> TrainConfig:
        names = [stage.name for stage in self.stages]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two stages are called '{twice}'; give each its own name")
        return self

    def within(self, minutes: float) -> TrainConfig:
        """The same run with `minutes` for all stages together, in the recipe's proportions.

        Raises:
            VepeError: where a stage is told in steps alone.
        """
        planned = [stage.minutes for stage in self.stages]
        known = [m for m in planned if m is not None]
        if len(known) < len(planned):
            name = self.stages[planned.index(None)].name
            raise VepeError(
                f"Stage '{name}' has no minutes, so there is none to shorten; leave --minutes out "
                f"or set its steps."
            )
        stages = tuple(
            stage.model_copy(update={"minutes": own * minutes / sum(known)})
            for stage, own in zip(self.stages, known, strict=True)
        )
        return self.model_copy(update={"stages": stages})
