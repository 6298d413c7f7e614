"""`track` and `stream` as users see them: images, files, callbacks, threads and processes."""

from __future__ import annotations

import gc
import json
import logging
import multiprocessing
import pickle
import threading
import weakref
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vepe
from tiny_models import moving_frames, tiny_predictor, tiny_weights_file, write_video
from vepe.cli import app as cli
from vepe.config.tracking import TrackerSettings
from vepe.errors import VepeError
from vepe.inference.predictor import Predictor
from vepe.results.frame import FrameResult
from vepe.results.video import VideoResult
from vepe.types import FramePoses
from vepe.video.reader import open_video

NUM_FRAMES = 20


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "v.mp4", moving_frames(NUM_FRAMES))


@pytest.fixture(scope="module")
def images(video: Path) -> list[np.ndarray]:
    with open_video(video) as source:
        return [frame.image for frame in source]


def assert_same(left, right) -> None:
    assert [p.frame_index for p in left] == [p.frame_index for p in right]
    for a, b in zip(left, right, strict=True):
        np.testing.assert_allclose(a.keypoints_px, b.keypoints_px, atol=2e-3)
        np.testing.assert_array_equal(a.track_ids, b.track_ids)


@pytest.mark.parametrize("options", [{}, {"lookahead": 1}, {"smooth": "offline"}])
def test_every_result_has_the_image_of_its_frame(options, video: Path, images) -> None:
    predictor = tiny_predictor(conf=0.3, **options)
    results = []
    for result in predictor.track(video):
        np.testing.assert_array_equal(result.image, images[result.frame_index])
        results.append(result)
    assert len(results) == NUM_FRAMES
    for result in reversed(results):  # later, in any order
        np.testing.assert_array_equal(result.image, images[result.frame_index])


@pytest.mark.parametrize("smooth", ["off", "offline"])
def test_kept_results_keep_no_images(smooth: str, video: Path) -> None:
    alive: list[weakref.ref[np.ndarray]] = []
    results = []
    for result in tiny_predictor(conf=0.3, smooth=smooth).track(video):
        alive.append(weakref.ref(result.image))
        results.append(result)
        assert sum(ref() is not None for ref in alive) <= 8
    assert len(results) == NUM_FRAMES


def test_part_of_a_folder_with_names(predictor: Predictor, tmp_path: Path) -> None:
    folder = tmp_path / "walk"
    folder.mkdir()
    frames = moving_frames(6)
    for i, image in enumerate(frames):
        Image.fromarray(image).save(folder / f"{i}.png")
    results = list(predictor.track(folder, stride=2, fps=10))
    assert [(r.name, r.time_s) for r in results] == [
        ("walk/0.png", 0.0), ("walk/2.png", 0.2), ("walk/4.png", 0.4),
    ]  # fmt: skip
    np.testing.assert_array_equal(results[1].image, frames[2])
    tracks = predictor.track(folder, fps=10).collect()
    assert tracks.file_names == tuple(f"walk/{i}.png" for i in range(6))
    np.testing.assert_array_equal(tracks[3].image, frames[3])


def test_collect(predictor: Predictor, video: Path, images) -> None:
    tracks = predictor.track(video).collect()
    assert isinstance(tracks, VideoResult)
    assert_same(tracks.frames, list(predictor.track(video)))
    assert all(type(f) is FramePoses for f in tracks.frames)  # without images
    np.testing.assert_array_equal(tracks[9].image, images[9])
    assert (tracks.video.name, tracks.info["model"]["name"]) == ("v.mp4", "tiny")


