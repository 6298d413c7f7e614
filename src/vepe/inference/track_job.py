"""What `vepe track` writes of a video, checked before the work, and what it did."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from vepe.errors import VepeError, check_name
from vepe.formats.tracks import WRITERS, check_package
from vepe.inference.result_info import RunInfo
from vepe.inference.spool import result_paths
from vepe.partial_files import expect_new
from vepe.video.sources import NamedSource
from vepe.viz.options import DrawingOptions


@dataclass(frozen=True)
class TrackJob:
    """What to write, and where.

    Attributes:
        folder: of the results.
        stem: their name without ending.
        video: whether to write an annotated video.
        formats: names from `vepe.formats.tracks.WRITERS`.
        overwrite: whether existing files may be replaced.
        start_s, stride: part of the source that is read; the source was opened with them.
        info: what decides the poses, for the `info` block of the JSON; None for none.
        source: what is tracked, as the user named it; needed with `info`.
        drawing: how people are drawn in the video, and in the window.
    """

    folder: Path
    stem: str
    video: bool = True
    formats: tuple[str, ...] = ("posetrack",)
    overwrite: bool = False
    start_s: float = 0.0
    stride: int = 1
    info: RunInfo | None = None
    source: NamedSource | None = None
    drawing: DrawingOptions = field(default_factory=DrawingOptions)

    def paths(self) -> list[Path]:
        """All files (and folders) that will be written, the video first."""
        stem = self.folder / self.stem
        video = [self.video_path] if self.video else []
        return [*video, *result_paths(stem, self.formats)]

    @property
    def video_path(self) -> Path:
        return self.folder / f"{self.stem}.mp4"

    def stale_paths(self, source: Path | None) -> list[Path]:
        """Results of this name in formats that this job does not write; not the source."""
        every = [self.video_path, *result_paths(self.folder / self.stem, tuple(WRITERS))]
        return [
            path
            for path in every
            if path not in self.paths()
            and path.exists()
            and not (source is not None and source.exists() and path.samefile(source))
        ]

    def check(self, source: Path | None) -> None:
        """Checks before the work that the results can be written.

        Without `overwrite`, one that another process writes from now on is not replaced either.

        Raises:
            VepeError: where a name is not UTF-8; a result would replace the source, or an existing
                file without `overwrite`; the folder is a file or not writable; a format's package
                is missing.
        """
        check_name(self.stem)
        self.check_output()
        existing = [path for path in self.paths() if path.exists()]
        if source is not None and source.exists() and any(p.samefile(source) for p in existing):
            raise VepeError(
                f"The result would replace '{source}' itself; give another folder: -o DIR."
            )
        if existing and not self.overwrite:
            raise VepeError(
                f"'{existing[0]}' already exists; add --overwrite to replace it, --resume to skip "
                "what is done, or give another folder: -o DIR. Without the network, `vepe convert` "
                "writes other formats of existing poses, and `vepe draw` other videos."
            )
        expect_new(self.paths(), overwrite=self.overwrite)

    def check_output(self) -> None:
        """Raises VepeError where the folder cannot be written, or a format's package is missing."""
        self._check_folder()
        for name in self.formats:
            check_package(name)

    def _check_folder(self) -> None:
        nearest = next(p for p in (self.folder, *self.folder.absolute().parents) if p.exists())
        if not nearest.is_dir():
            raise VepeError(f"'{nearest}' is a file, not a folder; choose a folder: -o DIR.")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise VepeError(
                f"The folder '{nearest}' may not be written to; change its rights or choose "
                "another: -o DIR."
            )


@dataclass(frozen=True)
class TrackReport:
    """What was done.

    Attributes:
        frames, people, track_ids: number of frames, of people in all frames, and of identities.
        seconds: how long it took.
        paths: the files written.
        warnings: sentences for the user.
        stopped: whether the work was stopped early on request.
        incomplete: whether part of the source could not be read.
    """

    frames: int
    people: int
    track_ids: int
    seconds: float
    paths: list[Path] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    stopped: bool = False
    incomplete: bool = False

    @property
    def fps(self) -> float:
        """Frames per second, all stages together."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0
