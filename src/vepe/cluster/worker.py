"""What a worker does with a task, wherever it runs: in this process or on a cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import chain, pairwise
from typing import TYPE_CHECKING

import numpy as np

from vepe.cluster.segment_files import SegmentFile, SegmentFolder
from vepe.cluster.tasks import Hooks, Result, Task, WorkSettings
from vepe.config.documents import parse_json
from vepe.errors import VepeError
from vepe.formats.files import load_json
from vepe.inference.batch import run_source
from vepe.inference.prefetch import read_ahead
from vepe.inference.replay import ReplayedPredictor, ReplayedSource
from vepe.inference.segment import Overlap, Segment, infer_segment, split
from vepe.inference.stream import InferredFrame
from vepe.inference.track_job import TrackReport
from vepe.types import VideoInfo
from vepe.video.remote_files import LocalCopies
from vepe.video.source import VideoSource
from vepe.video.sources import NamedSource

if TYPE_CHECKING:
    from vepe.inference.predictor import Predictor

SEAM_PX = 0.1
"""Poses on both sides of a seam agree within this: runtimes that prepare a model for one size after
some frames round differently before and after."""


class Worker:
    """A model, and the tasks that it can do; one at a time.

    Args:
        settings: of all tasks. The model is loaded now.

    Raises:
        VepeError: where the model cannot be loaded.
    """

    def __init__(self, settings: WorkSettings) -> None:
        self.settings = settings
        self._predictor: Predictor = settings.load()
        self._copies = LocalCopies()

    def do(self, task: Task, hooks: Hooks | None = None) -> Result:
        """Does a task. To do it again, or elsewhere at the same time, changes no result.

        Raises:
            VepeError: where the video cannot be read, or its results cannot be written.
        """
        hooks = hooks or Hooks()
        if hooks.stopped:
            return Result(stopped=True)
        begun = time.monotonic()
        with self._copies.of(task.source) as source:
            local = replace(task, source=source)
            steps = {"track": self._track, "infer": self._infer, "join": self._join}
            result = steps[task.step](local, hooks)
        return replace(result, seconds=time.monotonic() - begun)

    def close(self) -> None:
        """Removes copies of remote videos."""
        self._copies.close()

    def _track(self, task: Task, hooks: Hooks) -> Result:
        with self._open(task.source, hooks) as video:
            if self.settings.segment_s is not None and video.info.path is not None:
                segments = self._divide(video.info, self.settings.segment_s)
                if len(segments) > 1:
                    return Result(segments=tuple(segments))
            return self._run(self._predictor, video, task, hooks)

    def _run(self, predictor: Predictor, video: VideoSource, task: Task, hooks: Hooks) -> Result:
        report = run_source(
            predictor,
            video,
            task.source,
            self.settings.shared,
            overwrite=task.overwrite,
            on_frame=hooks.frames,
            stop=hooks.stop,
        )
        return Result(report=report, frames=report.frames)

    @contextmanager
    def _open(self, source: NamedSource, hooks: Hooks) -> Iterator[VideoSource]:
        with self.settings.shared.open(source) as video:
            if video.info.live:
                raise VepeError(f"'{source.source}' never ends; track it alone.")
            hooks.opened(video.info)
            yield video

    def _divide(self, info: VideoInfo, segment_s: float) -> list[Segment]:
        """The segments of a video; none where its length is not known."""
        shared = self.settings.shared
        if not info.frame_count or info.path is None or info.path.is_dir():
            return []
        start_s = shared.job.start_s
        duration_s = start_s + info.frame_count * shared.job.stride / info.fps
        return split(duration_s, segment_s, start_s=start_s, end_s=shared.end_s)

    def _files(self, task: Task) -> list[SegmentFile]:
        folder = self._folder(task)
        return [SegmentFile(folder, segment) for segment in task.segments]

    def _folder(self, task: Task) -> SegmentFolder:
        shared = self.settings.shared
        return SegmentFolder(shared.job.folder, shared.info.key(task.source), shared.store)

    def _infer(self, task: Task, hooks: Hooks) -> Result:
        (file,) = self._files(task)
        if file.exists():
            return Result()
        shared, segment = self.settings.shared, file.segment
        with self._open(task.source, hooks) as video:
            fps = video.info.fps
        first_s = shared.job.start_s
        overlap = Overlap.of(self._predictor, fps, stride=shared.job.stride, start_s=first_s)
        begin_s = max(first_s, segment.start_s - overlap.seconds)
        # Not only to the segment's end: what lies behind it is the future of its last windows.
        part = replace(shared, job=replace(shared.job, start_s=begin_s))
        count = 0

        def on_frame(frames: int) -> None:
            nonlocal count
            count = frames
            hooks.frames(frames)

        with ExitStack() as stack:
            video = stack.enter_context(part.open(task.source))
            frames = stack.enter_context(read_ahead(video, lambda: hooks.stopped))
            inferred = list(
                infer_segment(
                    self._predictor,
                    frames,
                    segment,
                    overlap,
                    on_frame=on_frame,
                    stop=lambda: hooks.stopped,
                )
            )
        if hooks.stopped:
            return Result(stopped=True)
        file.write(inferred, warning=video.warning, incomplete=video.incomplete)
        return Result(frames=count)

    def _join(self, task: Task, hooks: Hooks) -> Result:
        """Tracks the inferred frames of all segments; a video whose segments do not fit together,
        such as a damaged one, is tracked whole."""
        files = self._files(task)
        missing = [file.segment for file in files if not file.exists()]
        if missing and self.settings.shared.state(task.source) == "done":
            # A worker that died right after it had written the result removed them.
            return self._finished(task, Result(report=self._written(task)))
        for segment in missing:  # one that could not be read was removed
            if self._infer(replace(task, segments=(segment,)), hooks).stopped:
                return Result(stopped=True)
        with self._open(task.source, hooks) as video:
            if not _fit_together(files):
                return self._finished(task, self._run(self._predictor, video, task, hooks))
            seams = _seams(files)
            own = [file.frames_at[: file.num_own] for file in files]
            frames = chain.from_iterable(_own_frames(file) for file in files)
            predictor = ReplayedPredictor(self._predictor, frames)
            source = video
            if not self.settings.shared.job.video:
                warnings = [warning for warning, _ in (file.about for file in files) if warning]
                warning = warnings[0] if warnings else None
                source = ReplayedSource(video.info, chain.from_iterable(own), warning)
            result = self._run(predictor, source, task, hooks)
            return self._finished(task, replace(result, frames=0, seams=seams))

    def _written(self, task: Task) -> TrackReport:
        """The report of a result that is on disk."""
        shared = self.settings.shared
        job = shared.job_of(task.source, overwrite=True)
        name = f"{job.stem}.json"
        if shared.store is None:
            document = load_json(job.folder / name)
        else:
            document = parse_json(shared.store.read(name), shared.where(name))
        people = document["annotations"]
        ids = len({person["track_id"] for person in people})
        return TrackReport(len(document["images"]), len(people), ids, 0.0, job.paths())

    def _finished(self, task: Task, result: Result) -> Result:
        if result.report is not None and not result.report.stopped:
            self._folder(task).remove()
        return result


def _own_frames(file: SegmentFile) -> Iterator[InferredFrame]:
    """The frames of a segment without those behind its end; read when they are asked for."""
    for frame, _ in zip(file.read(), range(file.num_own), strict=False):
        yield frame


def _fit_together(files: list[SegmentFile]) -> bool:
    """Whether the segments hold all frames of an undamaged video, each once and in order."""
    if any(incomplete for _, incomplete in (file.about for file in files)):
        return False
    for before, after in pairwise(files):
        seam = before.frames_at[before.num_own :]
        if not seam or not before.num_own or seam != after.frames_at[: len(seam)]:
            return False
    return True


def _seams(files: list[SegmentFile]) -> tuple[int, int]:
    """How many ends of segments there are, and at how many the next one agrees."""
    equal = 0
    for before, after in pairwise(files):
        behind = list(before.read())[before.num_own :]
        pairs = list(zip(behind, after.read(), strict=False))
        equal += all(
            a.cut == b.cut
            and len(a.poses) == len(b.poses)
            and np.allclose(a.poses.keypoints_px, b.poses.keypoints_px, rtol=0, atol=SEAM_PX)
            for a, b in pairs
        )
    return len(files) - 1, equal
