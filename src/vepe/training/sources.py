"""Builds the data of a stage from its configuration."""

from __future__ import annotations

from pathlib import Path

from vepe.config.data import FramesConfig, StillsConfig, SyntheticConfig
from vepe.config.training import StageConfig
from vepe.data.frame_clips import FrameClips, FrameClipSettings
from vepe.data.mixture import ClipSource, Mixture
from vepe.data.pseudo_clips import PseudoClips, PseudoClipSettings
from vepe.data.shards import Still, read_shard
from vepe.data.synthetic import SyntheticClips
from vepe.errors import VepeError
from vepe.skeleton import Skeleton

ENDLESS = 2**40
"""Sources made on the fly never repeat; their length is only a bound."""


def build_mixture(stage: StageConfig, root: Path, skeleton: Skeleton, seed: int) -> Mixture:
    """The mixture of a stage's sources.

    Raises:
        VepeError: where shards are missing or unreadable.
    """
    sources = [
        _source(config, stage, root, skeleton, seed + number)
        for number, config in enumerate(stage.data)
    ]
    shares = [config.share for config in stage.data]
    return Mixture(sources, shares, length=ENDLESS, seed=seed)


def _source(
    config: StillsConfig | FramesConfig | SyntheticConfig,
    stage: StageConfig,
    root: Path,
    skeleton: Skeleton,
    seed: int,
) -> ClipSource:
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
    if isinstance(config, FramesConfig):
        stills = _read(config.shards, root, skeleton, 1.0, config.incomplete_background)
        return FrameClips(
            stills,
            skeleton,
            FrameClipSettings(stage.size_px, stage.frames, config.max_gap_s),
            length=ENDLESS,
            seed=seed,
        )
    stills = _read(
        config.shards, root, skeleton, config.complete_background, config.incomplete_background
    )
    settings = PseudoClipSettings(
        size_px=stage.size_px,
        frames=stage.frames,
        layouts=config.layouts,
        motion=config.motion,
        sizes=config.sizes,
    )
    return PseudoClips(stills, skeleton, settings, length=ENDLESS, seed=seed)


def check_shards(stage: StageConfig, root: Path) -> None:
    """Raises VepeError where a pattern of the stage matches no file."""
    for config in stage.data:
        if not isinstance(config, SyntheticConfig):
            _paths(config.shards, root)


def _paths(patterns: tuple[str, ...], root: Path) -> list[Path]:
    found: list[Path] = []
    for pattern in patterns:
        paths = sorted(root.glob(pattern))
        if not paths:
            raise VepeError(
                f"No training data match '{root / pattern}'; give --data-root the folder of shards."
            )
        found += paths
    return found


def _read(
    patterns: tuple[str, ...], root: Path, skeleton: Skeleton, complete: float, incomplete: float
) -> list[Still]:
    stills: list[Still] = []
    for path in _paths(patterns, root):
        stills += read_shard(path, skeleton, complete=complete, incomplete=incomplete)
    return stills
