"""Many videos: which are still to be tracked, and the tracking of one of them.

`SharedSettings` and a `NamedSource` are all that a worker needs besides the model, and both can be
pickled. `run_source` writes the same results here and on any other machine, and
`plan_batch` recognises them. `vepe.cluster` decides who calls it when.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vepe.errors import VepeError, check_name
from vepe.formats.files import real_path
from vepe.inference.pipeline import run
from vepe.inference.result_info import (
    ResultState,
    RunInfo,
    result_state,
    stored_result_state,
)
from vepe.inference.result_store import ResultStore
from vepe.inference.track_job import TrackJob, TrackReport
from vepe.temporary_folders import temporary_folder
from vepe.video.reader import open_video
from vepe.video.remote_files import COPY_PREFIX
from vepe.video.source import VideoSource
from vepe.video.sources import NamedSource

if TYPE_CHECKING:
    import numpy as np

    from vepe.inference.predictor import Predictor


@dataclass(frozen=True)
class SharedSettings:
    """What all videos of a call share, besides the model.

    Attributes:
        job: what to write, and where; its `stem` and `source` are filled in for each video.
        end_s, fps: as `vepe.video.reader.open_video`.
        store: where results go instead of `job.folder`, which is not used then.
    """

    job: TrackJob
    info: RunInfo
    end_s: float | None = None
    fps: float | None = None
    store: ResultStore | None = None

    def job_of(self, source: NamedSource, *, overwrite: bool) -> TrackJob:
        """The job of one video."""
        return replace(
            self.job, stem=source.name, source=source, info=self.info, overwrite=overwrite
        )

    def open(self, source: NamedSource) -> VideoSource:
        """Opens one video. Raises VepeError as `open_video`."""
        job = self.job
        return open_video(
            source.location,
            start_s=job.start_s,
            end_s=self.end_s,
            stride=job.stride,
            fps=self.fps,
        )

    def where(self, name: str) -> str:
        """Path or address of a result."""
        return str(self.job.folder / name) if self.store is None else self.store.where(name)

    def names(self, source: NamedSource) -> tuple[str, list[str]]:
        """Of the files of a video's result: that of the JSON file, and of all others."""
        result = f"{source.name}.json"
        paths = self.job_of(source, overwrite=True).paths()
        return result, [path.name for path in paths if path.name != result]

    def state(self, source: NamedSource) -> ResultState:
        """What there is of the result of a video."""
        (state,) = self.states([source])
        return state

    def states(self, sources: Sequence[NamedSource]) -> list[ResultState]:
        """The same of many videos. Raises VepeError where a store cannot be read."""
        if self.store is None:
            return [self._state_here(source) for source in sources]
        existing = self.store.listing()
        named = [self.names(source) for source in sources]
        starts = self.store.starts([name for name, _ in named if name in existing])
        return [
            stored_result_state(name, self.info.key(s), others, starts.get(name, b""), existing)
            for s, (name, others) in zip(sources, named, strict=True)
        ]

    def _state_here(self, source: NamedSource) -> ResultState:
        job = self.job_of(source, overwrite=False)
        result = job.folder / f"{job.stem}.json"
        others = [path for path in job.paths() if path != result]
        return result_state(result, self.info.key(source), others)


@dataclass(frozen=True)
class BatchPlan:
    """The videos to track, each with whether results may be replaced; and those that are done."""

    todo: tuple[tuple[NamedSource, bool], ...]
    done: tuple[NamedSource, ...]


