"""The clips of a stage, built from its configuration: labels, then clip makers, then a mixture.

Labels come from annotation files or from tar shards, on this machine or fetched from a URL first.
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
    VideoConfig,
)
from vepe.config.training import StageConfig
from vepe.data.image_clips import ImageClips
from vepe.data.images import ImageIndex, LabelPolicy
from vepe.data.read_labels import matching_files, posetrack_files, read_label_files
from vepe.data.remote import Progress, expand, fetch, is_remote
from vepe.data.sampling import ClipSource, SkipUnreadable, WeightedMixture
from vepe.data.shards import index_shard
from vepe.data.video_clips import VideoClips
from vepe.errors import VepeError, printable
from vepe.skeleton import Skeleton


def build_mixture(stage: StageConfig, root: Path, skeleton: Skeleton, seed: int) -> WeightedMixture:
    """The mixture of a stage's sources.

    Raises:
        VepeError: if annotations, shards or images are missing or unreadable.
    """
    sources = [
        build_source(config, stage, root, skeleton, seed + number)
        for number, config in enumerate(stage.data)
    ]
    return WeightedMixture(sources, [config.weight for config in stage.data], seed=seed)


def build_source(
    config: SourceConfig, stage: StageConfig, root: Path, skeleton: Skeleton, seed: int
) -> ClipSource:
    """One source of clips of the stage's size and length. Raises VepeError as `build_mixture`."""
    images = read_images(config, root, skeleton)
    images = images.drop_missing(strict=config.strict, title=f"Source '{config.kind}'")
    shape = {"frames": stage.frames, "size_px": stage.size_px, "seed": seed}
    clips: ClipSource
    if isinstance(config, StillsConfig | CocoConfig):
        clips = ImageClips(images, skeleton, config, **shape)
    else:
        clips = VideoClips(images, skeleton, config, **shape)
    return SkipUnreadable(clips, strict=config.strict)


def read_images(config: SourceConfig, root: Path, skeleton: Skeleton) -> ImageIndex:
    """The labelled images of a source, whether their files exist or not."""
    if isinstance(config, StillsConfig | FramesConfig):
        incomplete = config.incomplete_background
        policy = LabelPolicy(config.complete_background, incomplete, unmarked=incomplete)
        shards = [index_shard(path) for path in local_shards(config.shards, root)]
        images = ImageIndex(shards, skeleton, policy)
        return _supervised(images, config.empty) if isinstance(config, StillsConfig) else images
    base = root / config.root
    single = isinstance(config, CocoConfig)
    index = read_label_files(_annotations(config, base), base / config.images, single=single)
    fps = 1.0 if isinstance(config, CocoConfig) else config.fps
    policy = LabelPolicy(unmarked=config.background, fps=fps, joints=config.joints)
    images = ImageIndex([index], skeleton, policy)
    if not isinstance(config, CocoConfig):
        return images
    images = _supervised(images, config.empty)
    if not len(images):
        raise VepeError(f"No image of '{base}' has people with keypoints; check `annotations`.")
    return images


def _supervised(images: ImageIndex, empty: bool) -> ImageIndex:
    """The labelled images; those without people only if `empty` is set."""
    labelled = images.labelled()
    return labelled if empty else labelled.select(labelled.people_counts() > 0)


def _annotations(config: CocoConfig | PosetrackConfig | VideoConfig, base: Path) -> list[Path]:
    if config.annotations:
        return matching_files(base, config.annotations, "annotations")
    return posetrack_files(base, getattr(config, "split", "train"))


def local_shards(patterns: tuple[str, ...], root: Path) -> list[Path]:
    """The shards of glob patterns below `root` and of URLs; new URLs are fetched.

    Raises:
        VepeError: if a pattern matches nothing or a URL cannot be fetched.
    """
    paths: list[Path] = []
    for pattern in patterns:
        if is_remote(pattern):
            with _progress_bar() as progress:
                paths += [fetch(url, progress=progress) for url in expand(pattern)]
        else:
            paths += matching_files(root, [pattern], "shards")
    return paths


@contextmanager
def _progress_bar() -> Iterator[Progress | None]:
    """A progress bar per file on stderr; None if stderr is no terminal."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    if not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def show(url: str, done: int, total: int | None) -> None:
            if url not in tasks:
                tasks[url] = bars.add_task(escape(printable(url.rpartition("/")[2])), total=total)
            bars.update(tasks[url], completed=done)

        yield show


def check_shards(stage: StageConfig, root: Path) -> None:
    """Raises VepeError if annotations or local shards of a stage are missing."""
    for config in stage.data:
        if isinstance(config, StillsConfig | FramesConfig):
            matching_files(root, [p for p in config.shards if not is_remote(p)], "shards")
        else:
            _annotations(config, root / config.root)


def fingerprint(stage: StageConfig, root: Path, skeleton: Skeleton) -> str:
    """A short hash of the labels and settings of a stage's data.

    It does not depend on where the files are, nor on the pixels of the images.
    """
    sha = hashlib.sha256(repr(skeleton.keypoints).encode())
    paths = {"root", "images", "annotations", "shards", "strict"}
    for config in stage.data:
        sha.update(config.model_dump_json(exclude=paths).encode())
        sha.update(read_images(config, root, skeleton).digest().encode())
    return sha.hexdigest()[:16]
