"""The shards that a source names: files on this machine, or addresses that are fetched first.

Builds the data of a stage from its configuration.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vepe.config.data import (
    CocoConfig,
    FramesConfig,
    PosetrackConfig,
    SourceConfig,
    StillsConfig,
    SyntheticConfig,
    VideoConfig,
)
from vepe.config.training import StageConfig
from vepe.data.image_clips import ImageClips, ImageClipSettings
from vepe.data.images import ImageIndex, LabelPolicy, SkipUnreadable
from vepe.data.read_labels import matching_files, posetrack_files, read_label_files
from vepe.data.remote import Progress, expand, fetch, is_remote
from vepe.data.sampling import ClipSource, WeightedMixture
from vepe.data.shards import index_shard
from vepe.data.synthetic import SyntheticClips
from vepe.data.video_clips import VideoClips, VideoClipSettings
from vepe.errors import VepeError
from vepe.skeleton import Skeleton


def local_shards(patterns: tuple[str, ...], root: Path) -> list[Path]:
    """The files of glob patterns below `root` and of addresses, fetched where they are new.

    Raises:
        VepeError: where a pattern matches nothing or an address cannot be fetched.
    """
    found: list[Path] = []
    for pattern in patterns:
        if is_remote(pattern):
            with _shown() as progress:
                found += [fetch(address, progress=progress) for address in expand(pattern)]
        else:
            found += matching_files(root, [pattern], "shards")
    return found


@contextmanager
def _shown() -> Iterator[Progress | None]:
    """A bar with sizes on stderr; nothing where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    if not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def told(address: str, done: int, whole: int | None) -> None:
            if address not in tasks:
                tasks[address] = bars.add_task(address.rpartition("/")[2], total=whole)
            bars.update(tasks[address], completed=done)

        yield told


ENDLESS = 2**40
"""Sources made on the fly never repeat; their length is only a bound."""

FilesConfig = StillsConfig | CocoConfig | FramesConfig | PosetrackConfig | VideoConfig


def build_mixture(stage: StageConfig, root: Path, skeleton: Skeleton, seed: int) -> WeightedMixture:
    """The mixture of a stage's sources.

    Raises:
        VepeError: where annotations, shards or pictures are missing or unreadable.
    """
    sources = [
        build_source(config, stage, root, skeleton, seed + number)
        for number, config in enumerate(stage.data)
    ]
    shares = [config.share for config in stage.data]
    return WeightedMixture(sources, shares, length=ENDLESS, seed=seed)


def build_source(
    config: SourceConfig, stage: StageConfig, root: Path, skeleton: Skeleton, seed: int
) -> ClipSource:
    """One source of clips of the stage's size and length. Raises VepeError as `build_mixture`."""
    if isinstance(config, SyntheticConfig):
        return SyntheticClips(
            ENDLESS,
            stage.frames,
            stage.size_px,
            stage.size_px,
            people=config.people,
            fps=config.fps,
            seed=seed,
            skeleton=skeleton,
        )
    pictures = read_pictures(config, root, skeleton)
    pictures = pictures.there(strict=config.strict, title=f"Source '{config.kind}'")
    clips: ClipSource
    if isinstance(config, StillsConfig | CocoConfig):
        still = ImageClipSettings(
            size_px=stage.size_px,
            frames=stage.frames,
            layouts=config.layouts,
            motion=config.motion,
            sizes=config.sizes,
            augmentation=config.augmentation,
        )
        clips = ImageClips(pictures, skeleton, still, length=ENDLESS, seed=seed)
    else:
        settings = VideoClipSettings(
            size_px=stage.size_px,
            frames=stage.frames,
            max_gap_s=config.max_gap_s,
            min_gap_s=config.min_gap_s,
            dropped=config.dropped,
            repeated=config.repeated,
            sizes=config.sizes,
            motion=config.motion,
            augmentation=config.augmentation,
        )
        clips = VideoClips(pictures, skeleton, settings, length=ENDLESS, seed=seed)
    return SkipUnreadable(clips, strict=config.strict)


def read_pictures(config: FilesConfig, root: Path, skeleton: Skeleton) -> ImageIndex:
    """The labelled pictures of a source, whether their files are there or not."""
    if isinstance(config, StillsConfig | FramesConfig):
        shards = local_shards(config.shards, root)
        incomplete = config.incomplete_background
        reading = LabelPolicy(config.complete_background, incomplete, incomplete)
        found = ImageIndex([index_shard(path) for path in shards], skeleton, reading)
        return _supervised(found, config.empty) if isinstance(config, StillsConfig) else found
    base = root / config.root
    single = isinstance(config, CocoConfig)
    index = read_label_files(_annotations(config, base), base / config.images, single=single)
    fps = 1.0 if isinstance(config, CocoConfig) else config.fps
    reading = LabelPolicy(unsaid=config.background, fps=fps, joints=config.joints)
    pictures = ImageIndex([index], skeleton, reading)
    if not isinstance(config, CocoConfig):
        return pictures
    pictures = _supervised(pictures, config.empty)
    if not len(pictures):
        raise VepeError(f"No picture of '{base}' has people with keypoints; check `annotations`.")
    return pictures


def _supervised(pictures: ImageIndex, empty: bool) -> ImageIndex:
    """The labelled pictures; those without people only where `empty` is set."""
    labelled = pictures.labelled()
    return labelled if empty else labelled.keep(labelled.people_counts() > 0)


def _annotations(config: CocoConfig | PosetrackConfig | VideoConfig, base: Path) -> list[Path]:
    if config.annotations:
        return matching_files(base, config.annotations, "annotations")
    return posetrack_files(base, getattr(config, "split", "train"))


def check_shards(stage: StageConfig, root: Path) -> None:
    """Raises VepeError where a stage's annotations or shards are not there."""
    for config in stage.data:
        if isinstance(config, StillsConfig | FramesConfig):
            matching_files(root, [p for p in config.shards if not is_remote(p)], "shards")
        elif not isinstance(config, SyntheticConfig):
            _annotations(config, root / config.root)


def fingerprint(stage: StageConfig, root: Path, skeleton: Skeleton) -> str:
    """A short text that changes with the labels or the settings of a stage's data.

    Where the files lie does not matter; the pictures' pixels are not looked at.
    """
    sha = hashlib.sha256(repr(skeleton.keypoints).encode())
    for config in stage.data:
        told = config.model_dump_json(exclude={"root", "images", "annotations", "shards", "strict"})
        sha.update(told.encode())
        if not isinstance(config, SyntheticConfig):
            sha.update(read_pictures(config, root, skeleton).digest().encode())
    return sha.hexdigest()[:16]
