"""Streams as users see them: results with images, and several streams in one batch."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tiny_models import moving_frames, tiny_predictor
from vepe.errors import VepeError
from vepe.inference.predictor import Predictor
from vepe.results.frame import FrameResult

FPS = 25.0


def assert_same(left: list[FrameResult], right: list[FrameResult], atol: float = 1e-6) -> None:
    assert [p.frame_index for p in left] == [p.frame_index for p in right]
    for a, b in zip(left, right, strict=True):
        assert a.time_s == b.time_s
        np.testing.assert_array_equal(a.track_ids, b.track_ids)
        np.testing.assert_allclose(a.scores, b.scores, atol=atol)
        np.testing.assert_allclose(a.keypoints_px, b.keypoints_px, atol=100 * atol)
        assert a.image is b.image


@pytest.mark.parametrize("lookahead", [0, 2])
def test_streams_carry_the_frames_that_were_pushed(lookahead: int, frames) -> None:
    stream = tiny_predictor(conf=0.3, lookahead=lookahead).stream(FPS)
    results = [result for image in frames for result in stream.push(image)] + stream.finish()
    assert [r.frame_index for r in results] == list(range(12))
    assert all(r.image is image for r, image in zip(results, frames, strict=True))
    assert stream._waiting == {}


def test_streams_take_what_predict_takes(predictor: Predictor, frames) -> None:
    torch = pytest.importorskip("torch")
    expected = predictor.stream(FPS).push(frames[0])
    tensor = torch.from_numpy(frames[0]).permute(2, 0, 1)
    for image in (Image.fromarray(frames[0]), tensor, tensor / 255):
        (result,) = predictor.stream(FPS).push(image)
        np.testing.assert_array_equal(result.keypoints_px, expected[0].keypoints_px)


@pytest.mark.parametrize("options", [{}, {"lookahead": 1}, {"smooth": "causal"}])
def test_streams_in_one_batch_equal_each_alone(options, frames) -> None:
    predictor = tiny_predictor(conf=0.3, **options)
    videos = [
        frames[:8],
        moving_frames(8, seed=5),  # of the same size
        moving_frames(8, width=90, height=70, seed=6),
        moving_frames(4, width=48, height=20, seed=7),  # ends earlier
    ]
    alone = []
    for video in videos:
        stream = predictor.stream(FPS)
        alone.append([r for image in video for r in stream.push(image)] + stream.finish())
    group = predictor.streams(4, FPS)
    together: list[list[FrameResult]] = [[] for _ in videos]
    for step in range(8):
        images = [video[step] if step < len(video) else None for video in videos]
        for results, new in zip(together, group.push(images), strict=True):
            results += new
    for results, new in zip(together, group.finish(), strict=True):
        results += new
    for left, right in zip(together, alone, strict=True):
        assert_same(left, right, atol=1e-5)


def test_one_pass_for_all_streams(predictor: Predictor, frames, monkeypatch) -> None:
    model = predictor._runner.network.model
    sizes = []
    encode_frame = type(model).encode_frame

    def spy(self, images, *args, **options):
        sizes.append(len(images))
        return encode_frame(self, images, *args, **options)

    monkeypatch.setattr(type(model), "encode_frame", spy)
    group = predictor.streams(3, FPS)
    group.push([frames[0], frames[1], frames[2]])
    group.push([frames[0], None, frames[2]])
    assert sizes == [3, 2]


def test_times_belong_to_each_stream(predictor: Predictor, frames) -> None:
    group = predictor.streams(2)
    first, second = group.push(frames[:2], [0.0, 7.5])
    assert (first[0].time_s, second[0].time_s) == (0.0, 7.5)
    with pytest.raises(VepeError, match="does not come after the last one"):
        group.push(frames[:2], [0.1, 7.5])


def test_wrong_groups(predictor: Predictor, frames) -> None:
    group = predictor.streams(2, FPS)
    with pytest.raises(VepeError, match="There are 2 streams, but 1 images and 2 times"):
        group.push(frames[:1])
    with pytest.raises(VepeError, match="An image must be a uint8 array"):
        group.push([frames[0], frames[1] / 255.0])
    assert group.streams[0]._count == 0  # nothing was taken
    with pytest.raises(VepeError, match="count is 0; give 1 or more streams"):
        predictor.streams(0)
    group.finish()
    with pytest.raises(VepeError, match="This stream is finished"):
        group.push(frames[:2])