def test_info_is_that_of_the_command(video: Path, tmp_path: Path) -> None:
    weights = tiny_weights_file(tmp_path)
    arguments = [str(video), "-o", str(tmp_path / "out"), "--model", str(weights), "--no-video"]
    options = ["--conf", "0.3", "--end", "0.3", "--window", "2", "--flip"]
    assert cli.run(["track", *arguments, *options]) == 0
    stated = json.loads((tmp_path / "out" / "v.json").read_text())["info"]
    assert stated["options"]["flip"] is True
    model = vepe.load(weights, conf=0.3, window=2, flip=True)
    info = model.track(video, end_s=0.3).collect().info
    assert info == {key: stated[key] for key in info}
    assert set(stated) - set(info) == {"key", "complete", "files"}  # a cut result is no whole one
    changed = vepe.load(weights, max_people=2, shot_cuts=False, tracker=TrackerSettings())
    options = changed.track(video).collect().smooth().info["options"]
    assert (options["max_people"], options["shot_cuts"], options["smooth"]) == (2, False, "offline")
    assert options["tracker"] == TrackerSettings().model_dump(mode="json")
    weights.unlink()  # what is tracked already must not be lost
    assert model.track(video, end_s=0.1).collect().info["model"]["sha256"] is None


def test_info_of_a_model_without_a_file(predictor: Predictor, video: Path) -> None:
    info = predictor.track(video, end_s=0.1).collect().info
    assert info["model"] == {"name": "tiny", "sha256": None}
    assert (info["options"]["conf"], info["options"]["window"]) == (predictor.conf, 3)


def test_collect_takes_the_rest(predictor: Predictor, video: Path) -> None:
    frames = predictor.track(video)
    next(frames)
    assert len(frames.collect()) == NUM_FRAMES - 1
    for again in (frames.collect, lambda: frames.save("a.csv")):
        with pytest.raises(VepeError, match="have been taken already"):
            again()


def test_save_writes_all_files_in_one_pass(predictor: Predictor, video: Path, tmp_path) -> None:
    paths = [tmp_path / "out" / name for name in ("a.mp4", "b.json", "c.csv", "d_openpose")]
    assert predictor.track(video).save(*paths, boxes=True) == paths
    tracks = predictor.track(video).collect()
    for path in paths[1:3]:
        assert_same(vepe.read(path).frames, tracks.frames)
    info = json.loads(paths[1].read_text())["info"]
    assert (info["vepe"], Path(info["source"]["path"])) == (vepe.__version__, video)
    assert vepe.read(paths[1]).source == video
    with open_video(paths[0]) as drawn:
        frames = list(drawn)
    assert len(frames) == NUM_FRAMES
    drawn, plain = tracks[5].draw(boxes=True).astype(int), tracks[5].image.astype(int)
    assert np.abs(frames[5].image - drawn).mean() < 0.5 * np.abs(frames[5].image - plain).mean()
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(p.name for p in paths)


