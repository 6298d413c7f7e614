"""Videos, results and segments in an object store, through the workers' code."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stand_in import stand_in_predictor, work_settings, write_clip

from s3_stores import KINDS, s3
from vepe import __version__
from vepe.cluster.engine import InProcess
from vepe.cluster.ray_run import result_token
from vepe.cluster.ray_worker import WorkerCheck
from vepe.cluster.scheduler import Scheduler
from vepe.cluster.segment_files import SegmentFile, SegmentFolder
from vepe.cluster.tasks import WorkSettings
from vepe.cluster.worker import Worker
from vepe.errors import VepeError
from vepe.inference.batch import plan_batch
from vepe.inference.result_store import ResultStore
from vepe.inference.segment import Segment
from vepe.video.sources import list_sources

pytest.importorskip("fsspec")
STORE = ResultStore("s3://bucket/results")
FORMATS = ("posetrack", "csv")
NAMES = ("a.csv", "a.json", "b.csv", "b.json")


@pytest.fixture(params=KINDS)
def system(request: pytest.FixtureRequest) -> Iterator[Any]:
    """What s3:// addresses reach."""
    with s3(request.param) as system:
        yield system


def run(work: WorkSettings, *, resume: bool = True) -> list[str]:
    """Tracks what is not done of the videos in the bucket; returns their names."""
    sources = list_sources(["s3://bucket/videos"]).sources
    plan = plan_batch(sources, work.shared, resume=resume)
    worker = Worker(work)
    outcomes = Scheduler(plan.todo, InProcess(worker.do)).run(threading.Event())
    worker.close()
    assert not [outcome.problem for outcome in outcomes if outcome.problem]
    return sorted(outcome.source.name for outcome in outcomes)


def test_a_batch_from_a_store_to_a_store(system: Any, tmp_path: Path) -> None:
    """Results are those of a run to this machine; done is what is there, and whole."""
    for name, length in (("a", 3), ("b", 40)):
        clip = write_clip(tmp_path / f"{name}.mp4", length)
        system.put_file(str(clip), f"s3://bucket/videos/{name}.mp4")
    local = work_settings(tmp_path / "out", formats=FORMATS)
    assert run(local) == ["a", "b"]
    expected = {name: (tmp_path / "out" / name).read_bytes() for name in NAMES}

    shared = replace(work_settings(tmp_path / "unused", formats=FORMATS).shared, store=STORE)
    whole = WorkSettings(shared, stand_in_predictor)
    parts = replace(whole, segment_s=1.0)  # of which b has two
    for work in (whole, parts):
        assert run(work) == ["a", "b"]
        assert {name: STORE.read(name) for name in STORE.listing() if "." in name} == expected
        assert run(work) == []
        with pytest.raises(VepeError, match=r"'s3://bucket/results/a\.json' already exists; add"):
            run(work, resume=False)
        if work is whole:
            for name in NAMES:
                STORE.remove(name)
    assert not (tmp_path / "unused").exists()

    other = replace(shared, info=replace(shared.info, options={"conf": 0.5}))
    with pytest.raises(VepeError, match=r"'s3://bucket/results/a\.json' is of another model"):
        run(replace(whole, shared=other))
    STORE.write("a.csv", b"cut off")
    STORE.write("b.json", STORE.read("b.json").replace(b'"complete": true', b'"complete": false'))
    assert run(whole) == ["a", "b"]
    assert {name: STORE.read(name) for name in NAMES} == expected


def test_segments_are_objects(system: Any, tmp_path: Path) -> None:
    folder = SegmentFolder(tmp_path, "key", STORE)
    file = SegmentFile(folder, Segment(0, 2, 0.0, 1.0))
    assert not file.exists()
    file.write([], warning="w", incomplete=False)
    assert file.exists()
    assert file.about == ("w", False)
    STORE.write(f"{folder.name}/{file.name}", b"damaged")
    with pytest.raises(VepeError, match=r"cannot be read .* it will be inferred again"):
        list(file.read())
    assert not file.exists()
    file.write([], warning=None, incomplete=False)
    folder.remove()
    assert not file.exists()


def test_a_worker_must_see_the_store(system: Any, tmp_path: Path) -> None:
    with result_token(tmp_path, STORE) as token:
        check = WorkerCheck(__version__, None, "", token, STORE)
        assert check.problem() is None
        elsewhere = replace(check, store=ResultStore("s3://bucket/other"))
        assert "does not see the folder 's3://bucket/other'" in str(elsewhere.problem())
    assert "does not see the folder" in str(check.problem())
    assert list(STORE.listing()) == []