def plan_batch(
    sources: Sequence[NamedSource], settings: SharedSettings, *, resume: bool
) -> BatchPlan:
    """Decides what to track, and checks before the work that all results can be written.

    Args:
        sources: the videos, with names that differ.
        settings: of all of them; `job.overwrite` allows to replace results of other runs.
        resume: skip what is done, and replace what was stopped on the way to the same result.

    Raises:
        VepeError: where a result would replace a source, the result of another run without
            `overwrite`, or any result without `resume`; or the folder cannot be written to.
    """
    overwrite = settings.job.overwrite
    _check_disjoint(sources, settings)
    check = _Check(settings)
    states = settings.states(sources) if resume else ["missing"] * len(sources)
    todo, done = [], []
    for source, state in zip(sources, states, strict=True):
        if state == "done":
            done.append(source)
            continue
        if state == "different" and not overwrite:
            raise VepeError(
                f"The result '{settings.where(source.name)}.json' is of another model, "
                "other options, another video or another version of VEPE; add --overwrite to "
                "replace it, or give another folder: -o DIR."
            )
        replaces = overwrite or state == "unfinished"
        check(source, overwrite=replaces)
        todo.append((source, replaces))
    if todo and settings.store is not None:
        settings.store.check_writable()
    return BatchPlan(tuple(todo), tuple(done))


class _Check:
    """Checks before the work that the results of a video can be written. Raises VepeError."""

    def __init__(self, settings: SharedSettings) -> None:
        self._settings = settings
        self._existing = settings.store.listing() if settings.store else {}

    def __call__(self, source: NamedSource, *, overwrite: bool) -> None:
        settings = self._settings
        if settings.store is None:
            settings.job_of(source, overwrite=overwrite).check(source.path)
            return
        check_name(source.name)
        result, others = settings.names(source)
        existing = [name for name in (result, *others) if name in self._existing]
        if existing and not overwrite:
            raise VepeError(
                f"'{settings.where(existing[0])}' already exists; add --overwrite to replace it, "
                "--resume to skip what is done, or give another folder: -o ADDRESS."
            )


def run_source(
    predictor: Predictor,
    video: VideoSource,
    source: NamedSource,
    settings: SharedSettings,
    *,
    overwrite: bool = False,
    on_frame: Callable[[int], None] = lambda frames: None,
    show: Callable[[np.ndarray], None] | None = None,
    stop: threading.Event | None = None,
) -> TrackReport:
    """Tracks one video.

    Args:
        predictor: the model that `settings.info` describes.
        video: what `settings.open(source)` gave.
        source, settings: what to track, and how.
        overwrite: whether results of this name may be replaced.
        on_frame, show, stop: as `vepe.inference.pipeline.run`.

    Raises:
        VepeError: where it cannot be read, or results cannot be written.
    """
    with ExitStack() as stack:
        local = settings
        if settings.store is not None:
            folder = stack.enter_context(temporary_folder(COPY_PREFIX))
            local = replace(settings, job=replace(settings.job, folder=folder))
        report = run(
            predictor,
            video,
            local.job_of(source, overwrite=overwrite),
            on_frame=on_frame,
            show=show,
            stop=stop,
            reopen=lambda: settings.open(source),
        )
        if settings.store is not None and report.paths:
            key = settings.info.key(source)
            settings.store.publish(report.paths, f"{source.name}.json", key)
        return report


@dataclass(frozen=True)
class Outcome:
    """What became of one video: a report, or the sentence why there is none."""

    source: NamedSource
    report: TrackReport | None = None
    failure: str | None = None

    @property
    def problem(self) -> str | None:
        """Why its results are missing, or lack something."""
        if self.failure is None and self.report is not None and self.report.incomplete:
            return " ".join(self.report.warnings) or "part of it could not be read"
        return self.failure


def _check_disjoint(sources: Sequence[NamedSource], settings: SharedSettings) -> None:
    """Raises VepeError where the result of one video is a file of another."""
    originals = {real_path(s.path): s for s in sources if s.path is not None}
    owners: dict[Path, NamedSource] = {}
    for source in sources:
        for path in settings.job_of(source, overwrite=True).paths():
            target = real_path(path) if settings.store is None else Path(path.name)
            if target in originals:
                raise VepeError(
                    f"The result of '{source.source}' would replace '{originals[target].source}'; "
                    "give another folder: -o DIR."
                )
            if owners.setdefault(target, source) is not source:
                raise VepeError(
                    f"'{owners[target].source}' and '{source.source}' would both write '{path}'; "
                    "rename one of them."
                )
