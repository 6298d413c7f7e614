"""How clips are varied in training. Parameters are drawn once per clip."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from vepe.config.base import Settings


class AugmentationConfig(Settings):
    """Probabilities and strengths; 0 turns a part off.

    The scale of people, camera motion and mosaics are settings of the source.
    """

    RENAMED: ClassVar[dict[str, str | None]] = {"moving": None, "body_motion": None}

    flip: float = Field(0.5, ge=0, le=1, description="probability of a mirrored clip")
    turn_rad: float = Field(0.2, ge=0, le=3.2, description="sigma of the rotation in radians")
    aspect: float = Field(0.08, ge=0, le=0.7, description="sigma of log(width / height)")
    copy_paste: float = Field(0.1, ge=0, le=1, description="probability of a pasted person")
    occluders: float = Field(0.1, ge=0, le=1, description="probability of a block before people")
    colour: float = Field(1.0, ge=0, le=1.5, description="strength of brightness, contrast, tint")
    flicker: float = Field(0.02, ge=0, le=0.5, description="sigma of brightness between frames")
    grey: float = Field(0.05, ge=0, le=1, description="probability of a grey clip")
    blur: float = Field(0.2, ge=0, le=1, description="probability of motion blur")
    noise: float = Field(0.15, ge=0, le=1, description="probability of sensor noise")


PLAIN = AugmentationConfig(
    flip=0,
    turn_rad=0,
    aspect=0,
    copy_paste=0,
    occluders=0,
    colour=0,
    flicker=0,
    grey=0,
    blur=0,
    noise=0,
)
"""No augmentation."""
