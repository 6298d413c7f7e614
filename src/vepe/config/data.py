"""Where training clips come from: one settings class a kind of source.

Patterns of files are relative to `root`, which is relative to the run's `data_root`; full paths
stand as they are.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from vepe.config.augmentation import AugmentationConfig
from vepe.config.base import Settings


class _Source(Settings):
    """What all sources have: their share of the clips."""

    share: float = Field(1.0, gt=0, description="clips of this source, relative to the others")


class _Files(_Source):
    """What all sources that read files have."""

    strict: bool = Field(
        False, description="a missing or damaged picture ends the run (false: it is skipped)"
    )
    augmentation: AugmentationConfig = AugmentationConfig()


class _Labels(_Files):
    """What all sources with annotation files have."""

    root: str = Field(".", description="folder of the set, below `data_root`")
    images: str = Field(
        ".", description="folder below `root` that the names of pictures are relative to"
    )
    joints: dict[str, str | None] | None = Field(
        None, description="the model's names of the set's keypoints; null drops one"
    )


class _Placed(Settings):
    """How people are placed on the canvas."""

    sizes: tuple[float, float] = Field(
        (0.15, 0.9), description="a person's longer side in units of the canvas, smallest, largest"
    )
    motion: float = Field(0.0, ge=0, description="camera motion on top of the video's own")


class _Gaps(Settings):
    """Which frames make a clip."""

    min_gap_s: float = Field(0.0, ge=0, description="shortest time between two frames of a clip")
    max_gap_s: float = Field(0.4, gt=0, description="longest time between two frames of a clip")
    dropped: float = Field(0.0, ge=0, le=1, description="chance that a gap is doubled")
    repeated: float = Field(0.0, ge=0, le=1, description="chance that a frame is shown twice")

    @model_validator(mode="after")
    def _ordered(self) -> _Gaps:
        if self.min_gap_s > self.max_gap_s:
            raise ValueError("min_gap_s is longer than max_gap_s")
        return self


class _Layouts(Settings):
    """How pictures are put together and moved."""

    layouts: tuple[float, float, float, float] = Field(
        (0.4, 0.25, 0.35, 0.0), description="chances of 1, 2, 4 and 9 pictures on a canvas"
    )
    sizes: tuple[float, float] = (0.3, 1.1)
    motion: float = Field(1.0, ge=0)


class _Shards(_Files):
    """Sets in tar shards."""

    shards: tuple[str, ...] = Field(
        min_length=1,
        description="glob patterns below `data_root`, or addresses: http://.../a-{000..099}.tar",
    )


class StillsConfig(_Shards, _Layouts):
    """Pseudo-clips from labelled pictures in COCO-style tar shards."""

    kind: Literal["stills"] = "stills"
    empty: bool = Field(True, description="also take pictures in which nobody is labelled")
    complete_background: float = Field(1.0, ge=0, le=1)
    incomplete_background: float = Field(0.0, ge=0, le=1)


class CocoConfig(_Labels, _Layouts):
    """Pseudo-clips from COCO keypoints, CrowdPose, or any JSON in COCO's format."""

    kind: Literal["coco"] = "coco"
    annotations: tuple[str, ...] = Field(
        ("annotations/person_keypoints_train*.json",), min_length=1
    )
    empty: bool = Field(False, description="also take pictures in which nobody is labelled")
    background: float = Field(
        1.0, ge=0, le=1, description="1: everybody in view is labelled; 0: nothing is known"
    )


class FramesConfig(_Shards, _Gaps, _Placed):
    """Real clips in COCO-style tar shards whose pictures carry `video_id` and `time_s`."""

    kind: Literal["frames"] = "frames"
    complete_background: float = Field(1.0, ge=0, le=1)
    incomplete_background: float = Field(0.0, ge=0, le=1)
    sizes: tuple[float, float] = (0.15, 0.7)


class _Videos(_Labels, _Gaps, _Placed):
    """Labelled video in plain files."""

    fps: float = Field(25.0, gt=0, description="of videos whose frames have no timestamps")
    background: float = Field(
        1.0, ge=0, le=1, description="1: everybody in a labelled frame is labelled; 0: unknown"
    )


class PosetrackConfig(_Videos):
    """PoseTrack 2017, 2018 or 21 as released, or anything laid out so."""

    kind: Literal["posetrack"] = "posetrack"
    split: str = Field("train", description="folder of the annotations, where they are not given")
    annotations: tuple[str, ...] = Field((), description="empty: found by `split`")


class VideoConfig(_Videos):
    """Videos of your own in COCO's format: images with `video_id`, people with `track_id`."""

    kind: Literal["video"] = "video"
    annotations: tuple[str, ...] = Field(min_length=1)


class SyntheticConfig(_Source):
    """Procedural clips made in code."""

    kind: Literal["synthetic"] = "synthetic"
    people: tuple[int, int] = (1, 5)
    fps: float = Field(12.5, gt=0)


SourceConfig = Annotated[
    StillsConfig | CocoConfig | FramesConfig | PosetrackConfig | VideoConfig | SyntheticConfig,
    Field(discriminator="kind"),
]
