"""A training run: its stages, data, optimiser, losses and evaluation.

Recipes are files of `TrainConfig`; the bundled ones are in `config/presets/recipes`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from vepe.config.base import Settings
from vepe.config.data import SourceConfig
from vepe.config.load import merge, preset_names, read_yaml
from vepe.errors import VepeError

SAME_MODEL = "init"
"""`model: {extends: init}` is the model of the weights in `init`."""

MAX_STEPS = 1_000_000_000
MAX_MINUTES = 5_256_000
"""Ten years."""

METRICS = {
    "coco": ("ap", "ap50", "ap75", "ap_medium", "ap_large", "ar", "ar50", "ar75"),
    "crowdpose": ("ap", "ap50", "ap75", "ap_easy", "ap_medium", "ap_hard", "ar", "ar50", "ar75"),
    "posetrack": ("ap", "precision", "recall", "mota", "motp", "hota", "deta", "assa", "loca"),
}
"""Names of the metrics of each kind, in percent; higher is better for all of them."""


class EvaluationConfig(Settings):
    """Evaluation of the EMA weights, at intervals and at the end of each stage.

    The weights with the best `metric` are saved as `best.safetensors`.

    Attributes:
        kind: whose rules score the predictions.
        joints: all keypoints, or those that prediction and ground truth share by name.
        metric: which metric decides on the best weights.
        every_steps, every_minutes: interval of evaluations within a stage; without either, at its
            end only.
        input_px: longer side of the network's input; the model's own where it is not set.
        window: frames of the window; the model's own where it is not set.
    """

    kind: Literal["coco", "crowdpose", "posetrack"] = "coco"
    gt: str = Field(description="ground truth below `data_root`: a JSON file, PoseTrack's a folder")
    images: str = Field(description="folder below `data_root` that image names are relative to")
    joints: Literal["all", "shared"] = "shared"
    metric: str = "ap"
    every_steps: int | None = Field(None, ge=1, le=MAX_STEPS)
    every_minutes: float | None = Field(None, gt=0, le=MAX_MINUTES)
    patience: int | None = Field(
        None,
        ge=1,
        le=MAX_STEPS,
        description="early stopping: end a stage after so many evaluations without a new best",
    )
    conf: float | None = Field(None, ge=0, le=1, description="lowest person score")
    input_px: int | None = Field(None, ge=32, le=8192)
    window: int | None = Field(None, ge=1, le=1000)

    @model_validator(mode="after")
    def _check_metric(self) -> EvaluationConfig:
        if self.metric not in METRICS[self.kind]:
            raise ValueError(
                f"{self.kind} has no metric '{self.metric}'; give {', '.join(METRICS[self.kind])}"
            )
        if self.patience and not (self.every_steps or self.every_minutes):
            raise ValueError("patience counts evaluations; set every_steps or every_minutes too")
        return self


class LossConfig(Settings):
    """Weights of the losses; 0 turns a part off, and it is not computed.

    Attributes:
        score: person score against the quality of the pose.
        l1: distance of keypoints, relative to the person's size.
        oks: 1 - OKS.
        confidence: confidence of keypoints.
        dense: one-to-many loss on the proposals.
        denoising: losses of denoising queries.
        contrastive: contrastive loss between identities of different people.
        cosine: distance between identities of one person over frames.
        proposals: losses of the proposals.
        layers: losses of the layers of the spatial decoder.
    """

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
    """The learning rate over a stage, after its warm-up.

    Attributes:
        kind: cosine to the floor, drops at milestones, or constant.
    """

    kind: Literal["cosine", "step", "constant"] = "cosine"
    milestones: tuple[float, ...] = Field(
        (), description="`step`: fractions of the stage, 0 to 1, at which the rate drops"
    )
    gamma: float = Field(0.1, gt=0, lt=1, description="`step`: factor of each drop")
    floor: float = Field(
        0.01, ge=0, le=1, description="`cosine`: final rate as a fraction of the full rate"
    )

    @model_validator(mode="after")
    def _check_milestones(self) -> ScheduleConfig:
        rising = all(a < b for a, b in zip(self.milestones, self.milestones[1:], strict=False))
        if not rising or any(not 0 < m < 1 for m in self.milestones):
            raise ValueError("milestones are fractions of the stage, between 0 and 1 and rising")
        if (self.kind == "step") != bool(self.milestones):
            raise ValueError("kind `step` and milestones go together")
        return self


class StageConfig(Settings):
    """One stage of a run: what is trained, on which data, for how long.

    `steps` makes a run reproducible, `minutes` is a budget of wall time; with both, whichever comes
    first ends the stage. The schedule follows the same measure.

    Attributes:
        name: its name in logs and checkpoints.
        steps, minutes: length of the stage; with both, whichever comes first.
        lr: learning rate of all but the backbone.
        warmup_steps: steps over which the learning rate rises to its value.
    """

    RENAMED: ClassVar[dict[str, str | None]] = {
        "sampling_lr": "sampling_lr_factor",
        "noise_groups": "denoising_groups",
    }

    name: str
    steps: int | None = Field(None, ge=1, le=MAX_STEPS)
    minutes: float | None = Field(None, gt=0, le=MAX_MINUTES)
    frames: int = Field(1, ge=1, le=1000, description="frames per clip")
    size_px: int = Field(320, ge=64, le=8192, description="side of the training images")
    batch: int = Field(16, ge=1, le=65536, description="clips per micro-batch in each process")
    lr: float = Field(5e-4, gt=0)
    backbone_lr: float = Field(0.0, ge=0, description="0 freezes the backbone")
    sampling_lr_factor: float = Field(
        1.0, gt=0, description="factor of `lr` for the sampling offsets of deformable attention"
    )
    schedule: ScheduleConfig = ScheduleConfig()
    freeze: tuple[str, ...] = Field(
        (), description="modules that are not trained, such as pyramid or backbone.net.blocks.0"
    )
    warmup_steps: int = Field(100, ge=0, le=MAX_STEPS)
    denoising_groups: int = Field(
        2, ge=0, le=100, description="noised copies of each person, half positive, half negative"
    )
    skip_last: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of steps without the spatial decoder's last layer, so that a model "
        "without it can take the weights over",
    )
    data: tuple[SourceConfig, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_length(self) -> StageConfig:
        if self.steps is None and self.minutes is None:
            raise ValueError("set steps or minutes, or the stage never ends")
        return self


class TrainConfig(Settings):
    """A whole run.

    An optimiser step takes `batch` x `accumulate` x processes clips; with `clips_per_step`,
    `accumulate` follows from the number of processes, so that a recipe means the same on one GPU
    and on many. How clips are split changes only rounding, so a run can be resumed with more or
    fewer processes.

    Attributes:
        data_root: folder that paths of data, weights and ground truth are relative to.
        seed: all randomness is a function of it and of the sample's number.
        weight_decay: AdamW's; not for biases, norms and embeddings.
        clip_norm: largest gradient norm.
        ema: decay of the averaged weights, which are what is saved.
        device: where to train; auto takes a GPU if there is one.
        checkpoint_minutes: longest time between two checkpoints.
    """

    RENAMED: ClassVar[dict[str, str | None]] = {"pictures_every": "image_every_steps"}

    model: str | dict[str, Any] = Field("vepe-n", description="preset, YAML file, or options")
    backbone_weights: str | None = Field(None, description="safetensors of the bare backbone")
    pretrained_backbone: bool = Field(False, description="let timm download ImageNet weights")
    init: str | None = Field(None, description="checkpoint to start from")
    data_root: str = "."
    seed: int = Field(0, ge=0, lt=2**32)
    workers: int | None = Field(
        None,
        ge=0,
        le=1024,
        description="loader processes; default: none on a CPU, up to 8 for a GPU",
    )
    weight_decay: float = Field(1e-4, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    ema: float = Field(0.999, ge=0, lt=1)
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        "fp32", description="of the network in training; losses stay in float32"
    )
    clips_per_step: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="clips per optimiser step, over all processes; decides `accumulate`",
    )
    accumulate: int = Field(1, ge=1, le=65536, description="micro-batches per optimiser step")
    gradient_checkpointing: bool = Field(
        False, description="less memory for about a third more time"
    )
    compile: bool = Field(False, description="compile the network with torch.compile")
    calibration_batches: int = Field(
        30,
        ge=0,
        le=1_000_000,
        description="batches for the calibration of scores at the end; 0 keeps that of `init`",
    )
    checkpoint_minutes: float = Field(5.0, gt=0, le=MAX_MINUTES)
    checkpoint_steps: int | None = Field(
        None, ge=1, le=MAX_STEPS, description="also save every so many steps"
    )
    evaluation: EvaluationConfig | None = None
    logging: tuple[Literal["wandb", "mlflow"], ...] = Field(
        (), description="in addition to TensorBoard"
    )
    image_every_steps: int = Field(
        500, ge=0, le=MAX_STEPS, description="steps between two images of predictions; 0 for none"
    )
    losses: LossConfig = LossConfig()
    stages: tuple[StageConfig, ...] = Field(min_length=1)

    @field_validator("precision", mode="before")
    @classmethod
    def _accept_no(cls, value: Any) -> Any:
        """`no`, an earlier name of fp32, which YAML reads as False."""
        return "fp32" if value in (False, "no") else value

    @model_validator(mode="after")
    def _check_names(self) -> TrainConfig:
        names = [stage.name for stage in self.stages]
        duplicate = next((name for name in names if names.count(name) > 1), None)
        if duplicate is not None:
            raise ValueError(f"two stages are called '{duplicate}'; give each its own name")
        return self

    @model_validator(mode="after")
    def _check_accumulation(self) -> TrainConfig:
        if self.clips_per_step is not None and self.accumulate != 1:
            raise ValueError(
                f"clips_per_step is {self.clips_per_step} and decides accumulate; leave accumulate "
                "out, or set clips_per_step=null"
            )
        return self

    def accumulation(self, stage: StageConfig, processes: int) -> int:
        """Micro-batches per optimiser step of a stage, in each of so many processes.

        Raises:
            VepeError: if the clips of a step cannot be divided evenly.
        """
        if self.clips_per_step is None:
            return self.accumulate
        count, rest = divmod(self.clips_per_step, stage.batch * processes)
        if count and not rest:
            return count
        share, rest = divmod(self.clips_per_step, processes)
        fits = [batch for batch in range(1, stage.batch + 1) if not rest and share % batch == 0]
        index = [own.name for own in self.stages].index(stage.name)
        advice = f"stages.{index}.batch={fits[-1]}" if fits else "another clips_per_step"
        raise VepeError(
            f"A step of stage '{stage.name}' takes {self.clips_per_step} clips, which batches of "
            f"{stage.batch} in {processes} processes cannot make up; set {advice}."
        )

    def within(self, minutes: float) -> TrainConfig:
        """The same run, with `minutes` for all stages together in the recipe's proportions.

        Stages with steps alone get a limit in the proportion of their steps, and keep those. The
        calibration shrinks along with stages in minutes.

        Raises:
            VepeError: if some stages have minutes, and others steps alone.
        """
        parts: list[float] = [stage.minutes for stage in self.stages if stage.minutes]
        calibration = self.calibration_batches
        if not parts:
            parts = [float(stage.steps or 0) for stage in self.stages]
        elif len(parts) == len(self.stages):
            share = minutes / sum(parts)
            calibration = min(calibration, max(2, math.ceil(share * calibration)))
        else:
            name = next(stage.name for stage in self.stages if stage.minutes is None)
            raise VepeError(
                f"Stage '{name}' has steps and no minutes, but others have minutes, so --minutes "
                "cannot divide the time; give it minutes, or leave --minutes out."
            )
        stages = tuple(
            stage.model_copy(update={"minutes": part * minutes / sum(parts)})
            for stage, part in zip(self.stages, parts, strict=True)
        )
        return self.model_copy(update={"stages": stages, "calibration_batches": calibration})

    def check_start(self) -> None:
        """Checks that the files that the run starts from exist, without reading them.

        Raises:
            VepeError: says which is missing and, for the result of another recipe, how to make it.
        """
        if self.init is not None and not Path(self.init).is_file():
            first = Path(self.init).parent.name
            if first in preset_names("recipes"):
                raise VepeError(
                    f"There is no '{self.init}', the result of the recipe before this one; first "
                    f"run: vepe train {first} --data-root {self.data_root} -o "
                    f"{Path(self.init).parent}, or set init=WEIGHTS."
                )
            if Path(self.init).suffix == ".safetensors" and "://" not in self.init:
                raise VepeError(f"There is no weights file '{self.init}' (init); check the path.")

    def model_options(self, of_weights: Callable[[str], Mapping[str, Any]]) -> dict[str, Any]:
        """The options of the model, merged with those they extend.

        Args:
            of_weights: gives the options of the model in a file of weights, for
                `model: {extends: init}`.

        Raises:
            VepeError: if `init` or a preset is missing.
        """
        if isinstance(self.model, str):
            return read_yaml(self.model)
        options = dict(self.model)
        base = options.pop("extends", None)
        if base is None:
            return options
        if base == SAME_MODEL:
            if self.init is None:
                raise VepeError("`model` extends `init`, but there is none; set init=WEIGHTS.")
            values = dict(of_weights(self.init))
        else:
            values = read_yaml(str(base))
        if "skeleton" in options:
            values.pop("skeleton", None)  # a skeleton is replaced as a whole
        return merge(values, options)