def test_save_refuses_before_the_work(
    predictor: Predictor, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    existing = tmp_path / "a.csv"
    existing.write_text("mine")
    wrong = [
        ((), {}, "Name the files to write"),
        (("a.xyz",), {}, "names no format"),
        ((existing,), {}, "is already there; pass overwrite=True"),
        ((video,), {"overwrite": True}, "would replace"),
        (("a.mp4",), {"background": "green"}, "background is 'green'"),
    ]
    for paths, options, message in wrong:
        frames = predictor.track(video)
        with pytest.raises(VepeError, match=message):
            frames.save(*paths, **options)
        assert frames.video is None  # not even opened
    assert existing.read_text() == "mine"
    monkeypatch.setattr("vepe.formats.tracks.find_spec", lambda package: None)
    with pytest.raises(VepeError, match="The format parquet needs the package pyarrow"):
        predictor.track(video).save(tmp_path / "a.parquet")


def test_nothing_is_left_of_a_save_that_fails(predictor: Predictor, video, tmp_path) -> None:
    def fail(result: FrameResult) -> None:
        if result.frame_index == 7:
            raise RuntimeError("from a callback")

    with pytest.raises(RuntimeError, match="from a callback"):
        predictor.track(video, on_frame=fail).save(tmp_path / "a.mp4", tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_keeps_the_frames_so_far(predictor: Predictor, video: Path, tmp_path) -> None:
    def interrupt(result: FrameResult) -> None:
        if result.frame_index == 7:
            raise KeyboardInterrupt

    paths = [tmp_path / "a.mp4", tmp_path / "a.json"]
    with pytest.raises(KeyboardInterrupt):
        predictor.track(video, on_frame=interrupt).save(*paths)
    assert len(vepe.read(paths[1])) == 7
    with open_video(paths[0]) as drawn:
        assert len(list(drawn)) == 7
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_callbacks(predictor: Predictor, video: Path) -> None:
    starts: dict[int, int] = {}
    ends: dict[int, int] = {}
    frames = []
    tracks = predictor.track(
        video,
        on_frame=lambda result: frames.append(result.frame_index),
        on_track_start=lambda i, result: starts.setdefault(i, result.frame_index),
        on_track_end=lambda i, result: ends.setdefault(i, result.frame_index),
    ).collect()
    assert frames == list(range(NUM_FRAMES))
    ids = tracks.track_ids()
    assert ids
    assert starts == {i: tracks.person(i).frame_indices[0] for i in ids}
    assert ends == {i: tracks.person(i).frame_indices[-1] for i in ids}


def test_repr_and_close(predictor: Predictor, video: Path) -> None:
    frames = predictor.track(video)
    assert repr(frames) == (
        f"TrackedFrames of '{video}'; iterate it, or call collect() or save('out.mp4')"
    )
    next(frames)
    assert frames.video.name == "v.mp4"
    frames.close()
    assert list(frames) == []
    assert repr(predictor) == "Predictor('tiny' on cpu: 15 keypoints, input 64 px, window 3)"


def test_an_abandoned_video_ends_its_thread_at_once(predictor: Predictor, video: Path) -> None:
    before = threading.active_count()
    frames = predictor.track(video)
    next(frames)
    assert threading.active_count() == before + 1
    gc.disable()
    try:
        del frames
        assert threading.active_count() == before
    finally:
        gc.enable()


def test_threads_share_a_predictor(predictor: Predictor, video: Path) -> None:
    expected = list(predictor.track(video))
    with ThreadPoolExecutor(3) as pool:
        for results in pool.map(lambda _: list(predictor.track(video)), range(3)):
            assert_same(results, expected)


def test_pickled_predictors(predictor: Predictor, tiny_weights: Path, frames) -> None:
    """Of `load`: by its name; else with the model."""
    loaded = vepe.load(tiny_weights, device="cpu", conf=0.2, window=2, smooth="causal")
    data = pickle.dumps(loaded)
    assert len(data) < 2000
    copy = pickle.loads(data)
    assert (copy.conf, copy.smooth, copy.config) == (0.2, "causal", loaded.config)
    assert_same([copy.predict(frames[0])], [loaded.predict(frames[0])])
    own = pickle.loads(pickle.dumps(predictor))
    assert_same([own.predict(frames[0])], [predictor.predict(frames[0])])


def test_results_come_back_from_another_process(tiny_weights: Path, video: Path) -> None:
    predictor = vepe.load(tiny_weights, device="cpu", conf=0.3)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        tracks = pool.submit(collected, predictor, video).result()
    assert_same(tracks.frames, list(predictor.track(video)))
    assert tracks[3].image.shape == (32, 48, 3)


def collected(predictor: Predictor, video: Path) -> VideoResult:
    return predictor.track(video).collect()


def test_the_library_is_quiet_but_logs(tiny_weights: Path, video, caplog, capfd) -> None:
    vepe.load(tiny_weights, device="cpu").track(video).collect()
    assert capfd.readouterr() == ("", "")
    with caplog.at_level(logging.INFO, logger="vepe"):
        vepe.load(tiny_weights, device="cpu").track(video).collect()
    messages = [record.getMessage() for record in caplog.records]
    assert messages[0] == f"Loading '{tiny_weights}'"
    assert messages[1].startswith(f"Loaded '{tiny_weights}' on cpu (torch) in ")
    assert messages[2] == "Tracking 'v.mp4': 48x32 at 25 frames per second"


def test_damage_is_logged_as_a_warning(predictor: Predictor, tmp_path: Path, caplog) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    for i, image in enumerate(moving_frames(3)):
        Image.fromarray(image).save(folder / f"{i}.png")
    data = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(data[: len(data) // 2])
    frames = predictor.track(folder)
    assert len(list(frames)) == 2
    assert "The results lack 1 of 3 images" in frames.warning
    (record,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert record.getMessage() == frames.warning
