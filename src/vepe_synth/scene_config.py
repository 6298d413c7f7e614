"""Settings of the people in synthetic video: how many, who, and what they do."""

from __future__ import annotations

from pydantic import Field, model_validator

from vepe.config.base import Settings


class ActionShares(Settings):
    """How often people do what; only the ratios count, 0 leaves an action out.

    `stroll` walks with stops; `talk` is a group that faces each other; `fight` is a pair; `low` is
    squatting, kneeling and bending; `sit` is on chairs, `floor` on the ground; `fall` is falling,
    lying, getting up; `crawl` crawls and rolls; `acrobatics` leaps, spins and turns cartwheels.
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
    def _some(self) -> ActionShares:
        if not sum(self.model_dump().values()) > 0:
            raise ValueError("all action shares are 0; give at least one action a share")
        return self


class PerformanceSettings(Settings):
    """Who is in a synthetic scene, and how near to each other.

    `people_min` and `people_max` bound the number of people; `spread_m` is the radius of the ground
    that they share, for one person (it grows with the root of their number): smaller means more
    crossing and hiding. `child_share` of the people are 1.0 to 1.5 m high. `recolour_share` of them
    wear other colours than their avatar. `perturbation` scales the random change of joints.
    """

    people_min: int = Field(default=1, ge=1, le=12)
    people_max: int = Field(default=8, ge=1, le=12)
    spread_m: tuple[float, float] = (0.5, 1.2)
    actions: ActionShares = Field(default_factory=ActionShares)
    child_share: float = Field(default=0.15, ge=0, le=1)
    recolour_share: float = Field(default=0.6, ge=0, le=1)
    perturbation: float = Field(default=1.0, ge=0, le=3)

    @model_validator(mode="after")
    def _ordered(self) -> PerformanceSettings:
        if self.people_min > self.people_max:
            raise ValueError("people_min is above people_max; give a range from low to high")
        if not 0 < self.spread_m[0] <= self.spread_m[1]:
            raise ValueError("spread_m must be two positive numbers, the lower first")
        return self
