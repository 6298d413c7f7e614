"""One-Euro and two-sided smoothing, on motion whose truth is known and on real motion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from noisy_people import SOURCE_FPS, read_video
from walking_people import HEIGHT_PX, K, Walker, as_tracks, film

from vepe.config.tracking import SmoothingSettings
from vepe.skeleton import POSETRACK15
from vepe.tracking.jitter import jitter
from vepe.tracking.smoothing import OneEuroSmoother, smoothed
from vepe.types import FramePoses, PoseTracks, VideoInfo

WALKERS = [Walker(0, (300, 300), (120, 0)), Walker(1, (700, 320), (-60, 20))]


def tracked(frames) -> list[FramePoses]:
    return [replace(p, track_ids=np.array(who, int) + 1) for p, who in frames]


def walk(fps: float, seconds: float = 2.0, walkers=WALKERS) -> list[FramePoses]:
    return tracked(film(walkers, np.arange(int(fps * seconds)) / fps))


def shaken(frames: list[FramePoses], rng, amount_px: float = 4.0) -> list[FramePoses]:
    return [
        replace(f, keypoints_px=f.keypoints_px + rng.normal(size=f.keypoints_px.shape) * amount_px)
        for f in frames
    ]


def error_px(tracks: PoseTracks, truth: list[FramePoses], skip: int = 10) -> float:
    pairs = list(zip(tracks.frames, truth, strict=True))[skip:]
    off = [np.linalg.norm(a.keypoints_px - b.keypoints_px, axis=2) for a, b in pairs]
    return float(np.mean(off))


@pytest.mark.parametrize("fps", [10, 25, 60])
@pytest.mark.parametrize(
    ("mode", "calmer", "closer"), [("causal", 0.65, 0.95), ("offline", 0.3, 0.8)]
)
def test_smoothing_calms_and_comes_nearer_to_the_truth(fps, mode, calmer, closer, rng):
    truth = walk(fps)
    raw = as_tracks(shaken(truth, rng))
    calm = smoothed(raw, mode)
    if fps == 10:  # few frames within reach: less can be won, but nothing may be lost
        calmer, closer = 0.9, 1.0
    assert jitter(calm) < calmer * jitter(raw)
    assert error_px(calm, truth) < closer * error_px(raw, truth)


def test_off_changes_nothing(rng):
    raw = as_tracks(shaken(walk(25), rng))
    assert smoothed(raw, "off") is raw


@pytest.mark.parametrize("mode", ["causal", "offline"])
def test_clean_straight_motion_is_kept(mode):
    truth = walk(25)
    assert error_px(smoothed(as_tracks(truth), mode), truth) < 0.02 * HEIGHT_PX


def test_offline_keeps_a_parabola_exactly_at_uneven_times(rng):
    at = np.cumsum(rng.uniform(0.02, 0.06, 40))
    frames = []
    for frame, t in zip(walk(25, 1.6), at, strict=True):
        moved = frame.keypoints_px + (50 * t - 30 * t * t)
        frames.append(replace(frame, time_s=float(t), keypoints_px=moved))
    straight = [Walker(w.person, w.start_px) for w in WALKERS]
    still = [f.keypoints_px for f in walk(25, 1.6, straight)]
    frames = [
        replace(f, keypoints_px=s.astype(np.float64) + (50 * f.time_s - 30 * f.time_s**2))
        for f, s in zip(frames, still, strict=True)
    ]
    calm = smoothed(as_tracks(frames), "offline")
    assert error_px(calm, frames, skip=0) < 0.05


@pytest.mark.parametrize("mode", ["causal", "offline"])
def test_unsure_keypoints_move_their_track_less(mode, rng):
    frames = walk(25, 1.0, [Walker(0, (300, 300))])
    truth = frames[0].keypoints_px[0, 7].copy()
    off = []
    for score in (0.05, 0.9):
        scores, points = frames[12].keypoint_scores.copy(), frames[12].keypoints_px.copy()
        scores[0, 7], points[0, 7] = score, truth + 12.0
        odd = [*frames[:12], replace(frames[12], keypoint_scores=scores, keypoints_px=points)]
        calm = smoothed(as_tracks([*odd, *frames[13:]]), mode)
        off.append(np.linalg.norm(calm.frames[12].keypoints_px[0, 7] - truth))
    assert off[0] < 0.5 * off[1]


def test_offline_throws_out_a_keypoint_that_jumps_for_one_frame():
    frames = walk(25, 1.0, [Walker(0, (300, 300))])
    points = frames[12].keypoints_px.copy()
    points[0, 7] += 90.0
    odd = [*frames[:12], replace(frames[12], keypoints_px=points), *frames[13:]]
    calm = smoothed(as_tracks(odd), "offline")
    off = np.linalg.norm(calm.frames[12].keypoints_px[0, 7] - frames[12].keypoints_px[0, 7])
    assert off < 10.0


@pytest.mark.parametrize("mode", ["causal", "offline"])
def test_nothing_is_smoothed_across_a_jump_or_a_long_gap(mode):
    before, after = [Walker(0, (300, 300))], [Walker(0, (900, 300))]
    jump = walk(25, 0.4, before) + [
        replace(f, frame_index=10 + i, time_s=0.4 + i / 25)
        for i, f in enumerate(walk(25, 0.4, after))
    ]
    calm = smoothed(as_tracks(jump), mode)
    assert error_px(calm, jump, skip=0) < 0.01
    near = [Walker(0, (330, 300))]
    late = walk(25, 0.4, before) + [
        replace(f, frame_index=30 + i, time_s=1.2 + i / 25)
        for i, f in enumerate(walk(25, 0.4, near))
    ]
    calm = smoothed(as_tracks(late), mode)
    assert error_px(calm, late, skip=0) < 0.01


def test_causal_state_is_a_value_and_is_forgotten(rng):
    smoother, frames = OneEuroSmoother(), shaken(walk(25), rng)
    state, first = smoother.start(), []
    for frame in frames[:20]:
        state, out = smoother.step(state, frame)
        first.append(out.keypoints_px)
    kept = state
    assert len(state.track_ids) == 2
    _, once = smoother.step(kept, frames[20])
    _, twice = smoother.step(kept, frames[20])
    assert np.array_equal(once.keypoints_px, twice.keypoints_px)
    for index in range(30):
        state, _ = smoother.step(state, FramePoses.empty(20 + index, 0.8 + index / 25, K))
    assert len(state.track_ids) == 0


def test_people_without_track_are_left_alone(rng):
    frames = [replace(f, track_ids=np.full(2, -1)) for f in shaken(walk(25), rng)]
    for mode in ("causal", "offline"):
        calm = smoothed(as_tracks(frames), mode)
        assert error_px(calm, frames, skip=0) == 0.0


@pytest.mark.parametrize("embeddings", [True, False])
def test_offline_fills_short_gaps_at_lower_confidence(embeddings):
    settings = SmoothingSettings(fill_gap_s=0.4, fill_confidence=0.5)
    walkers = [Walker(0, (300, 300), (100, 0), unseen_s=(0.4, 0.6)), Walker(1, (700, 300))]
    frames = tracked(film(walkers, np.arange(30) / 25, embeddings=embeddings))
    calm = smoothed(as_tracks(frames), "offline", settings)
    for index in range(30):
        frame = calm.frames[index]
        assert sorted(frame.track_ids.tolist()) == [1, 2]
        assert (np.diff(frame.scores) <= 0).all()
        row = frame.track_ids.tolist().index(1)
        truth = walkers[0].keypoints_px(index / 25)
        assert np.abs(frame.keypoints_px[row] - truth).max() < 2.0
        filled = len(frames[index]) == 1
        assert frame.scores[row] == pytest.approx(0.45 if filled else 0.9)
        assert frame.keypoint_scores[row, 0] == pytest.approx(0.4 if filled else 0.8)
        assert (frame.embeddings is not None) == embeddings
    assert sum(len(f) == 1 for f in frames) == 5


def test_offline_fills_frames_without_anyone_but_no_long_gaps():
    for unseen, expected in (((0.4, 0.6), 30), ((0.4, 1.0), 15)):
        frames = tracked(film([Walker(0, (300, 300), unseen_s=unseen)], np.arange(30) / 25))
        calm = smoothed(as_tracks(frames), "offline")
        assert sum(len(f) for f in calm.frames) == expected


@pytest.mark.parametrize("count", [0, 1, 2, 3])
@pytest.mark.parametrize("mode", ["causal", "offline"])
def test_very_short_videos(mode, count):
    frames = walk(25)[:count]
    calm = smoothed(as_tracks(frames), mode)
    assert len(calm) == count
    for a, b in zip(calm.frames, frames, strict=True):
        assert np.abs(a.keypoints_px - b.keypoints_px).max() < 6.0


def test_jitter_is_the_acceleration_in_person_sizes():
    frames = []
    base = walk(20, 1.0, [Walker(0, (300, 300))])
    for frame in base:
        points = frame.keypoints_px.astype(np.float64)
        frames.append(replace(frame, keypoints_px=points + np.array([150 * frame.time_s**2, 0])))
    size = np.sqrt(12 * base[0].keypoints_px[0].var(axis=0).sum())
    assert jitter(as_tracks(frames)) == pytest.approx(300 / size, rel=1e-3)
    assert jitter(as_tracks(base)) == pytest.approx(0.0, abs=1e-6)
    assert jitter(as_tracks([])) == 0.0


def real_tracks(path) -> PoseTracks:
    """An annotated video; unlabelled keypoints lie at the person's middle with confidence 0."""
    frames = []
    for index, frame in enumerate(read_video(path)):
        points, scores = frame.keypoints_px.copy(), frame.labelled * 0.9
        for row, labelled in enumerate(frame.labelled):
            points[row, ~labelled] = points[row, labelled].mean(axis=0)
        frames.append(
            FramePoses(
                index,
                index / SOURCE_FPS,
                points,
                scores,
                np.full(len(points), 0.9),
                frame.person_ids,
            )
        )
    return PoseTracks(VideoInfo(path.stem, 1280, 720, SOURCE_FPS), POSETRACK15, tuple(frames))


