"""What a model is made of; the presets in `config/presets/models` are values of it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from vepe.config.base import Settings
from vepe.config.skeleton import read_skeleton
from vepe.errors import VepeError
from vepe.skeleton import POSETRACK15, Skeleton


class SpatialEncoderConfig(Settings):
    """Deformable layers within a frame. `levels` are those that are updated (0 is the finest)."""

    layers: int = Field(1, ge=0)
    levels: tuple[int, ...] = (1, 2)


class SpatialDecoderConfig(Settings):
    """Layers that turn proposals into queries and poses, frame by frame."""

    layers: int = Field(2, ge=1)


class TemporalConfig(Settings):
    """The parts that look at a window of frames. Each can be switched off for ablations."""

    pose_encoder: bool = True
    memory_encoder: bool = True
    window: int = Field(3, ge=1, description="frames that a key frame reads, itself included")
    lookahead: int = Field(0, ge=0, description="how many of them lie in the future")
    spacing_s: float = Field(
        0.0, ge=0, description="least time between two frames that windows remember; 0: all of them"
    )
    pose_encoder_layers: int = Field(1, ge=1)
    memory_encoder_layers: int = Field(1, ge=1)
    memory_encoder_levels: tuple[int, ...] = (1, 2)
    pose_decoder_layers: int = Field(1, ge=1)


class ConsistencyConfig(Settings):
    """Instance consistency. Off: no identity loss, uniform matching, no embeddings to track by."""

    enabled: bool = True
    matching: Literal["identity", "uniform"] = "identity"
    dim: int = Field(64, ge=1, description="length of the identity embedding")
    appearance: int = Field(
        0, ge=0, description="numbers a keypoint that tell what somebody looks like; 0: none"
    )


class ModelConfig(Settings):
    """All of a model: sizes, parts, skeleton and the input it was made for."""

    name: str = "custom"
    backbone: str = "mobilenetv2_pose_100"
    strides: tuple[int, ...] = (8, 16, 32)
    dim: int = Field(128, ge=16)
    heads: int = Field(4, ge=1)
    points: int = Field(4, ge=1, description="sampling points a head, level and frame")
    hidden: int = Field(256, ge=1, description="width of the feed-forward blocks")
    queries: int = Field(30, ge=1, description="people that a frame can hold")
    keypoint_search: bool = True
    fine: int = Field(
        0, ge=0, description="channels of a map at half the finest stride for the search; 0: none"
    )
    input_px: int = Field(384, ge=32, description="longer side of the input at inference")
    spatial_encoder: SpatialEncoderConfig = SpatialEncoderConfig()
    spatial_decoder: SpatialDecoderConfig = SpatialDecoderConfig()
    temporal: TemporalConfig = TemporalConfig()
    consistency: ConsistencyConfig = ConsistencyConfig()
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
        if self.fine % 8 or (self.fine and not self.keypoint_search):
            raise ValueError("fine must be a multiple of 8, and 0 without keypoint_search")
        if any(b != 2 * a for a, b in zip(self.strides, self.strides[1:], strict=False)):
            raise ValueError("each stride must be twice the one before")
        for levels in (self.spatial_encoder.levels, self.temporal.memory_encoder_levels):
            if not levels or not set(levels) <= set(range(len(self.strides))):
                raise ValueError(f"levels must be among 0 to {len(self.strides) - 1}")
        if self.temporal.lookahead >= self.temporal.window:
            raise ValueError("temporal.lookahead must be smaller than temporal.window")
        return self
