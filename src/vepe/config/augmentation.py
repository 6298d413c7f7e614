"""How clips are varied in training. Everything is drawn once a clip."""

from __future__ import annotations

from pydantic import Field

from vepe.config.base import Settings


class AugmentationConfig(Settings):
    """Chances and strengths; 0 switches a part off.

    Where a clip is placed (sizes of people, motion of the camera, several pictures on a canvas)
    is up to its source.
    """

    flip: float = Field(0.5, ge=0, le=1, description="chance of a mirrored clip")
    turn_rad: float = Field(0.2, ge=0, le=3.2, description="one sigma of the rotation, in radians")
    aspect: float = Field(0.08, ge=0, le=0.7, description="one sigma of log width over height")
    moving: float = Field(
        0.5, ge=0, le=1, description="chance that people of a still move in a clip of it"
    )
    body_motion: float = Field(1.0, ge=0, le=2, description="how far their limbs swing")
    copy_paste: float = Field(0.1, ge=0, le=1, description="chance of a person from elsewhere")
    occluders: float = Field(0.1, ge=0, le=1, description="chance of a block in front of people")
    colour: float = Field(1.0, ge=0, le=1.5, description="strength of brightness, contrast, tint")
    flicker: float = Field(0.02, ge=0, le=0.5, description="one sigma of light from frame to frame")
    grey: float = Field(0.05, ge=0, le=1, description="chance of a clip without colours")
    blur: float = Field(0.2, ge=0, le=1, description="chance of motion blur")
    noise: float = Field(0.15, ge=0, le=1, description="chance of grain")


PLAIN = AugmentationConfig(
    flip=0,
    turn_rad=0,
    aspect=0,
    moving=0,
    copy_paste=0,
    occluders=0,
    colour=0,
    flicker=0,
    grey=0,
    blur=0,
    noise=0,
)
"""Nothing varies but what the source draws."""
