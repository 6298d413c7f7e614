"""Where training clips come from: one settings class a kind of source."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vepe.config.base import Settings


class StillsConfig(Settings):
    """Pseudo-clips from labelled pictures in COCO-style tar shards."""

    kind: Literal["stills"] = "stills"
    shards: tuple[str, ...] = Field(min_length=1, description="glob patterns below `data_root`")
    share: float = Field(1.0, gt=0)
    complete_background: float = Field(1.0, ge=0, le=1)
    incomplete_background: float = Field(0.0, ge=0, le=1)
    layouts: tuple[float, float, float, float] = Field(
        (0.4, 0.25, 0.35, 0.0), description="chances of 1, 2, 4 and 9 pictures on a canvas"
    )
    sizes: tuple[float, float] = (0.3, 1.1)
    motion: float = Field(1.0, ge=0)


class FramesConfig(Settings):
    """Real clips in COCO-style tar shards whose pictures carry `video_id` and `time_s`."""

    kind: Literal["frames"] = "frames"
    shards: tuple[str, ...] = Field(min_length=1)
    share: float = Field(1.0, gt=0)
    incomplete_background: float = Field(0.0, ge=0, le=1)
    max_gap_s: float = Field(0.4, gt=0, description="longest time between two frames of a clip")


class SyntheticConfig(Settings):
    """Procedural clips made in code."""

    kind: Literal["synthetic"] = "synthetic"
    share: float = Field(1.0, gt=0)
    people: tuple[int, int] = (1, 5)
    fps: float = Field(12.5, gt=0)


SourceConfig = Annotated[StillsConfig | FramesConfig | SyntheticConfig, Field(discriminator="kind")]
