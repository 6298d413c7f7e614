"""Where training clips come from: one settings class per kind of source.

A source combines where its labels come from (annotation files or tar shards) with how clips are
made of them (pseudo-clips of images, or clips of video). The room `data` takes these classes as
they are. To add a kind, combine two of the bases below and add it to `SourceConfig`.

Glob patterns are relative to `root`, which is relative to the run's `data_root`; absolute paths
are used as they are.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from vepe.config.augmentation import AugmentationConfig
from vepe.config.base import Settings


class _Source(Settings):
    """What all sources have."""

    RENAMED: ClassVar[dict[str, str | None]] = {"share": "weight"}

    weight: float = Field(1.0, gt=0, description="clips of this source, relative to the others")
    strict: bool = Field(
        False, description="stop at a missing or damaged image (false: skip it with a warning)"
    )
    augmentation: AugmentationConfig = AugmentationConfig()


class ImageClipConfig(_Source):
    """How pseudo-clips are made of images."""

    RENAMED: ClassVar[dict[str, str | None]] = {
        **_Source.RENAMED,
        "layouts": "mosaic",
        "sizes": "person_scale",
    }

    mosaic: tuple[float, float, float, float] = Field(
        (0.4, 0.25, 0.35, 0.0), description="probability of 1, 2, 4 and 9 images on a canvas"
    )
    person_scale: tuple[float, float] = Field(
        (0.3, 1.1),
        description="smallest and largest longer side of a person, relative to the shorter side "
        "of its place on the canvas",
    )
    motion: float = Field(1.0, ge=0, description="strength of the simulated camera motion")


class VideoClipConfig(_Source):
    """How clips are cut from video."""

    RENAMED: ClassVar[dict[str, str | None]] = {
        **_Source.RENAMED,
        "sizes": "person_scale",
        "dropped": "frame_drop_prob",
        "repeated": "frame_repeat_prob",
    }

    min_gap_s: float = Field(0.0, ge=0, description="shortest time between two frames of a clip")
    max_gap_s: float = Field(0.4, gt=0, description="longest time between two frames of a clip")
    frame_drop_prob: float = Field(0.0, ge=0, le=1, description="probability of a doubled gap")
    frame_repeat_prob: float = Field(
        0.0, ge=0, le=1, description="probability that a frame shows the image before it again"
    )
    person_scale: tuple[float, float] = Field(
        (0.15, 0.9),
        description="smallest and largest longer side of a person, relative to the canvas",
    )
    motion: float = Field(
        0.0, ge=0, description="strength of a simulated camera motion on top of the video's own"
    )

    @model_validator(mode="after")
    def _check_order(self) -> VideoClipConfig:
        if self.min_gap_s > self.max_gap_s:
            raise ValueError("min_gap_s is longer than max_gap_s")
        return self


class _LabelFiles(_Source):
    """Labels in annotation files, images in folders."""

    root: str = Field(".", description="folder of the data set, below `data_root`")
    images: str = Field(".", description="folder below `root` that image names are relative to")
    joints: dict[str, str | None] | None = Field(
        None, description="data set keypoint -> model keypoint; null drops one"
    )
    background: float = Field(
        1.0, ge=0, le=1, description="1: all people in labelled frames are labelled; 0: unknown"
    )


class _Shards(_Source):
    """Labels and images in COCO-style tar shards."""

    shards: tuple[str, ...] = Field(
        min_length=1,
        description="glob patterns below `data_root`, or URLs: http://.../a-{000..099}.tar",
    )
    complete_background: float = Field(
        1.0, ge=0, le=1, description="background weight of images marked as completely labelled"
    )
    incomplete_background: float = Field(
        0.0, ge=0, le=1, description="background weight of all other images"
    )


class CocoConfig(_LabelFiles, ImageClipConfig):
    """Pseudo-clips from COCO keypoints, CrowdPose, or any JSON in COCO's format.

    Attributes:
        kind: which kind of source this is.
        annotations: label files below `root`; patterns are allowed.
    """

    kind: Literal["coco"] = "coco"
    annotations: tuple[str, ...] = Field(
        ("annotations/person_keypoints_train*.json",), min_length=1
    )
    empty: bool = Field(False, description="also use images without labelled people")


class StillsConfig(_Shards, ImageClipConfig):
    """Pseudo-clips from images in tar shards.

    Attributes:
        kind: which kind of source this is.
    """

    kind: Literal["stills"] = "stills"
    empty: bool = Field(True, description="also use images without labelled people")


class PosetrackConfig(_LabelFiles, VideoClipConfig):
    """PoseTrack 2017, 2018 or 21 as released, or any data set with that layout.

    Attributes:
        kind: which kind of source this is.
    """

    kind: Literal["posetrack"] = "posetrack"
    split: str = Field("train", description="split whose annotations are used if none are given")
    annotations: tuple[str, ...] = Field((), description="empty: found by `split`")
    fps: float = Field(25.0, gt=0, description="frame rate of videos without timestamps")


class VideoConfig(_LabelFiles, VideoClipConfig):
    """Your own videos in COCO's format: images with `video_id`, annotations with `track_id`.

    Attributes:
        kind: which kind of source this is.
        annotations: label files below `root`; patterns are allowed.
    """

    kind: Literal["video"] = "video"
    annotations: tuple[str, ...] = Field(min_length=1)
    fps: float = Field(25.0, gt=0, description="frame rate of videos without timestamps")


class FramesConfig(_Shards, VideoClipConfig):
    """Clips of video in tar shards whose images have `video_id` and `time_s`.

    Attributes:
        kind: which kind of source this is.
        person_scale: smallest and largest longer side of a person, relative to the canvas.
    """

    kind: Literal["frames"] = "frames"
    person_scale: tuple[float, float] = (0.15, 0.7)


SourceConfig = Annotated[
    StillsConfig | CocoConfig | FramesConfig | PosetrackConfig | VideoConfig,
    Field(discriminator="kind"),
]
