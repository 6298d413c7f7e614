"""Workers on a Ray of this machine, and what is said where there is none."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import stand_in
from stand_in import results_of, shard_plan, shared_settings, stand_in_predictor, write_clip

from vepe import __version__
from vepe.cli import app as cli
from vepe.cluster import ray_session as session
from vepe.cluster.engine import InProcess
from vepe.cluster.monitor import Monitor
from vepe.cluster.parts import PartWork
from vepe.cluster.ray_engine import RayEngine, WorkerSize
from vepe.cluster.ray_run import RayOptions, absolute_paths, result_token
from vepe.cluster.ray_session import ray_session
from vepe.cluster.ray_worker import RayWorker, WorkerCheck
from vepe.cluster.run_report import write_page, write_table
from vepe.cluster.scheduler import Patience, Scheduler
from vepe.cluster.tasks import Task, WorkSettings
from vepe.cluster.worker import Worker
from vepe.errors import VepeError
from vepe.inference.batch import Outcome, plan_batch
from vepe.video.sources import NamedSource, list_sources

if find_spec("ray") is None:  # not imported: that is the session's to do
    pytest.skip("Ray is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A Ray of our own; all tests with workers share it, since it takes seconds to start."""
    handler = signal.getsignal(signal.SIGTERM)
    with ray_session(None, cores=2) as ray:
        assert signal.getsignal(signal.SIGTERM) is handler
        ray.cloudpickle.register_pickle_by_value(stand_in)
        yield ray
    assert not ray.is_initialized()


def settings(folder: Path, segment_s: float | None = None, **options: Any) -> WorkSettings:
    shared = absolute_paths(shared_settings(folder))
    return WorkSettings(shared, partial(stand_in_predictor, **options), segment_s)


@contextmanager
def engine_on(ray: Any, *settings: Any) -> Iterator[RayEngine]:
    """Its workers end with it: those of the next test need their cores."""
    engine = RayEngine(ray, *settings)
    try:
        yield engine
    finally:
        for member in engine._members:
            ray.kill(member.actor)


def test_killed_workers_cost_nothing(ray, tmp_path: Path, capfd) -> None:
    """Among them one that is killed from outside, and one whose video kills it once."""
    clips = tmp_path / "clips"
    for i, length in enumerate((4, 60, 5, 30, 6, 3)):
        write_clip(clips / f"v{i}.mp4", length, seed=i)
    (clips / "broken.mp4").write_bytes(b"no video")
    sources = list_sources([str(clips)]).sources
    shared = shared_settings(tmp_path / "serial")
    worker = Worker(WorkSettings(shared, stand_in_predictor))
    plan = plan_batch(sources, shared, resume=True)
    Scheduler(plan.todo, InProcess(worker.do)).run(threading.Event())

    trap = tmp_path / "trap"
    trap.touch()
    out = tmp_path / "ray"
    work = settings(out, 1.05, frame_s=0.01, kill_once=trap)
    with ExitStack() as stack:
        token = stack.enter_context(result_token(out))
        check = WorkerCheck(__version__, None, "", token)
        engine = stack.enter_context(engine_on(ray, work, check, WorkerSize(most=2)))
        todo = plan_batch(sources, work.shared, resume=True).todo
        killed: list[str] = []

        def kill_one(outcome: Outcome) -> None:
            """The worker of the first result; it lives, since it passed the trap."""
            if not killed and outcome.failure is None:
                killed.extend(v.worker for v in scheduler.videos if v.source == outcome.source)
                os.kill(int(killed[0].rpartition(":")[2]), signal.SIGKILL)

        scheduler = Scheduler(todo, engine, Patience(pause_s=0.1), on_done=kill_one)
        monitor = Monitor(scheduler, engine, {})
        outcomes = scheduler.run(threading.Event())
        monitor.end()
    assert {o.source.name: bool(o.failure) for o in outcomes} == {
        "broken": True, **{f"v{i}": False for i in range(6)},
    }  # fmt: skip
    assert not trap.exists()
    assert engine.lost >= 2
    assert "raylet" not in capfd.readouterr().out
    assert results_of(out) == results_of(tmp_path / "serial")
    assert [v.segments for v in scheduler.videos if v.source.name == "v1"] == [3]

    table = write_table(out, scheduler.videos, []).read_text().splitlines()
    assert len(table) == 8
    assert sum(",failed," in row for row in table) == 1
    page = write_page(out, monitor, about={"model": "m"}, notes=["<note>"], lost=engine.lost)
    text = page.read_text(encoding="utf-8")
    assert "&lt;note&gt;" in text
    assert "is not a video, or is damaged" in text


def test_shards_are_those_of_a_serial_run(ray, tmp_path: Path) -> None:
    plan = shard_plan(tmp_path / "ray" / "packed")
    numbers = {plan.path(n).stem: n for n in plan.todo()}
    assert len(numbers) > 2
    work = PartWork(numbers, plan.open_writer)
    with ExitStack() as stack:
        token = stack.enter_context(result_token(plan.folder))
        check = WorkerCheck(__version__, None, "", token)
        engine = stack.enter_context(engine_on(ray, work, check, WorkerSize(most=1)))
        scheduler = Scheduler(work.todo(), engine)
        outcomes = scheduler.run(threading.Event())
    assert sorted(o.source.name for o in outcomes) == sorted(numbers)
    assert engine.gpus == 0
    serial = shard_plan(tmp_path / "serial" / "packed")
    for number in serial.todo():
        serial.write(number)
    assert results_of(plan.folder) == results_of(serial.folder)
    assert plan.todo(resume=True) == []


