"""The track pipeline: what it writes, in bounded memory, and what remains when something fails."""

from __future__ import annotations

import json
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from tiny_models import moving_frames, tiny_predictor, write_video
from vepe.errors import VepeError
from vepe.formats import tracks
from vepe.inference import pipeline
from vepe.inference.pipeline import run
from vepe.inference.track_job import TrackJob
from vepe.skeleton import POSETRACK15
from vepe.types import Frame, FramePoses, VideoInfo
from vepe.video.reader import open_video
from vepe.video.source import VideoSource


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "clip.mp4", moving_frames(20))


def decoded(path: Path) -> list[float]:
    """Times of all frames of a video."""
    with av.open(str(path)) as container:
        return [float(f.time) for f in container.decode(video=0)]


def images_of(path: Path) -> list[dict]:
    return json.loads(path.read_text())["images"]


def go(predictor, source: Path, job: TrackJob, **options):
    with open_video(source, stride=job.stride) as opened:
        return run(predictor, opened, job, reopen=lambda: open_video(source), **options)


@pytest.mark.parametrize(
    "options", [{}, {"lookahead": 2}, {"smooth": "causal"}, {"smooth": "offline"}]
)
def test_video_and_poses_of_every_frame(options, video: Path, tmp_path: Path) -> None:
    predictor = tiny_predictor(conf=0.3, **options)
    done = []
    report = go(predictor, video, TrackJob(tmp_path / "out", "clip"), on_frame=done.append)
    assert done == list(range(1, 21))
    assert (report.frames, report.stopped, report.warnings) == (20, False, [])
    assert report.paths == [tmp_path / "out" / "clip.mp4", tmp_path / "out" / "clip.json"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["clip.json", "clip.mp4"]
    np.testing.assert_allclose(decoded(report.paths[0]), np.arange(20) / 25, atol=1e-4)
    document = json.loads(report.paths[1].read_text())
    assert [i["frame_id"] for i in document["images"]] == list(range(20))
    tracked = list(predictor.track(video))
    assert len(document["annotations"]) == report.people == sum(len(p) for p in tracked)
    first = next(a for a in document["annotations"] if a["image_id"] == 7)
    np.testing.assert_allclose(
        np.reshape(first["keypoints"], (17, 3))[0, :2], tracked[7].keypoints_px[0, 0], atol=1e-3
    )


def test_people_are_drawn(video: Path, tmp_path: Path) -> None:
    report = go(tiny_predictor(conf=0.3), video, TrackJob(tmp_path, "drawn"))
    empty = go(tiny_predictor(conf=1.0), video, TrackJob(tmp_path, "plain"))
    assert report.people > 0
    assert empty.people == 0
    videos = []
    for path in (report.paths[0], empty.paths[0], video):
        with open_video(path) as source:
            videos.append(np.stack([f.image for f in source]).astype(float))
    assert np.abs(videos[0] - videos[2]).mean() > 3 * np.abs(videos[1] - videos[2]).mean()


def test_no_video_and_other_formats(video: Path, tmp_path: Path) -> None:
    job = TrackJob(tmp_path, "a", video=False, formats=("posetrack", "csv", "mot", "coco"))
    report = go(tiny_predictor(conf=0.3), video, job)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a.coco.json", "a.csv", "a.json", "a.mot.txt",
    ]  # fmt: skip
    assert set(report.paths) == set(tmp_path.iterdir())


def test_stride_keeps_indices_and_halves_the_rate(video: Path, tmp_path: Path) -> None:
    report = go(tiny_predictor(conf=0.3), video, TrackJob(tmp_path, "a", stride=2))
    assert report.frames == 10
    np.testing.assert_allclose(decoded(tmp_path / "a.mp4"), np.arange(0, 20, 2) / 25, atol=1e-4)
    assert [i["frame_id"] for i in images_of(tmp_path / "a.json")] == list(range(0, 20, 2))


