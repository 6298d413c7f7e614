"""What a model is made of, and how it is used on video; stored with its weights.

The presets in `config/presets/models` are values of `ModelConfig`. To add an option, add a field
whose default leaves existing models unchanged.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from vepe.config.base import Settings
from vepe.config.skeleton import read_skeleton
from vepe.config.tracking import ShotSettings, SmoothingSettings, TrackerSettings
from vepe.errors import VepeError
from vepe.skeleton import POSETRACK15, Skeleton

MAX_LAYERS = 64
"""Most layers of each part."""
MAX_LAYER_VALUES = 1_000_000_000
"""Most weights of all encoder and decoder layers together: a mistyped width is no out-of-memory."""


class SpatialEncoderConfig(Settings):
    """Deformable encoder within a frame. Only `levels` are updated (0 is the finest).

    Attributes:
        layers: number of layers; 0 leaves the part out.
        levels: levels that are updated, 0 is the finest.
    """

    layers: int = Field(1, ge=0, le=MAX_LAYERS)
    levels: tuple[int, ...] = (1, 2)


class SpatialDecoderConfig(Settings):
    """Decoder that turns proposals into queries and poses, frame by frame.

    Attributes:
        layers: number of layers.
    """

    layers: int = Field(2, ge=1, le=MAX_LAYERS)


class TemporalConfig(Settings):
    """The parts that read a window of frames. Each can be switched off for ablations.

    Attributes:
        pose_encoder: STPE's update of a frame's queries.
        memory_encoder: STDME's update of a frame's memory.
        pose_encoder_layers: layers of STPE's update.
        memory_encoder_layers: layers of STDME's update.
        memory_encoder_levels: levels that STDME updates, 0 is the finest.
        pose_decoder_layers: layers of STPD.
    """

    RENAMED: ClassVar = {"spacing_s": "memory_interval_s"}

    pose_encoder: bool = True
    memory_encoder: bool = True
    window: int = Field(
        7, ge=1, le=1000, description="frames that a key frame reads, itself included"
    )
    lookahead: int = Field(
        4,
        ge=0,
        le=1000,
        description="frames to wait for, of which the 1st, 2nd and 4th are read; live: 0",
    )
    alignment: Literal["flow", "none"] = Field(
        "flow", description="how joints are carried between the frames of a window"
    )
    memory_interval_s: float = Field(
        0.03,
        ge=0,
        le=3600,
        description="shortest time between two frames in memory; 0 keeps every frame",
    )
    pose_encoder_layers: int = Field(1, ge=1, le=MAX_LAYERS)
    memory_encoder_layers: int = Field(1, ge=1, le=MAX_LAYERS)
    memory_encoder_levels: tuple[int, ...] = (1, 2)
    pose_decoder_layers: int = Field(1, ge=1, le=MAX_LAYERS)


class ConsistencyConfig(Settings):
    """Instance consistency. Off: no identity loss, uniform matching, no embeddings to track by.

    Attributes:
        enabled: whether the part exists.
        matching: how people of other frames are associated: by identity and overlap, or all alike.
    """

    enabled: bool = True
    matching: Literal["identity", "uniform"] = "identity"
    dim: int = Field(64, ge=1, le=4096, description="length of the identity embedding")
    appearance: int = Field(
        0,
        ge=0,
        le=1024,
        description="appearance channels per keypoint in the identity head; 0: none",
    )


class ModelConfig(Settings):
    """All of a model: sizes, parts, skeleton, input size, and its settings for video.

    `tracker`, `smoothing` and `shots` have no effect on the network; they are the settings that go
    with its scores and embeddings. At inference the tracker's thresholds are scaled so that tracks
    start at `conf`.

    Attributes:
        name: its name in results and logs.
        backbone: any timm model with feature maps, or `mobilenetv2_pose_100` (or 175), MoveNet's.
        strides: strides of the feature maps that the network reads, in pixels of its input.
        dim: channels of memory and queries.
        heads: attention heads.
        keypoint_search: local refinement of keypoints in every decoder layer.
        skeleton: keypoints, edges, flip pairs and sigmas: the name of a skeleton, or their lists.
    """

    RENAMED: ClassVar = {"fine": "high_resolution_dim"}

    name: str = "custom"
    backbone: str = "mobilenetv2_pose_100"
    strides: tuple[int, ...] = Field((8, 16, 32), min_length=1, max_length=8)
    dim: int = Field(128, ge=16, le=4096)
    heads: int = Field(4, ge=1, le=256)
    points: int = Field(4, ge=1, le=64, description="sampling points per head, level and frame")
    hidden: int = Field(256, ge=1, le=32768, description="width of the feed-forward blocks")
    queries: int = Field(
        30, ge=1, le=2000, description="number of queries: at most so many people per frame"
    )
    keypoint_search: bool = True
    high_resolution_dim: int = Field(
        0,
        ge=0,
        le=1024,
        description="channels of the features at half the finest stride, for keypoint refinement; "
        "0: none",
    )
    input_px: int = Field(384, ge=32, le=8192, description="longer side of the input at inference")
    spatial_encoder: SpatialEncoderConfig = SpatialEncoderConfig()
    spatial_decoder: SpatialDecoderConfig = SpatialDecoderConfig()
    temporal: TemporalConfig = TemporalConfig()
    consistency: ConsistencyConfig = ConsistencyConfig()
    tracker: TrackerSettings = TrackerSettings()
    smoothing: SmoothingSettings = SmoothingSettings()
    shots: ShotSettings = ShotSettings()
    skeleton: Skeleton = POSETRACK15

    @field_validator("skeleton", mode="before")
    @classmethod
    def _skeleton(cls, value: Any) -> Any:
        try:
            return read_skeleton(value)
        except VepeError as error:
            raise ValueError(str(error).rstrip(".")) from None

    @model_validator(mode="after")
    def _fits(self) -> ModelConfig:
        if self.dim % self.heads or self.dim % 8:
            raise ValueError("dim must be a multiple of heads and of 8")
        if self.high_resolution_dim % 8 or (self.high_resolution_dim and not self.keypoint_search):
            raise ValueError(
                "high_resolution_dim must be a multiple of 8, and 0 without keypoint_search"
            )
        if not 2 <= self.strides[0] <= 256:
            raise ValueError("strides start at 2 to 256")
        if any(b != 2 * a for a, b in zip(self.strides, self.strides[1:], strict=False)):
            raise ValueError("each stride must be twice the one before")
        for levels in (self.spatial_encoder.levels, self.temporal.memory_encoder_levels):
            if not levels or not set(levels) <= set(range(len(self.strides))):
                raise ValueError(f"levels must be among 0 to {len(self.strides) - 1}")
        values = self._layer_values()
        if values > MAX_LAYER_VALUES:
            raise ValueError(
                f"the layers would have about {values:.1e} weights, and at most "
                f"{MAX_LAYER_VALUES:.0e} are possible; lower dim, hidden or the layers"
            )
        return self

    def _layer_values(self) -> int:
        """About how many weights the encoder and decoder layers have together."""
        temporal = self.temporal
        layers = self.spatial_encoder.layers + self.spatial_decoder.layers
        layers += temporal.pose_encoder_layers + temporal.memory_encoder_layers
        layers += temporal.pose_decoder_layers
        sampling = self.heads * self.points * len(self.strides) * 3
        return layers * self.dim * (8 * self.dim + 2 * self.hidden + sampling)
