"""`vepe.load` and what it gives: pictures, videos, options, and the bundled weights at work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vepe
from tiny_models import TINY, moving_frames, tiny_model, tiny_predictor, write_video
from vepe.errors import VepeError
from vepe.inference.predictor import Predictor, load, tracker_settings
from vepe.inference.weights import bundled_weights
from vepe.skeleton import POSETRACK15
from vepe.types import NO_TRACK, FramePoses, PoseTracks, VideoInfo

DEMO = Path(__file__).parents[2] / "assets" / "store_aisle.mp4"


def test_load_from_a_file(tiny_weights: Path, frames) -> None:
    predictor = vepe.load(tiny_weights, device="cpu", conf=0.0)
    assert isinstance(predictor, Predictor)
    assert predictor.skeleton == POSETRACK15
    assert predictor.config == TINY
    expected = tiny_predictor(conf=0.0).predict(frames[0])  # fp16 on disk: nearly the same
    found = predictor.predict(frames[0])
    np.testing.assert_allclose(found.keypoints_px, expected.keypoints_px, atol=0.1)


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
    exif[0x0112] = 6  # stored turned by a quarter
    image.rotate(90, expand=True).save(tmp_path / "a.png", exif=exif)
    poses, expected = predictor.predict(tmp_path / "a.png"), predictor.predict(frames[0])
    np.testing.assert_array_equal(poses.keypoints_px, expected.keypoints_px)
    with pytest.raises(VepeError, match="There is no image"):
        predictor.predict(tmp_path / "nosuch.png")


def test_conf_and_max_people(frames) -> None:
    everybody = tiny_predictor(conf=0.0).predict(frames[0])
    assert len(everybody) == TINY.queries
    middle = float(everybody.scores[2])
    assert len(tiny_predictor(conf=middle).predict(frames[0])) == 3
    assert len(tiny_predictor(conf=1.0).predict(frames[0])) == 0
    few = tiny_predictor(conf=0.0, max_people=2).predict(frames[0])
    np.testing.assert_array_equal(few.scores, everybody.scores[:2])


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
    ],
)
def test_options_out_of_range(options, says) -> None:
    with pytest.raises(VepeError) as caught:
        tiny_predictor(**options)
    assert says in str(caught.value)


def test_options_show_in_the_configuration() -> None:
    predictor = tiny_predictor(window=5, lookahead=2, input_px=96)
    temporal = predictor.config.temporal
    assert (temporal.window, temporal.lookahead, predictor.config.input_px) == (5, 2, 96)
    # A window of one has no room for the lookahead that a model was made with.
    ahead = TINY.model_copy(update={"temporal": TINY.temporal.model_copy(update={"lookahead": 1})})
    assert tiny_predictor(ahead, window=1).config.temporal.lookahead == 0


@pytest.mark.parametrize("conf", [0.0, 0.1, 0.3, 0.6, 1.0])
def test_tracks_start_from_conf_on(conf: float) -> None:
    settings = tracker_settings(conf)
    assert settings.birth_score == conf
    assert 0 <= settings.weak_score <= settings.confident_score <= conf


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
    stream, told = predictor.stream(), []
    with open_video(video) as source:
        for frame in source:
            told += stream.push(frame.image, frame.time_s, frame.index)
    assert_same(tracked, told + stream.finish())
    assert len(tracked) == 20
    assert sum(len(p) for p in tracked) > 20


def test_track_part_of_a_video(predictor, video: Path) -> None:
    told = list(predictor.track(video, start_s=0.2, end_s=0.6, stride=3))
    assert [p.frame_index for p in told] == [6, 9, 12]
    np.testing.assert_allclose([p.time_s for p in told], [0.24, 0.36, 0.48], atol=1e-6)


def test_track_smooths_offline_as_the_whole(video: Path) -> None:
    from vepe.tracking.smoothing_offline import smooth_offline

    raw = list(tiny_predictor(conf=0.3).track(video))
    calm = list(tiny_predictor(conf=0.3, smooth="offline").track(video))
    whole = smooth_offline(PoseTracks(VideoInfo("v", 48, 32, 25.0), POSETRACK15, tuple(raw)))
    assert_same(calm, list(whole.frames))
    assert any((a.keypoints_px != b.keypoints_px).any() for a, b in zip(raw, calm, strict=True))


def test_track_can_be_left_early(predictor, video: Path) -> None:
    told = predictor.track(video)
    assert next(told).frame_index == 0
    told.close()


def test_track_of_nothing(predictor, tmp_path: Path) -> None:
    with pytest.raises(VepeError, match="There is no file or folder"):
        next(predictor.track(tmp_path / "nosuch.mp4"))


def test_weights_are_left_alone_by_use(frames) -> None:
    model = tiny_model()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    predictor = Predictor(model, TINY)
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