def with_sound(video: Path, path: Path, seconds: float) -> Path:
    """The video with a tone as its audio."""
    tone = (9000 * np.sin(np.arange(int(16000 * seconds)) / 6)).astype(np.int16)[None]
    with av.open(str(video)) as source, av.open(str(path), "w") as target:
        images = target.add_stream_from_template(source.streams.video[0])
        sound = target.add_stream("aac", rate=16000, layout="mono")
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = images
                target.mux(packet)
        frame = av.AudioFrame.from_ndarray(tone, "s16", "mono")
        frame.sample_rate, frame.pts = 16000, 0
        for packet in [*sound.encode(frame), *sound.encode(None)]:
            target.mux(packet)
    return path


def test_the_audio_is_copied(video: Path, tmp_path: Path) -> None:
    source = with_sound(video, tmp_path / "loud.mp4", 0.8)
    go(tiny_predictor(conf=0.3), source, TrackJob(tmp_path / "out", "loud"))
    with av.open(str(tmp_path / "out" / "loud.mp4")) as container:
        assert len(container.streams.video) == 1
        (sound,) = container.streams.audio
        assert sound.codec_context.name == "aac"
        samples = np.concatenate([f.to_ndarray()[0] for f in container.decode(sound)])
    assert len(samples) / 16000 == pytest.approx(0.8, abs=0.15)
    assert np.abs(samples).max() > 0.1


def test_folder_frames_keep_their_names(tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "000522_mpii_test"
    folder.mkdir()
    for t, image in enumerate(moving_frames(3)):
        Image.fromarray(image).save(folder / f"{t:06d}.png")
    go(tiny_predictor(conf=0.3), folder, TrackJob(tmp_path / "out", folder.name, video=False))
    images = images_of(tmp_path / "out" / f"{folder.name}.json")
    assert [i["file_name"] for i in images] == [f"{folder.name}/{t:06d}.png" for t in range(3)]
    assert images[1]["id"] == 10005220001  # PoseTrack's own code of that frame


def test_results_are_only_replaced_with_overwrite(video: Path, tmp_path: Path) -> None:
    predictor = tiny_predictor(conf=0.3)
    (tmp_path / "a.json").write_text("mine")
    with pytest.raises(VepeError, match=r"a\.json' already exists; add --overwrite"):
        go(predictor, video, TrackJob(tmp_path, "a"))
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "mine"
    go(predictor, video, TrackJob(tmp_path, "a", overwrite=True))
    assert len(images_of(tmp_path / "a.json")) == 20


def test_the_source_is_never_replaced(video: Path, tmp_path: Path) -> None:
    own = tmp_path / "clip.mp4"
    own.write_bytes(video.read_bytes())
    with pytest.raises(VepeError, match="would replace"):
        go(tiny_predictor(), own, TrackJob(tmp_path, "clip", overwrite=True))
    assert own.read_bytes() == video.read_bytes()


def test_stopping_writes_finished_frames(video: Path, tmp_path: Path) -> None:
    stop = threading.Event()

    def on_frame(count: int) -> None:
        if count == 8:
            stop.set()

    job = TrackJob(tmp_path, "a")
    report = go(tiny_predictor(conf=0.3, lookahead=1), video, job, stop=stop, on_frame=on_frame)
    assert report.stopped
    assert report.frames == 8
    assert len(decoded(tmp_path / "a.mp4")) == 8
    assert len(images_of(tmp_path / "a.json")) == 8
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "a.mp4"]