def test_a_worker_that_must_not_work(ray, tmp_path: Path) -> None:
    work = settings(tmp_path)
    with result_token(tmp_path) as token:
        check = WorkerCheck("0.0.0", None, "", token)
        engine = RayEngine(ray, work, check, WorkerSize(most=1))
        scheduler = Scheduler([(NamedSource("v.mp4", "v"), False)], engine)
        with pytest.raises(VepeError, match=r"has VEPE .*, but here it is 0\.0\.0"):
            scheduler.run(threading.Event())
    with pytest.raises(VepeError, match="has 2 CPU cores, too few for a worker of 3; give a small"):
        RayEngine(ray, work, check, WorkerSize(cpus=3))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({}, None),
        ({"version": "9"}, "has VEPE"),
        ({"token": Path("/nowhere/vepe_run/t")}, "does not see the folder '/nowhere'"),
        ({"model": "vepe-n", "sha256": "0"}, "has other weights 'vepe-n'"),
        ({"model": "missing.onnx"}, "missing.onnx"),
    ],
)
def test_what_a_worker_checks(change, problem, tmp_path: Path) -> None:
    with result_token(tmp_path) as token:
        values = {"version": __version__, "model": None, "sha256": "", "token": token, **change}
        text = WorkerCheck(**values).problem()
    assert (text is None) == (problem is None)
    assert problem is None or (problem in text and len(text.splitlines()) == 1)
    assert not token.exists()


def test_a_worker_without_a_package_says_so(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def lacking() -> None:
        raise ModuleNotFoundError("No module named\n'onnxruntime'")

    with result_token(tmp_path) as token:
        work = PartWork({}, lacking)  # type: ignore[arg-type]
        report = RayWorker((work, WorkerCheck(__version__, None, "", token)), 1).ready()
    expected = "cannot start a worker (ModuleNotFoundError: No module named 'onnxruntime'); install"
    assert report.problem is not None
    assert expected in report.problem


def test_a_full_disk_of_a_worker_is_fatal(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with result_token(tmp_path) as token:
        work = settings(tmp_path)
        worker = RayWorker((work, WorkerCheck(__version__, None, "", token)), 1)
        assert worker.ready().problem is None

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("vepe.inference.pipeline.write_results", full)
        clip = write_clip(tmp_path / "v.mp4", 3)
        event = worker.do(Task(NamedSource(str(clip), "v"), overwrite=True))
    assert (event.kind, event.fatal) == ("failed", True)
    assert event.reason.startswith(f"No space on {socket.gethostname()}: ")


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("nonsense", "'nonsense' is no address of a Ray cluster; give auto"),
        ("ray://here", "is no address of a Ray cluster"),
        ("127.0.0.1:1", "No Ray cluster answers at '127.0.0.1:1'"),
        ("ray://127.0.0.1:1", "No Ray cluster answers at"),
        ("no-such-host.invalid:6379", "No Ray cluster answers at"),
    ],
)
def test_an_unreachable_cluster(address: str, error: str) -> None:
    with pytest.raises(VepeError, match=error), ray_session(address):
        pass


def test_a_cluster_that_is_gone(tmp_path: Path, monkeypatch) -> None:
    """Ray remembers its address, and would try to reach it for minutes."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert session._last_cluster() == ""
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:1")
    with pytest.raises(VepeError, match=r"No Ray cluster answers at '127\.0\.0\.1:1'"):
        session._check_reachable("auto")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:2")
    with pytest.raises(VepeError, match=r"No Ray cluster answers at '127\.0\.0\.1:2'"):
        session._check_reachable("auto")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Version mismatch: The cluster was started with:\n  Ray: 2.9\n", "runs another version"),
        ("Could not find any running Ray instance.", "No Ray cluster can be reached at 'auto'"),
    ],
)
def test_what_ray_says_becomes_one_sentence(text: str, sentence: str) -> None:
    error = session._sentence("auto", RuntimeError(text))
    assert sentence in str(error)
    assert "\n" not in str(error)


def test_an_old_ray_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.3.1")
    with pytest.raises(VepeError, match=r"Ray 2\.3\.1 is too old"):
        session.check_ray()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--on", "slurm"], "--on is 'slurm'; the only kind of cluster is ray."),
        (["--address", "auto"], "--address is for clusters; add --on ray."),
        (["--workers", "2"], "--workers is for clusters"),
        (["--segment-s", "0.1"], "--segment-s is 0.1; give 1 or more seconds."),
        (["--on", "ray", "--show"], "--show is for one video here"),
        (["--on", "ray", "--address", "127.0.0.1:1"], "No Ray cluster answers"),
    ],
)
def test_options(words: list[str], error: str, tmp_path: Path, capsys) -> None:
    clip = write_clip(tmp_path / "v.mp4", 2)
    assert cli.run(["track", str(clip), "-o", str(tmp_path / "out"), *words]) == 2
    assert error in capsys.readouterr().err
    assert RayOptions().address is None
