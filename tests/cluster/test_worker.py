"""What a worker does with a task: whole videos, segments, and joining them."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stand_in import results_of, work_settings, write_clip

from vepe.cluster.segment_files import SegmentFile, SegmentFolder
from vepe.cluster.tasks import Result, Task
from vepe.cluster.worker import Hooks, Worker
from vepe.errors import VepeError
from vepe.inference.segment import Segment
from vepe.video.sources import NamedSource

LENGTH_S = 1.05
"""Of a segment: five of them make the clip."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds with a shot cut."""
    return write_clip(tmp_path_factory.mktemp("clip") / "v.mp4", 125, cut_at=70)


def by_hand(worker: Worker, clip: Path) -> Result:
    """All tasks of a video, in order."""
    task = Task(NamedSource(str(clip), "v"), overwrite=False)
    result = worker.do(task)
    if not result.segments:
        return result
    for segment in result.segments:
        worker.do(replace(task, step="infer", segments=(segment,)))
    return worker.do(replace(task, step="join", segments=result.segments))


def files_of(worker: Worker, clip: Path, segments: tuple[Segment, ...]) -> list[SegmentFile]:
    shared = worker.settings.shared
    folder = SegmentFolder(shared.job.folder, shared.info.key(NamedSource(str(clip), "v")))
    return [SegmentFile(folder, segment) for segment in segments]


@pytest.mark.parametrize(
    "job",
    [{}, {"formats": ("posetrack", "csv")}, {"stride": 2, "start_s": 0.5}, {"video": True}],
    ids=str,
)
def test_joined_segments_are_the_whole_video(job, clip: Path, tmp_path: Path) -> None:
    whole = by_hand(Worker(work_settings(tmp_path / "whole", None, **job)), clip)
    joined = by_hand(Worker(work_settings(tmp_path / "joined", LENGTH_S, **job)), clip)
    assert joined.seams == (4, 4)
    assert joined.report.frames == whole.report.frames
    left, right = results_of(tmp_path / "whole"), results_of(tmp_path / "joined")
    assert left.keys() == right.keys()
    assert left["v.json"] == right["v.json"]
    assert left.get("v.csv") == right.get("v.csv")
    assert not list((tmp_path / "joined" / "vepe_run" / "segments").iterdir())


def test_segments_that_are_there_are_not_inferred_again(clip: Path, tmp_path: Path) -> None:
    worker = Worker(work_settings(tmp_path, LENGTH_S))
    task = Task(NamedSource(str(clip), "v"), overwrite=False)
    segments = worker.do(task).segments
    infer = replace(task, step="infer", segments=segments[2:3])
    assert worker.do(infer).frames > 25
    assert worker.do(infer).frames == 0


@pytest.mark.parametrize("what", ["damaged", "gap", "no seam"])
def test_segments_that_do_not_fit_are_tracked_whole(what, clip: Path, tmp_path: Path) -> None:
    whole = by_hand(Worker(work_settings(tmp_path / "whole")), clip)
    worker = Worker(work_settings(tmp_path / "joined", LENGTH_S))
    task = Task(NamedSource(str(clip), "v"), overwrite=False)
    segments = worker.do(task).segments
    for segment in segments:
        worker.do(replace(task, step="infer", segments=(segment,)))
    file = files_of(worker, clip, segments)[2]
    frames = list(file.read())
    file.path.unlink()
    kept = {"damaged": frames, "gap": frames[1:], "no seam": frames[: file.num_own]}[what]
    file = SegmentFile(file.folder, file.segment)
    file.write(kept, warning=None, incomplete=what == "damaged")
    result = worker.do(replace(task, step="join", segments=segments))
    assert (result.frames, result.seams) == (whole.report.frames, (0, 0))
    left, right = results_of(tmp_path / "whole"), results_of(tmp_path / "joined")
    assert left["v.json"] == right["v.json"]


def test_an_unreadable_segment_is_removed(clip: Path, tmp_path: Path) -> None:
    worker = Worker(work_settings(tmp_path, LENGTH_S))
    task = Task(NamedSource(str(clip), "v"), overwrite=False)
    segments = worker.do(task).segments
    for segment in segments:
        worker.do(replace(task, step="infer", segments=(segment,)))
    path = files_of(worker, clip, segments)[1].path
    path.write_bytes(path.read_bytes()[:1000])
    join = replace(task, step="join", segments=segments)
    with pytest.raises(VepeError, match=r"cannot be read .* it will be inferred again"):
        worker.do(join)
    assert not path.exists()
    result = worker.do(join)
    assert result.seams == (4, 4)


def test_joining_again_after_a_loss_right_behind_the_result(clip: Path, tmp_path: Path) -> None:
    """The result is there, and its segments are gone: nothing is left to do."""
    worker = Worker(work_settings(tmp_path, LENGTH_S))
    task = Task(NamedSource(str(clip), "v"), overwrite=True)
    segments = worker.do(task).segments
    first = by_hand(worker, clip)
    before = (tmp_path / "v.json").stat().st_mtime_ns
    again = worker.do(replace(task, step="join", segments=segments))
    assert (tmp_path / "v.json").stat().st_mtime_ns == before
    assert again.report == replace(first.report, seconds=0.0)


def test_a_segment_is_stored_as_it_is(clip: Path, tmp_path: Path) -> None:
    worker = Worker(work_settings(tmp_path, LENGTH_S))
    task = Task(NamedSource(str(clip), "v"), overwrite=False)
    segments = worker.do(task).segments
    worker.do(replace(task, step="infer", segments=segments[2:3]))
    file = files_of(worker, clip, segments)[2]
    frames = list(file.read())
    first = frames[0].poses.frame_index
    assert [f.poses.frame_index for f in frames] == list(range(first, first + len(frames)))
    assert [f.poses.frame_index for f in frames if f.cut] == [70]
    assert (file.num_own, file.about) == (len(frames) - 3, (None, False))
    assert file.frames_at[0][0] == first
    poses = frames[0].poses
    assert poses.keypoints_px.dtype == np.float32
    assert poses.embeddings is not None
    assert poses.embeddings.shape == (3, 8)


def test_stopped_work_leaves_no_segment(clip: Path, tmp_path: Path) -> None:
    worker = Worker(work_settings(tmp_path, LENGTH_S))
    task = Task(NamedSource(str(clip), "v"), overwrite=False)
    segments = worker.do(task).segments
    stop = threading.Event()
    infer = replace(task, step="infer", segments=segments[2:3])
    hooks = Hooks(frames=lambda count: stop.set(), stop=stop)
    assert worker.do(infer, hooks).stopped
    assert worker.do(infer, hooks).stopped  # at once
    assert not files_of(worker, clip, segments)[2].exists()
