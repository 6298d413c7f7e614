"""Streams: results depend only on the frames, not on how they arrive or on other streams."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tiny_models import TINY, moving_frames, tiny_model, tiny_predictor
from vepe.config.model import ConsistencyConfig
from vepe.errors import VepeError
from vepe.inference.prepost import letterbox
from vepe.models.step import network_input
from vepe.types import NO_TRACK, FramePoses

FPS = 25.0


def run(stream, frames) -> list[FramePoses]:
    outputs = [poses for image in frames for poses in stream.push(image)]
    return outputs + stream.finish()


def assert_same(left: list[FramePoses], right: list[FramePoses], atol: float = 0.0) -> None:
    assert [p.frame_index for p in left] == [p.frame_index for p in right]
    for a, b in zip(left, right, strict=True):
        assert a.time_s == b.time_s
        np.testing.assert_allclose(a.scores, b.scores, atol=atol)
        np.testing.assert_allclose(a.keypoints_px, b.keypoints_px, atol=max(atol, 0))
        np.testing.assert_array_equal(a.track_ids, b.track_ids)


@pytest.mark.parametrize(("window", "lookahead"), [(1, 0), (3, 0), (3, 1), (5, 2), (2, 1)])
def test_a_stream_equals_the_clip_pass(window: int, lookahead: int, frames) -> None:
    """Frame by frame equals the model on the whole clip at once."""
    predictor = tiny_predictor(window=window, lookahead=lookahead, conf=0.0)
    outputs = run(predictor.stream(FPS, tracking=False), frames)
    inputs = [letterbox(image, TINY.input_px, 32) for image in frames]
    images = torch.from_numpy(np.stack([image for image, _ in inputs]))
    sizes = torch.tensor([fit.resized_wh for _, fit in inputs])
    clip, padding = network_input(images, sizes)
    times_s = torch.arange(len(frames), dtype=torch.float64)[None] / FPS
    model = tiny_model()
    model.window, model.lookahead = window, lookahead
    with torch.inference_mode():
        expected = model(clip[None], times_s, padding[None])
    assert [p.frame_index for p in outputs] == list(range(len(frames)))
    for poses, output, (_, fit) in zip(outputs, expected, inputs, strict=True):
        order = output.score_logits[0].argsort(descending=True)
        points = fit.to_source(output.keypoints_px[0][order].numpy())
        np.testing.assert_allclose(poses.keypoints_px, points, atol=1e-3)
        np.testing.assert_allclose(poses.scores, output.score_logits[0][order].sigmoid(), atol=1e-5)


def test_the_window_matters(frames) -> None:
    """Else the test above would say little of time."""
    one = run(tiny_predictor(window=1, conf=0.0).stream(FPS, tracking=False), frames)
    three = run(tiny_predictor(window=3, conf=0.0).stream(FPS, tracking=False), frames)
    np.testing.assert_allclose(one[0].keypoints_px, three[0].keypoints_px, atol=1e-4)
    assert np.abs(one[5].keypoints_px - three[5].keypoints_px).max() > 1e-3


def test_times_come_from_the_frame_rate(predictor, frames) -> None:
    assert run(predictor.stream(5.0), frames[:4])[-1].time_s == pytest.approx(0.6)


def test_a_stream_has_no_lookahead_unless_asked_for(frames) -> None:
    """The model's own lookahead is for files."""
    ahead = TINY.model_copy(update={"temporal": TINY.temporal.model_copy(update={"lookahead": 1})})
    assert len(tiny_predictor(ahead).stream(FPS).push(frames[0])) == 1
    assert len(tiny_predictor(ahead, lookahead=1).stream(FPS).push(frames[0])) == 0
    assert len(tiny_predictor(ahead).new_stream(FPS).push(frames[0])) == 0


@pytest.mark.parametrize("options", [{}, {"lookahead": 1}, {"smooth": "causal"}])
def test_streams_are_independent(options, frames) -> None:
    predictor = tiny_predictor(conf=0.3, **options)
    others = moving_frames(12, width=64, height=40, seed=5)
    alone = run(predictor.stream(FPS), frames), run(predictor.stream(FPS), others)
    left, right = predictor.stream(FPS), predictor.stream(FPS)
    outputs: tuple[list[FramePoses], list[FramePoses]] = ([], [])
    for a, b in zip(frames, others, strict=True):
        outputs[0].extend(left.push(a))
        outputs[1].extend(right.push(b))
    outputs[0].extend(left.finish())
    outputs[1].extend(right.finish())
    assert_same(outputs[0], alone[0])
    assert_same(outputs[1], alone[1])


def test_a_state_can_be_continued_twice(predictor, frames) -> None:
    stream = predictor.stream(FPS)
    for image in frames[:5]:
        stream.push(image)
    state = stream.state
    first = stream.push(frames[5])
    stream.push(frames[6])
    _, second = stream.runner.step(state, frames[5], 5 / FPS, 5)
    assert_same(first, second)


@pytest.mark.parametrize(("window", "lookahead", "held"), [(3, 0, 3), (5, 2, 5), (1, 0, 1)])
def test_state_is_bounded_by_the_window(window, lookahead, held, frames) -> None:
    stream = tiny_predictor(window=window, lookahead=lookahead).stream(FPS)
    for image in frames:
        stream.push(image)
        assert len(stream.state.network.frames) <= held
        assert stream.state.network.pending <= lookahead


