"""Settings of synthetic video: its size, who is in it and what they do, and what is labelled."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from vepe.config.base import Settings


class ActionWeights(Settings):
    """Sampling weights of the actions; only their ratios matter, and 0 disables an action.

    `stroll` is walking with stops; `talk` is a group facing each other; `fight` is a pair; `low` is
    squatting, kneeling and bending; `sit` is on chairs, `floor` on the ground; `fall` is falling,
    lying and getting up; `crawl` also rolls; `acrobatics` is jumps, spins and cartwheels.

    Attributes:
        walk, stroll, run, stand, talk, sit, floor, low, dance, fight, fall, crawl, acrobatics:
            weight of this action.
    """

    walk: float = Field(default=5.0, ge=0)
    stroll: float = Field(default=2.0, ge=0)
    run: float = Field(default=2.0, ge=0)
    stand: float = Field(default=3.0, ge=0)
    talk: float = Field(default=2.0, ge=0)
    sit: float = Field(default=2.5, ge=0)
    floor: float = Field(default=1.0, ge=0)
    low: float = Field(default=1.5, ge=0)
    dance: float = Field(default=2.5, ge=0)
    fight: float = Field(default=2.0, ge=0)
    fall: float = Field(default=1.5, ge=0)
    crawl: float = Field(default=0.8, ge=0)
    acrobatics: float = Field(default=1.5, ge=0)

    @model_validator(mode="after")
    def _some(self) -> ActionWeights:
        if not sum(self.model_dump().values()) > 0:
            raise ValueError("all action weights are 0; give at least one action a positive weight")
        return self


class PeopleSettings(Settings):
    """Who is in a scene, and how close people are to each other.

    Attributes:
        people_min, people_max: range of the number of people.
        spread_m: range of the radius in metres of the ground per person; it grows with the square
            root of the number of people. Smaller means more crossings and occlusions.
        actions: how often each action is chosen.
        child_share: fraction of children, 1.0 to 1.5 m tall.
        recolour_share: fraction of people whose clothes get other colours than their avatar's.
        perturbation: scale of the random joint noise; 0 disables it.
    """

    people_min: int = Field(default=1, ge=1, le=12)
    people_max: int = Field(default=8, ge=1, le=12)
    spread_m: tuple[float, float] = (0.5, 1.2)
    actions: ActionWeights = Field(default_factory=ActionWeights)
    child_share: float = Field(default=0.15, ge=0, le=1)
    recolour_share: float = Field(default=0.6, ge=0, le=1)
    perturbation: float = Field(default=1.0, ge=0, le=3)

    @model_validator(mode="after")
    def _ordered(self) -> PeopleSettings:
        if self.people_min > self.people_max:
            raise ValueError("people_min is above people_max; give the range from low to high")
        if not 0 < self.spread_m[0] <= self.spread_m[1]:
            raise ValueError("spread_m must be two positive numbers, the lower first")
        return self


class SynthSettings(Settings):
    """Settings of a synthetic video. The same settings and seed give the same video.

    Attributes:
        width, height: image size in pixels.
        fps: frames per second.
        frames: number of frames per video.
        people: how many people there are and what they do.
        occluder_share: fraction of videos with objects in front of people.
        blur_share: fraction of videos with motion blur.
        min_person_px: people whose whole body is less tall than this become ignore regions.
        min_visible_share: people with a smaller visible fraction become ignore regions.
    """

    width: int = Field(default=640, ge=64, le=4096)
    height: int = Field(default=384, ge=64, le=4096)
    fps: float = Field(default=25.0, gt=0, le=240)
    frames: int = Field(default=24, ge=1, le=9999)
    people: PeopleSettings = PeopleSettings()
    occluder_share: float = Field(default=0.5, ge=0, le=1)
    blur_share: float = Field(default=0.4, ge=0, le=1)
    min_person_px: float = Field(default=24.0, ge=0)
    min_visible_share: float = Field(default=0.15, ge=0, le=1)

    @model_validator(mode="after")
    def _people_in_order(self) -> Self:
        if self.people.people_min > self.people.people_max:
            raise ValueError("people_min is more than people_max")
        return self
