"""The queue without a worker: places, limits, cancelling, deleting, restarts, broken workers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from running_server import LIMITS
from starlette.testclient import TestClient

from vepe.errors import VepeError
from vepe.serve import scheduler as scheduler_module
from vepe.serve.app import create_app
from vepe.serve.errors import public_sentence
from vepe.serve.job import Job, JobOptions, display_name
from vepe.serve.metrics import Metrics
from vepe.serve.scheduler import Scheduler
from vepe.serve.settings import Limits, ServeSettings
from vepe.serve.store import STATE, JobStore
from vepe.serve.track_task import LINES
from vepe.serve.worker_process import WorkerLostError, WorkerProcess

OPTIONS = JobOptions("vepe-n")


@pytest.fixture
def idle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """A server whose scheduler is not started, so that all jobs wait; uploads are not probed."""

    async def ask(self: WorkerProcess, name: str, values: Any, timeout_s: float) -> Any:
        return {"width": 4, "height": 2, "fps": 25.0, "duration_s": 1.0, "frames": 25,
                "playable": False}  # fmt: skip

    monkeypatch.setattr(WorkerProcess, "ask", ask)
    limits = Limits(queued_jobs=3, stored_jobs=4, free_disk_mb=1)
    settings = ServeSettings(tmp_path / "data", limits=limits)
    return TestClient(create_app(settings), base_url="http://127.0.0.1:8000")


def send(client: TestClient, name: str = "walk.mp4") -> Any:
    files = {"file": (name, b"\0\0\0\x18ftypmp42")}
    return client.post("/v1/jobs", files=files)


def test_places_limits_and_cancelling(idle: TestClient) -> None:
    jobs = [send(idle).json() for _ in range(3)]
    assert [job["queue_place"] for job in jobs] == [1, 2, 3]
    full = send(idle)
    assert full.status_code == 429
    assert full.json() == {"error": "3 jobs wait already; try again later."}
    assert int(full.headers["retry-after"]) > 0
    assert idle.post(f"/v1/jobs/{jobs[0]['id']}/cancel").json()["status"] == "cancelled"
    assert idle.post(f"/v1/jobs/{jobs[0]['id']}/cancel").status_code == 200
    listed = idle.get("/v1/jobs").json()
    assert [job["id"] for job in listed] == [job["id"] for job in reversed(jobs)]
    assert [job["queue_place"] for job in listed] == [2, 1, None]
    assert send(idle).status_code == 201
    idle.post(f"/v1/jobs/{jobs[1]['id']}/cancel")
    assert "keeps 4 jobs at most" in send(idle).json()["error"]
    assert idle.delete(f"/v1/jobs/{jobs[1]['id']}").status_code == 204
    assert idle.get(f"/v1/jobs/{jobs[1]['id']}").status_code == 404
    assert send(idle).status_code == 201


def test_results_that_are_not_there_yet(idle: TestClient) -> None:
    job = send(idle).json()["id"]
    for path in ("poses", "poses?format=csv", "video", "skeleton"):
        answer = idle.get(f"/v1/jobs/{job}/{path}")
        assert answer.status_code == 409, path
        assert answer.json()["error"].startswith(("This job is not done", "The job has not begun"))
    assert "cannot play" in idle.get(f"/v1/jobs/{job}/source").json()["error"]
    idle.post(f"/v1/jobs/{job}/cancel")
    assert "was cancelled" in idle.get(f"/v1/jobs/{job}/video").json()["error"]
    assert "event: end" in idle.get(f"/v1/jobs/{job}/events").text
    for wrong in ("0" * 24, "..", "%2e%2e", "x"):
        assert idle.get(f"/v1/jobs/{wrong}/video").status_code == 404
    assert idle.get(f"/v1/jobs/{job}/poses?format=exe").status_code == 422


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\videos\\walk.mp4", "walk.mp4"),
        ("a\x1b[31m\u202e.mp4", "a\\x1b[31m\\u202e.mp4"),
        ("  ", "unnamed"),
        ("x" * 500, "x" * 120),
        ("Gehweg – 1.mp4", "Gehweg – 1.mp4"),
    ],
)
def test_names_of_clients_are_for_display(name: str, shown: str) -> None:
    assert display_name(name) == shown


def test_files_of_models_are_known_by_name_only() -> None:
    models = ("/opt/models/mine.onnx", "vepe-n")
    for given in ({}, {"model": "mine.onnx"}):
        options = JobOptions.parse(given, models, models[0])
        assert options.model == models[0]
        values = Job.new("a.mp4", options).public()
        assert values["model"] == values["options"]["model"] == "mine.onnx"
    assert JobOptions.parse({"model": "vepe-n"}, models, models[0]).model == "vepe-n"
    for wrong in (models[0], "x", 5, ["vepe-n"]):
        with pytest.raises(VepeError, match=r"choose from mine.onnx, vepe-n"):
            JobOptions.parse({"model": wrong}, models, models[0])


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("'/srv/jobs/12/walk.mp4' is\ncut off.", "'walk.mp4' is cut off."),
        (
            "see https://example.org/a/b, not /usr/lib/x/y.so.",
            "see https://example.org/a/b, not y.so.",
        ),
        ("give 1/2 or and/or", "give 1/2 or and/or"),
    ],
)
def test_sentences_name_no_folders(text: str, public: str) -> None:
    assert public_sentence(text) == public


def test_names_of_clients_become_no_paths(idle: TestClient, tmp_path: Path) -> None:
    job = send(idle, "../../../escaped.sh").json()
    assert job["name"] == "escaped.sh"
    data = tmp_path / "data"
    files = {path.relative_to(data).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {f"jobs/{job['id']}/{STATE}", f"jobs/{job['id']}/source.mp4"}


def stored_job(folder: Path, status: str, attempts: int = 1) -> Job:
    store = JobStore(folder)
    job = Job.new("walk.mp4", OPTIONS)
    job.source, job.status, job.attempts = "source.mp4", status, attempts  # type: ignore[assignment]
    upload = store.incoming / "upload"
    upload.write_bytes(b"video")
    store.add(job, upload)
    (store.folder_of(job) / LINES).write_text("half")
    return job


@pytest.mark.parametrize(
    ("status", "attempts", "then"),
    [
        ("queued", 0, "queued"),
        ("running", 1, "queued"),
        ("running", 2, "failed"),
        ("done", 1, "done"),
    ],
)
def test_jobs_after_a_restart(tmp_path: Path, status: str, attempts: int, then: str) -> None:
    job = stored_job(tmp_path, status, attempts)
    (tmp_path / "incoming" / "cut off").write_bytes(b"x")
    store = JobStore(tmp_path)
    again = store.get(job.id)
    assert again is not None
    assert again.status == then
    assert (again.error is not None) == (then == "failed")
    assert store.source_of(again).read_bytes() == b"video"
    assert (store.folder_of(again) / LINES).exists() == (status in ("queued", "done"))
    assert list(store.incoming.iterdir()) == []
    assert json.loads((store.folder_of(again) / STATE).read_text())["status"] == then


def test_a_job_that_was_being_cancelled_stays_so_after_a_restart(tmp_path: Path) -> None:
    job = stored_job(tmp_path, "running")
    store = JobStore(tmp_path)
    same = store.get(job.id)
    assert same is not None
    same.status = "running"
    Scheduler(store, ServeSettings(tmp_path), Metrics()).cancel(same)
    again = JobStore(tmp_path).get(job.id)
    assert again is not None
    assert again.status == "cancelled"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": 1}', '{"id": "../x", "name": "a"}'])
def test_states_that_are_damaged_are_left_out(tmp_path: Path, text: str) -> None:
    job = stored_job(tmp_path, "done")
    (tmp_path / "jobs" / job.id / STATE).write_text(text)
    assert JobStore(tmp_path).all() == []


class ScriptedWorker:
    """Stands for a worker process: gives messages from a list, and raises errors in it."""

    def __init__(self, script: list[Any]) -> None:
        self.script, self.sent = script, []  # type: ignore[var-annotated]
        self.killed = False

    def start(self) -> None: ...

    def send(self, name: str, values: dict[str, Any]) -> None:
        self.sent.append(name)

    def poll(self, timeout_s: float) -> Any:
        item = self.script.pop(0) if self.script else None
        if isinstance(item, Exception):
            raise item
        return item

    def receive(self, timeout_s: float) -> Any:
        return ("answer", {})

    def kill(self) -> None:
        self.killed = True


PROGRESS = ("progress", {"frames": 3, "people": 2, "first_poses_s": 0.1})


@pytest.mark.parametrize(
    ("script", "status", "error"),
    [
        ([PROGRESS, ("done", {"frames": 4, "people": 2})], "done", None),
        ([PROGRESS, ("failed", {"error": "It is cut off."})], "failed", "It is cut off."),
        ([PROGRESS, WorkerLostError("It crashed.")], "failed", "It crashed."),
        ([VepeError("No model.")], "failed", "No model."),
        ([None, ("cancelled", {})], "cancelled", None),
    ],
)
def test_how_jobs_end(tmp_path: Path, script: list[Any], status: str, error: str | None) -> None:
    job = stored_job(tmp_path, "queued", 0)
    store = JobStore(tmp_path)
    scheduler = Scheduler(store, ServeSettings(tmp_path, limits=LIMITS), Metrics())
    scheduler.worker = ScriptedWorker(script)  # type: ignore[assignment]
    (job,) = store.queued()
    scheduler._run(job)
    assert (job.status, job.error) == (status, error)
    assert job.finished is not None
    again = JobStore(tmp_path).get(job.id)
    assert again is not None
    assert again.status == status


@pytest.mark.parametrize(
    ("cancelled", "status", "says"),
    [(True, "cancelled", None), (False, "failed", "It ran longer than 0 seconds")],
)
def test_workers_that_do_not_stop_are_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cancelled: bool, status: str, says: str | None
) -> None:
    monkeypatch.setattr(scheduler_module, "CANCEL_S", 0.0)
    stored_job(tmp_path, "queued", 0)
    store = JobStore(tmp_path)
    limits = Limits(job_s=1000.0 if cancelled else 0.0)
    scheduler = Scheduler(store, ServeSettings(tmp_path, limits=limits), Metrics())
    worker = ScriptedWorker([])
    scheduler.worker = worker  # type: ignore[assignment]
    (job,) = store.queued()
    job.cancel_requested = cancelled
    scheduler._run(job)
    assert worker.killed
    assert job.status == status
    assert says is None or says in str(job.error)
    assert worker.sent == ["run", "cancel"] if cancelled else ["run"]


def test_a_deleted_job_leaves_nothing(tmp_path: Path) -> None:
    stored_job(tmp_path, "queued", 0)
    store = JobStore(tmp_path)
    scheduler = Scheduler(store, ServeSettings(tmp_path), Metrics())
    scheduler.worker = ScriptedWorker([("done", {"frames": 1})])  # type: ignore[assignment]
    (job,) = store.queued()
    store.remove(job)
    store.folder_of(job).mkdir()  # as a worker that still writes
    scheduler._run(job)
    assert list(store.folder.iterdir()) == []


def test_worker_processes_load_no_web_framework() -> None:
    code = (
        "import sys\n"
        "from vepe.serve import live_frames, networks, tools, track_task, worker\n"
        "print({'fastapi', 'uvicorn', 'starlette', 'torch'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr


def test_live_sessions_that_send_nothing_are_ended(tmp_path: Path) -> None:
    settings = ServeSettings(tmp_path, limits=Limits(live_idle_s=0.05, live_sessions=1))
    client = TestClient(create_app(settings), base_url="http://127.0.0.1:8000")
    headers = {"host": "127.0.0.1:8000"}
    with client.websocket_connect("/v1/live", headers=headers) as socket:
        assert socket.receive_json() == {"error": "No frame came for 0.05 seconds."}


def test_limits_of_what_is_open_at_a_time(tmp_path: Path) -> None:
    limits = Limits(live_sessions=0, waiting_images=0, event_streams=0)
    stored_job(tmp_path, "queued", 0)
    client = TestClient(
        create_app(ServeSettings(tmp_path, limits=limits)), base_url="http://127.0.0.1:8000"
    )
    headers = {"host": "127.0.0.1:8000"}
    with client.websocket_connect("/v1/live", headers=headers) as socket:
        assert "Too many live sessions" in socket.receive_json()["error"]
    answers = [client.post("/v1/predict", files={"file": ("a.jpg", b"x")})]
    (job,) = client.get("/v1/jobs").json()
    answers += [client.get(f"/v1/jobs/{job['id']}/{p}") for p in ("events", "poses?format=jsonl")]
    for answer in answers:
        assert answer.status_code == 429
        assert answer.headers["retry-after"]


def test_a_full_disk_is_said_before_anything_is_stored(tmp_path: Path) -> None:
    limits = Limits(free_disk_mb=10**9)
    client = TestClient(
        create_app(ServeSettings(tmp_path, limits=limits)), base_url="http://127.0.0.1:8000"
    )
    answer = send(client)
    assert answer.status_code == 507
    assert answer.json() == {"error": "The server's disk is almost full; delete some jobs."}
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