def labelled_error(calm: PoseTracks, truth: PoseTracks) -> float:
    """Mean distance to the annotation over labelled keypoints, in hundredths of a person size."""
    off = []
    for a, b in zip(calm.frames, truth.frames, strict=True):
        for row, track_id in enumerate(b.track_ids):
            points = a.keypoints_px[a.track_ids == track_id][0]
            good = b.keypoint_scores[row] > 0
            size = np.linalg.norm(np.ptp(b.keypoints_px[row, good], axis=0))
            off.append(np.linalg.norm(points - b.keypoints_px[row], axis=1)[good] / max(size, 10))
    return 100 * float(np.concatenate(off).mean())


def test_real_motion_with_jitter(shared_dir, rng):
    """Shaken by 2% of the size: smoothing halves the shaking and does not cost accuracy."""
    rows = []
    for path in sorted((shared_dir / "data" / "dev" / "tracks").glob("*.json"))[::3]:
        truth = real_tracks(path)
        noisy = []
        for frame in truth.frames:
            shake = rng.normal(size=frame.keypoints_px.shape)
            sizes = np.linalg.norm(np.ptp(frame.keypoints_px, axis=1), axis=1)
            shaken_px = frame.keypoints_px + 0.02 * sizes[:, None, None] * shake
            noisy.append(replace(frame, keypoints_px=shaken_px))
        raw = replace(truth, frames=tuple(noisy))
        videos = [raw, smoothed(raw, "causal"), smoothed(raw, "offline")]
        rows.append(
            [
                jitter(truth, 0.5),
                *(
                    f(v)
                    for v in videos
                    for f in (lambda v: jitter(v, 0.5), lambda v, t=truth: labelled_error(v, t))
                ),
            ]
        )
    truth_j, raw_j, raw_e, causal_j, causal_e, offline_j, offline_e = np.mean(rows, axis=0)
    print("\nsmoothing of real motion shaken by 2% of the size, 10 videos")
    print("            jitter (sizes/s²)   error (% of size)")
    print(f"annotation  {truth_j:10.1f}")
    print(f"raw         {raw_j:10.1f} {raw_e:18.2f}")
    print(f"causal      {causal_j:10.1f} {causal_e:18.2f}")
    print(f"offline     {offline_j:10.1f} {offline_e:18.2f}")
    assert causal_j < 0.6 * raw_j
    assert causal_e < 0.95 * raw_e
    assert offline_j < 0.2 * raw_j
    assert offline_e < 0.8 * raw_e
