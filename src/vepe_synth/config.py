"""Settings of synthetic video: its size, what is filmed, and what is labelled."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from vepe.config.base import Settings
from vepe_synth.scene_config import PerformanceSettings


class SynthSettings(Settings):
    """How synthetic video looks. Equal settings and seed give equal video.

    Attributes:
        width, height: of the pictures in pixels.
        fps: frames a second.
        frames: length of a video.
        people: who is in it and what they do.
        occluder_share: share of videos with things in front of people.
        blur_share: share of videos with motion blur.
        min_person_px: smaller people become ignore regions (height of the whole person in pixels).
        min_visible_share: people of whom less can be seen become ignore regions.
    """

    width: int = Field(default=640, ge=64, le=4096)
    height: int = Field(default=384, ge=64, le=4096)
    fps: float = Field(default=25.0, gt=0, le=240)
    frames: int = Field(default=24, ge=1, le=9999)
    people: PerformanceSettings = PerformanceSettings()
    occluder_share: float = Field(default=0.5, ge=0, le=1)
    blur_share: float = Field(default=0.4, ge=0, le=1)
    min_person_px: float = Field(default=24.0, ge=0)
    min_visible_share: float = Field(default=0.15, ge=0, le=1)

    @model_validator(mode="after")
    def _people_in_order(self) -> Self:
        if self.people.people_min > self.people.people_max:
            raise ValueError("people_min is more than people_max")
        return self
