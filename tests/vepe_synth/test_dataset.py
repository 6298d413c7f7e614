"""The data set on disk: independent of the number of workers, resumable, readable."""

from __future__ import annotations

import dataclasses
import errno
import json
from pathlib import Path

import numpy as np
import pytest

from vepe.errors import VepeError
from vepe.formats.dataset_check import check_dataset
from vepe.formats.posetrack import read_sequence
from vepe_synth.dataset import JobRenderer, RenderJob, prepare, sequence_name
from vepe_synth.workers import open_maker, render

pytestmark = pytest.mark.usefixtures("_driver")


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()
    }


@pytest.fixture
def job(tmp_path, small_settings) -> RenderJob:
    settings = small_settings.model_copy(update={"frames": 2})
    return RenderJob(tmp_path / "one", settings, videos=2, seed=5)


@pytest.fixture(scope="module")
def made(tmp_path_factory, small_settings) -> RenderJob:
    """Two short videos, made in one process."""
    settings = small_settings.model_copy(update={"frames": 2})
    job = RenderJob(tmp_path_factory.mktemp("made"), settings, videos=2, seed=5)
    prepare(job)
    assert list(render(job, 1)) == [0, 1]
    return job


def test_bytes_do_not_depend_on_the_workers(made, job) -> None:
    prepare(job)
    assert sorted(render(job, 2)) == [0, 1]
    assert contents(job.out) == contents(made.out)


def test_a_cluster_makes_the_same(made, job) -> None:
    """What its workers run, in any order, and twice where one was lost."""
    prepare(job)
    job = job.absolute()
    make = open_maker(job)
    assert make(1, lambda: True) is None
    assert job.missing() == [0, 1]
    assert [make(number, lambda: False) for number in (1, 0, 1)] == [2, 2, 2]
    assert contents(job.out) == contents(made.out)


@pytest.mark.parametrize("change", [{"seed": 6}, {"split": "val"}])
def test_seed_and_split_change_the_videos(made, job, change) -> None:
    other = dataclasses.replace(job, videos=1, **change)
    prepare(other)
    list(render(other, 1))
    name = sequence_name(other.split, 0)
    new = (other.out / "images" / other.split / name / "000000.jpg").read_bytes()
    assert new != (made.out / "images/train/000000_synth_train/000000.jpg").read_bytes()


def test_the_tree_is_sane_and_read_back(made) -> None:
    report = check_dataset(made.out)
    assert report.problems == []
    assert report.formats == ["posetrack18"]
    (counts,) = report.splits.values()
    assert (counts.sequences, counts.frames, counts.images) == (2, 4, 4)
    sequence = read_sequence(made.annotation_path(0))
    assert [f.index for f in sequence.frames] == [0, 1]
    assert [f.time_s for f in sequence.frames] == [0.0, pytest.approx(0.04)]
    ids = [f.image_id for f in sequence.frames]
    other = read_sequence(made.annotation_path(1))
    assert len({*ids, *(f.image_id for f in other.frames)}) == 4
    people = [p for f in (*sequence.frames, *other.frames) for p in f.people]
    assert people
    assert all(p.track_id is not None and p.head_box_xyxy_px is not None for p in people)
    assert {float(v) for p in people for v in p.visibility} <= {0.0, 1.0}


def test_only_missing_sequences_are_made(made, job) -> None:
    prepare(job)
    list(render(job, 1))
    first, second = (job.annotation_path(i) for i in range(2))
    second.unlink()
    old = first.stat().st_mtime_ns
    leftover = job.out / "images/train/.000001_synth_train.x.vepe-part"
    leftover.mkdir()
    more = dataclasses.replace(job, videos=3)
    prepare(more)
    assert not leftover.exists()
    assert list(render(more, 1)) == [1, 2]
    assert first.stat().st_mtime_ns == old
    existing = contents(more.out)
    assert all(
        existing[name] == data for name, data in contents(made.out).items() if "0000" in name
    )


def test_other_settings_need_another_folder(job) -> None:
    prepare(job)
    prepare(dataclasses.replace(job, videos=50))
    prepare(dataclasses.replace(job, split="val", seed=9))
    with pytest.raises(VepeError, match="rendered with another seed"):
        prepare(dataclasses.replace(job, seed=6))
    settings = job.settings.model_copy(update={"fps": 10.0})
    with pytest.raises(VepeError, match="rendered with another settings"):
        prepare(dataclasses.replace(job, settings=settings))
    assert json.loads((job.out / "synth.json").read_text())["splits"]["val"]["seed"] == 9


def test_a_stopped_or_failed_sequence_leaves_nothing(job, monkeypatch) -> None:
    prepare(job)
    before = contents(job.out)
    job_renderer = JobRenderer(job)
    assert job_renderer.make(0, stopped=lambda: True) is False
    assert contents(job.out) == before

    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(VepeError, match="No space left on device"):
        job_renderer.make(0)
    job_renderer.close()
    assert contents(job.out) == before


def test_own_backgrounds_are_seen(job, tmp_path) -> None:
    import cv2

    folder = tmp_path / "images"
    folder.mkdir()
    green = np.zeros((90, 160, 3), np.uint8)
    green[..., 1] = 200
    cv2.imwrite(str(folder / "green.png"), green)
    settings = job.settings.model_copy(update={"frames": 1, "occluder_share": 0.0})
    job = dataclasses.replace(job, settings=settings, videos=1, backgrounds=folder)
    prepare(job)
    list(render(job, 1))
    image = cv2.imread(str(job.out / "images/train/000000_synth_train/000000.jpg"))
    blue, middle, red = (np.median(image[:40, ..., c]) for c in range(3))
    assert middle > 1.5 * max(blue, red)