def test_stopping_before_the_first_frame_leaves_nothing(video: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    report = go(tiny_predictor(), video, TrackJob(tmp_path / "out", "a"), stop=stop)
    assert (report.frames, report.paths) == (0, [])
    assert not (tmp_path / "out").exists()


class Endless(VideoSource):
    """Frames made on the fly; `fail_at` raises instead of that frame."""

    def __init__(self, count: int, fail_at: int = -1, size: int = 64) -> None:
        self.info = VideoInfo("made", size, size, 25.0, count)
        self._count, self._fail_at, self._size = count, fail_at, size
        self.closed = False

    def __iter__(self) -> Iterator[Frame]:
        for i in range(self._count):
            if i == self._fail_at:
                raise RuntimeError("the source broke")
            yield Frame(i, i / 25, np.full((self._size, self._size, 3), i % 200, np.uint8))

    def close(self) -> None:
        self.closed = True


class Puppet:
    """Stands for a predictor: two people in every frame, at no cost."""

    skeleton = POSETRACK15
    smooth = "off"
    config = SimpleNamespace(temporal=SimpleNamespace(lookahead=0))

    def __init__(self, fail_at: int = -1) -> None:
        self._fail_at = fail_at

    def new_stream(self, *, live: bool) -> SimpleNamespace:
        return SimpleNamespace(push=self._push, finish=list)

    def offline_smoother(self) -> None:
        return None

    def _push(self, image: np.ndarray, time_s: float, frame_index: int) -> list[FramePoses]:
        if frame_index == self._fail_at:
            raise ZeroDivisionError("the network broke")
        points = np.full((2, 15, 2), 20.0 + frame_index % 9, np.float32)
        scores = np.ones((2, 15), np.float32)
        ids = np.array([1, 2])
        return [FramePoses(frame_index, time_s, points, scores, scores[:, 0], ids)]


class Hanging(Endless):
    """A camera that stops sending: only `close` ends the wait."""

    def __iter__(self) -> Iterator[Frame]:
        yield from super().__iter__()
        while not self.closed:
            time.sleep(0.01)


def test_a_camera_that_hangs_can_be_stopped(tmp_path: Path) -> None:
    stop, source = threading.Event(), Hanging(5)
    threading.Timer(0.5, stop.set).start()
    begun = time.monotonic()
    report = run(Puppet(), source, TrackJob(tmp_path, "a"), stop=stop)  # type: ignore[arg-type]
    assert time.monotonic() - begun < 4
    assert (report.frames, report.stopped) == (5, True)
    assert len(images_of(tmp_path / "a.json")) == 5


@pytest.mark.parametrize("stage", ["reading", "network", "drawing", "spool", "results"])
def test_an_error_in_any_stage_is_raised_once_and_leaves_nothing(
    stage: str, tmp_path: Path, monkeypatch
) -> None:
    source = Endless(40, fail_at=15 if stage == "reading" else -1)
    puppet = Puppet(fail_at=15 if stage == "network" else -1)
    calls = []

    def failing(*_: object, **__: object) -> None:
        calls.append(1)
        raise MemoryError("no room")

    if stage == "drawing":
        monkeypatch.setattr(pipeline.PoseRenderer, "draw", failing)
    if stage == "spool":
        monkeypatch.setattr(pipeline.PoseSpool, "append", failing)
    if stage == "results":
        monkeypatch.setattr(pipeline, "write_results", failing)
    kinds = {"reading": RuntimeError, "network": ZeroDivisionError}
    threads = threading.active_count()
    with pytest.raises(kinds.get(stage, MemoryError)):
        run(puppet, source, TrackJob(tmp_path / "out", "a"))  # type: ignore[arg-type]
    assert len(calls) <= 1
    left = [p.name for p in (tmp_path / "out").iterdir()] if (tmp_path / "out").exists() else []
    assert left == []
    assert threading.active_count() == threads


@pytest.mark.parametrize("stage", ["drawing", "waiting"])
def test_ctrl_c_during_the_final_writing_discards_it(
    stage: str, tmp_path: Path, monkeypatch
) -> None:
    """The second Ctrl-C: the writing thread ends before its file is freed."""
    late = threading.Event()

    def slow(_: object, image: np.ndarray, *__: object) -> np.ndarray:
        late.wait(0.05)
        return image

    class Impatient(threading.Thread):
        joins = 0

        def join(self, timeout: float | None = None) -> None:
            if self.name == "writing":
                Impatient.joins += 1
                if Impatient.joins <= 2:
                    raise KeyboardInterrupt
            super().join(timeout)

    monkeypatch.setattr(pipeline.PoseRenderer, "draw", slow)
    monkeypatch.setattr(pipeline.threading, "Thread", Impatient)
    if stage == "drawing":
        monkeypatch.setattr(pipeline._Writing, "put", _interrupted_at_the_end(pipeline._Writing))
    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        run(Puppet(), Endless(8), TrackJob(tmp_path / "out", "a"))  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
    assert threading.active_count() == threads


def _interrupted_at_the_end(kind):
    real = kind.put

    def put(self, result) -> None:
        if result is None:
            raise KeyboardInterrupt
        real(self, result)

    return put


def test_a_failure_leaves_no_new_video_next_to_older_poses(tmp_path: Path, monkeypatch) -> None:
    for name in ("a.mp4", "a.json"):
        (tmp_path / name).write_text("older")

    def failing(*_: object) -> None:
        raise VepeError("The disk is full.")

    monkeypatch.setattr(pipeline, "write_results", failing)
    with pytest.raises(VepeError, match="disk is full"):
        run(Puppet(), Endless(3), TrackJob(tmp_path, "a", overwrite=True))  # type: ignore[arg-type]
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {
        "a.mp4": "older", "a.json": "older",
    }  # fmt: skip


def test_a_stop_after_the_last_frame_does_not_count(tmp_path: Path, monkeypatch) -> None:
    stop, real = threading.Event(), pipeline.write_results

    def late(*arguments):
        stop.set()
        return real(*arguments)

    monkeypatch.setattr(pipeline, "write_results", late)
    report = run(Puppet(), Endless(3), TrackJob(tmp_path, "a"), stop=stop)  # type: ignore[arg-type]
    assert (report.frames, report.stopped) == (3, False)


@pytest.mark.parametrize("video", [True, False])
def test_omissions_give_warnings(video: bool, tmp_path: Path) -> None:
    source = Endless(3)
    source.info = VideoInfo("https://host/a.mp4", 64, 64, 25.0, has_audio=True, live=True)
    source.dropped = 7
    report = run(Puppet(), source, TrackJob(tmp_path, "a", video=video))  # type: ignore[arg-type]
    frames, *sound = report.warnings
    assert frames.startswith("7 frames of 'https://host/a.mp4' came faster")
    assert [s.startswith("The sound of 'https://host/a.mp4' is left out") for s in sound] == (
        [True] if video else []
    )


def test_unwritable_results_fail_before_the_work(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "under"):
        with pytest.raises(VepeError, match=r"file' is a file, not a folder; choose a folder"):
            TrackJob(folder, "a").check(None)
    TrackJob(tmp_path / "new" / "deep", "a", formats=("csv",)).check(None)
    monkeypatch.setattr(tracks, "find_spec", lambda name: None)
    with pytest.raises(VepeError, match=r"pip install '\.\[parquet\]'"):
        TrackJob(tmp_path, "a", formats=("posetrack", "parquet")).check(None)


def peak_bytes(frames: int, folder: Path, *, video: bool) -> int:
    """Most memory that Python and NumPy held while that many frames went through."""
    tracemalloc.start()
    try:
        run(Puppet(), Endless(frames), TrackJob(folder, "a", video=video, overwrite=True))  # type: ignore[arg-type]
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_frames_held_at_a_time_have_a_limit(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VEPE_MAX_HELD_MB", "1")
    predictor = tiny_predictor(window=400, lookahead=300)
    with (
        open_video(video) as source,
        pytest.raises(VepeError, match=r"312 frames of 'clip.mp4' .* VEPE_MAX_HELD_MB"),
    ):
        run(predictor, source, TrackJob(tmp_path / "out", "a"))
    assert not (tmp_path / "out").exists()


def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    peak_bytes(50, tmp_path, video=False)  # imports and caches of the first use
    short, long = (peak_bytes(n, tmp_path, video=False) for n in (200, 1200))
    assert long < short + 50_000, (short, long)  # 1000 more frames: under 50 bytes each


def test_two_sources_of_one_frame_each(tmp_path: Path) -> None:
    report = run(Puppet(), Endless(1, size=1), TrackJob(tmp_path, "a"))  # type: ignore[arg-type]
    assert report.frames == 1
    assert len(decoded(tmp_path / "a.mp4")) == 1
