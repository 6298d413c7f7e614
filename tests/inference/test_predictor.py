"""`vepe.load` and the predictor: images, videos, options, and the bundled weights."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import vepe
from tiny_models import TINY, moving_frames, tiny_model, tiny_predictor, write_video
from vepe.config.tracking import ShotSettings, SmoothingSettings, TrackerSettings
from vepe.errors import VepeError
from vepe.inference import devices
from vepe.inference.model_files import bundled_weights
from vepe.inference.predictor import Predictor, load
from vepe.inference.torch_network import TorchNetwork
from vepe.skeleton import POSETRACK15
from vepe.types import NO_TRACK, FramePoses

DEMO = Path(__file__).parents[2] / "assets" / "store_aisle.mp4"


def test_load_from_a_file(tiny_weights: Path, frames) -> None:
    predictor = vepe.load(tiny_weights, device="cpu", conf=0.0)
    assert isinstance(predictor, Predictor)
    assert predictor.skeleton == POSETRACK15
    assert predictor.config == TINY
    expected = tiny_predictor(conf=0.0).predict(frames[0])  # fp16 on disk: nearly the same
    pred = predictor.predict(frames[0])
    np.testing.assert_allclose(pred.keypoints_px, expected.keypoints_px, atol=0.1)


def test_predict_is_a_stream_of_one_frame(predictor, frames) -> None:
    poses = predictor.predict(frames[3])
    assert (poses.track_ids == NO_TRACK).all()
    assert (np.diff(poses.scores) <= 0).all()
    (streamed,) = predictor.stream(25.0, tracking=False).push(frames[3])
    np.testing.assert_allclose(poses.keypoints_px, streamed.keypoints_px, atol=1e-4)
    np.testing.assert_allclose(poses.scores, streamed.scores, atol=1e-6)


def test_predict_reads_files_upright(predictor, frames, tmp_path: Path) -> None:
    image = Image.fromarray(frames[0])
    exif = Image.Exif()
    exif[0x0112] = 6  # stored rotated by 90 degrees
    image.rotate(90, expand=True).save(tmp_path / "a.png", exif=exif)
    poses, expected = predictor.predict(tmp_path / "a.png"), predictor.predict(frames[0])
    np.testing.assert_array_equal(poses.keypoints_px, expected.keypoints_px)
    with pytest.raises(VepeError, match="There is no image"):
        predictor.predict(tmp_path / "nosuch.png")


def test_conf_and_max_people(frames) -> None:
    everyone = tiny_predictor(conf=0.0).predict(frames[0])
    assert len(everyone) == TINY.queries
    middle = float(everyone.scores[2])
    assert len(tiny_predictor(conf=middle).predict(frames[0])) == 3
    assert len(tiny_predictor(conf=1.0).predict(frames[0])) == 0
    few = tiny_predictor(conf=0.0, max_people=2).predict(frames[0])
    np.testing.assert_array_equal(few.scores, everyone.scores[:2])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"conf": 1.5}, "conf is 1.5; give a score between 0 and 1"),
        ({"window": 0}, "The window is 0"),
        ({"lookahead": 3}, "The lookahead is 3, but the window of 3 frames has room for 0 to 2"),
        ({"lookahead": -1}, "The lookahead is -1"),
        ({"window": 1, "lookahead": 1}, "a larger window"),
        ({"input_px": 8}, "The input size is 8 px; give 32 to"),
        ({"input_px": 100_000}, "The input size is 100000 px"),
        ({"smooth": "much"}, "no smoothing 'much'"),
        ({"max_people": 0}, "max_people is 0"),
        ({"conf": "0.3"}, "conf must be a number; got '0.3' (str)"),
        ({"conf": None}, "conf must be a number; got None"),
        ({"conf": float("nan")}, "conf is not a number (NaN)"),
        ({"window": 2.5}, "window must be a whole number; got 2.5 (float)"),
        ({"lookahead": "1"}, "lookahead must be a whole number"),
        ({"input_px": "320"}, "input_px must be a whole number; got '320' (str)"),
        ({"max_people": 1.5}, "max_people must be a whole number"),
    ],
)
def test_options_out_of_range(options, says) -> None:
    with pytest.raises(VepeError) as caught:
        tiny_predictor(**options)
    assert says in str(caught.value)


def test_options_are_in_the_configuration() -> None:
    predictor = tiny_predictor(window=5, lookahead=2, input_px=96)
    temporal = predictor.config.temporal
    assert (temporal.window, temporal.lookahead, predictor.config.input_px) == (5, 2, 96)
    # A window of one has no room for the lookahead that the model was made with.
    ahead = TINY.model_copy(update={"temporal": TINY.temporal.model_copy(update={"lookahead": 1})})
    assert tiny_predictor(ahead, window=1).config.temporal.lookahead == 0


@pytest.mark.parametrize("conf", [0.0, 0.1, 0.3, 0.6, 1.0])
def test_tracks_start_at_conf(conf: float) -> None:
    settings = tiny_predictor(conf=conf)._runner.tracker.settings
    assert settings.new_track_threshold == conf
    assert 0 <= settings.low_threshold <= settings.high_threshold <= conf


def test_settings_of_the_model_are_used_unless_others_are_given() -> None:
    config = TINY.model_copy(
        update={
            "tracker": TrackerSettings(confirm_hits=3),
            "smoothing": SmoothingSettings(min_cutoff_hz=1.0, half_window_s=0.1),
            "shots": ShotSettings(surprise=4.0),
        }
    )
    runner = tiny_predictor(config, smooth="causal")._runner
    assert runner.tracker.settings.confirm_hits == 3
    assert runner.smoother.settings.min_cutoff_hz == 1.0
    assert runner.shots.settings.surprise == 4.0
    offline = tiny_predictor(config, smooth="offline").offline_smoother()
    assert offline.settings.half_window_s == 0.1
    tracker, smoothing = TrackerSettings(confirm_hits=5), SmoothingSettings(min_cutoff_hz=7.0)
    other = tiny_predictor(config, smooth="causal", tracker=tracker, smoothing=smoothing)
    assert other._runner.tracker.settings == other.config.tracker == tracker
    assert other._runner.smoother.settings == other.config.smoothing == smoothing


def test_the_callers_model_is_not_changed() -> None:
    model = tiny_model().train()
    Predictor(TorchNetwork(model), TINY, window=5, lookahead=2)
    assert model.training
    assert (model.window, model.lookahead) == (3, 0)
    weight = next(p for p in model.parameters() if p.ndim == 4 and p.shape[-1] > 1)
    assert weight.is_contiguous()  # and not in channels-last layout


def test_loading_leaves_the_process_alone(tiny_weights: Path, monkeypatch) -> None:
    def fail() -> None:
        raise AssertionError("load changed the allocator of the whole process")

    monkeypatch.setattr(devices, "keep_freed_memory", fail)
    vepe.load(tiny_weights, device="cpu")
    assert vepe.keep_freed_memory is fail  # the opt-in function of the public API


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "v.mp4", moving_frames(20))


def assert_same(left: list[FramePoses], right: list[FramePoses]) -> None:
    assert [p.frame_index for p in left] == [p.frame_index for p in right]
    for a, b in zip(left, right, strict=True):
        assert a.time_s == b.time_s
        np.testing.assert_array_equal(a.keypoints_px, b.keypoints_px)
        np.testing.assert_array_equal(a.track_ids, b.track_ids)


@pytest.mark.parametrize("lookahead", [0, 1])
def test_track_is_the_stream_of_its_frames(lookahead: int, video: Path) -> None:
    from vepe.video.reader import open_video

    predictor = tiny_predictor(conf=0.3, lookahead=lookahead)
    tracked = list(predictor.track(video))
    stream, streamed = predictor.stream(), []
    with open_video(video) as source:
        for frame in source:
            streamed += stream.push(frame.image, frame.time_s, frame.index)
    assert_same(tracked, streamed + stream.finish())
    assert len(tracked) == 20
    assert sum(len(p) for p in tracked) > 20


def test_track_part_of_a_video(predictor, video: Path) -> None:
    tracked = list(predictor.track(video, start_s=0.2, end_s=0.6, stride=3))
    assert [p.frame_index for p in tracked] == [6, 9, 12]
    np.testing.assert_allclose([p.time_s for p in tracked], [0.24, 0.36, 0.48], atol=1e-6)


def test_track_smooths_offline_like_the_whole_video(video: Path) -> None:
    from vepe.tracking.smoothing_offline import smooth_offline

    raw = list(tiny_predictor(conf=0.3).track(video))
    smooth = list(tiny_predictor(conf=0.3, smooth="offline").track(video))
    assert_same(smooth, smooth_offline(raw))
    assert any((a.keypoints_px != b.keypoints_px).any() for a, b in zip(raw, smooth, strict=True))


def test_track_can_be_left_early(predictor, video: Path) -> None:
    frames = predictor.track(video)
    assert next(frames).frame_index == 0
    frames.close()


def test_track_of_a_missing_file(predictor, tmp_path: Path) -> None:
    with pytest.raises(VepeError, match="There is no file or folder"):
        next(predictor.track(tmp_path / "nosuch.mp4"))


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (None, {}, "got NoneType. For frames in memory, push them into `stream()`"),
        ([np.zeros((4, 4, 3), np.uint8)], {}, "got list"),
        (np.zeros((4, 4, 3), np.uint8), {}, "got numpy.ndarray"),
        (cv2.VideoCapture(), {}, "got cv2.VideoCapture"),
        (io.BytesIO(), {}, "got _io.BytesIO"),
        (True, {}, "got bool"),
        ("v.mp4", {"start_s": "0"}, "start_s must be a number; got '0' (str)"),
        ("v.mp4", {"end_s": float("nan")}, "end_s is not a number (NaN)"),
        ("v.mp4", {"stride": 1.5}, "stride must be a whole number; got 1.5 (float)"),
        ("v.mp4", {"fps": "25"}, "fps must be a number"),
    ],
)
def test_wrong_arguments_of_track(source, options, message, predictor) -> None:
    with pytest.raises(VepeError) as caught:
        predictor.track(source, **options)
    assert message in str(caught.value)


@pytest.mark.parametrize("image", [None, [1, 2], b"jpeg", 3, io.BytesIO(b"jpeg")])
def test_wrong_images_of_predict(image, predictor) -> None:
    with pytest.raises(VepeError, match="image"):
        predictor.predict(image)


def test_predict_takes_pil_images(predictor, frames) -> None:
    poses, expected = (predictor.predict(i) for i in (Image.fromarray(frames[0]), frames[0]))
    np.testing.assert_array_equal(poses.keypoints_px, expected.keypoints_px)


def test_inference_does_not_change_the_weights(frames) -> None:
    model = tiny_model()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    predictor = Predictor(TorchNetwork(model), TINY)
    stream = predictor.stream(25.0)
    for image in frames:
        stream.push(image)
    assert all((before[k] == v).all() for k, v in model.state_dict().items())


@pytest.mark.skipif(bundled_weights("vepe-n") is None, reason="no weights are bundled yet")
def test_the_bundled_weights_follow_people_through_the_demo() -> None:
    frames = list(load("vepe-n", device="cpu").track(DEMO))
    assert len(frames) == 67
    counts = np.array([len(p) for p in frames])
    assert (counts >= 2).mean() > 0.5, counts
    # The two seen longest are there in most frames: ids are steady.
    seen = np.bincount(np.concatenate([p.track_ids for p in frames]))
    assert sorted(seen)[-2] > 0.4 * len(frames), seen
    people = np.concatenate([p.keypoints_px for p in frames])
    inside = (people > -20).all(-1) & (people < [500, 290]).all(-1)
    assert inside.mean() > 0.95