def test_lookahead_delays_frames_but_loses_none(frames) -> None:
    stream = tiny_predictor(window=3, lookahead=2, conf=0.0).stream(FPS)
    counts = [len(stream.push(image)) for image in frames]
    assert counts == [0, 0, *[1] * (len(frames) - 2)]
    assert [p.frame_index for p in stream.finish()] == [10, 11]
    assert stream.finish() == []


def test_only_people_with_ids_are_returned(predictor, frames) -> None:
    outputs = run(predictor.stream(FPS), frames)
    assert sum(len(p) for p in outputs) > len(frames)
    assert all((p.track_ids != NO_TRACK).all() for p in outputs)
    assert all(len(set(p.track_ids.tolist())) == len(p) for p in outputs)
    untracked = run(predictor.stream(FPS, tracking=False), frames)
    assert all((p.track_ids == NO_TRACK).all() for p in untracked)


def test_a_cut_empties_the_window(frames) -> None:
    """After a cut, the first frame comes out as if it were alone."""
    predictor = tiny_predictor(conf=0.0, window=3)
    other = [255 - image[::-1] for image in moving_frames(4, seed=9)]
    outputs = run(predictor.stream(FPS, tracking=False), [*frames[:6], *other])
    alone = run(predictor.stream(FPS, tracking=False), other)
    for a, b in zip(outputs[6:], alone, strict=True):
        np.testing.assert_allclose(a.keypoints_px, b.keypoints_px, atol=1e-4)
    for shot_cuts, held in ((True, 1), (False, 2)):
        stream = tiny_predictor(window=3, shot_cuts=shot_cuts).stream(FPS)
        for image in (*frames[:6], other[0]):
            stream.push(image)
        assert len(stream.state.network.frames) == held


@pytest.mark.parametrize("lookahead", [0, 1])
def test_frames_may_change_their_size(lookahead: int, frames) -> None:
    predictor = tiny_predictor(conf=0.0, lookahead=lookahead)
    larger = moving_frames(3, width=90, height=70)
    outputs = run(predictor.stream(FPS), [*frames[:3], *larger])
    assert [p.frame_index for p in outputs] == list(range(6))


def test_ids_are_never_reused_after_a_cut(frames) -> None:
    """Without embeddings, no track continues across a cut, and ids go on counting."""
    config = TINY.model_copy(update={"consistency": ConsistencyConfig(enabled=False)})
    other = [255 - image[::-1] for image in moving_frames(4, seed=9)]
    outputs = run(tiny_predictor(config, conf=0.3).stream(FPS), [*frames[:4], *other])
    assert all(p.embeddings is None for p in outputs)
    before = {int(i) for p in outputs[:4] for i in p.track_ids}
    after = {int(i) for p in outputs[4:] for i in p.track_ids}
    assert before
    assert min(after) == max(before) + 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 700), (33, 31), (65, 64)])
def test_odd_sizes(shape, predictor, rng) -> None:
    images = [rng.integers(0, 255, (*shape, 3)).astype(np.uint8) for _ in range(3)]
    outputs = run(predictor.stream(FPS), images)
    assert len(outputs) == 3
    assert all(np.isfinite(p.keypoints_px).all() for p in outputs)


def test_a_single_frame_and_none(predictor, frames) -> None:
    assert len(run(predictor.stream(FPS), frames[:1])) == 1
    assert run(predictor.stream(FPS), []) == []
    assert run(tiny_predictor(lookahead=1).stream(FPS), []) == []


def test_no_people(frames) -> None:
    outputs = run(tiny_predictor(conf=1.0).stream(FPS), frames)
    assert [len(p) for p in outputs] == [0] * len(frames)
    assert outputs[0].keypoints_px.shape == (0, 15, 2)


def test_wrong_use(predictor, frames) -> None:
    stream = predictor.stream()
    with pytest.raises(VepeError, match="time_s"):
        stream.push(frames[0])
    stream.push(frames[0], 1.0)
    with pytest.raises(VepeError, match="does not come after"):
        stream.push(frames[1], 1.0)
    with pytest.raises(VepeError, match="An image must"):
        stream.push(frames[1].astype(float), 2.0)
    assert len(stream.push(frames[1], 2.0)) == 1  # the errors left the state unchanged
    stream.finish()
    with pytest.raises(VepeError, match="is finished"):
        stream.push(frames[2], 3.0)
    with pytest.raises(VepeError, match=r"The time of frame 2 is not a number \(NaN\)"):
        predictor.stream().push(frames[1], float("nan"), 2)
    with pytest.raises(VepeError, match=r"The time of frame 0 must be a number; got '1.0'"):
        predictor.stream().push(frames[1], "1.0")
    with pytest.raises(VepeError, match="The image is None"):
        predictor.stream(FPS).push(None)
    with pytest.raises(VepeError, match="fps must be a number"):
        predictor.stream("25")
    with pytest.raises(VepeError, match="frames per second"):
        predictor.stream(0.0)
    with pytest.raises(VepeError, match="offline"):
        tiny_predictor(smooth="offline").stream()
