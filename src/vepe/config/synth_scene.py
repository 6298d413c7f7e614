"""Settings of the people in synthetic video: how many, and what they do."""

from __future__ import annotations

from pydantic import Field

from vepe.config.base import Settings


class PerformanceSettings(Settings):
    """Who is in a synthetic scene. Shares need not add up to 1.

    `people_min` and `people_max` bound the number of people.
    """

    people_min: int = Field(default=1, ge=1, le=12)
    people_max: int = Field(default=12, ge=1, le=12)
