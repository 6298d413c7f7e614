"""Causal and offline smoothing, on motion with known ground truth and on real motion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from noisy_people import SOURCE_FPS, read_video
from pose_jitter import jitter
from walking_people import HEIGHT_PX, K, Walker, as_tracks, film

from vepe.config.tracking import SmoothingSettings, SmoothMode
from vepe.skeleton import POSETRACK15
from vepe.tracking.smoothing import OneEuroSmoother
from vepe.tracking.smoothing_offline import smooth_offline
from vepe.types import FramePoses, PoseTracks, VideoInfo

WALKERS = [Walker(0, (300, 300), (120, 0)), Walker(1, (700, 320), (-60, 20))]


def smoothed(
    tracks: PoseTracks, mode: SmoothMode, settings: SmoothingSettings | None = None
) -> PoseTracks:
    """The tracks of a whole video, smoothed by either method."""
    if mode == "offline":
        return replace(tracks, frames=tuple(smooth_offline(tracks.frames, settings)))
    smoother = OneEuroSmoother(settings)
    state, frames = smoother.start(), []
    for frame in tracks.frames:
        state, smooth = smoother.step(state, frame)
        frames.append(smooth)
    return replace(tracks, frames=tuple(frames))


def tracked(frames) -> list[FramePoses]:
    return [replace(p, track_ids=np.array(who, int) + 1) for p, who in frames]


def walk(fps: float, seconds: float = 2.0, walkers=WALKERS) -> list[FramePoses]:
    return tracked(film(walkers, np.arange(int(fps * seconds)) / fps))


def noisy(frames: list[FramePoses], rng, amount_px: float = 4.0) -> list[FramePoses]:
    return [
        replace(f, keypoints_px=f.keypoints_px + rng.normal(size=f.keypoints_px.shape) * amount_px)
        for f in frames
    ]


def error_px(tracks: PoseTracks, gt: list[FramePoses], skip: int = 10) -> float:
    pairs = list(zip(tracks.frames, gt, strict=True))[skip:]
    errors = [np.linalg.norm(a.keypoints_px - b.keypoints_px, axis=2) for a, b in pairs]
    return float(np.mean(errors))


@pytest.mark.parametrize("fps", [10, 25, 60])
@pytest.mark.parametrize(
    ("mode", "less_jitter", "less_error"), [("causal", 0.65, 0.95), ("offline", 0.3, 0.8)]
)
def test_smoothing_reduces_jitter_and_error(fps, mode, less_jitter, less_error, rng):
    gt = walk(fps)
    raw = as_tracks(noisy(gt, rng))
    smooth = smoothed(raw, mode)
    if fps == 10:  # few frames within reach: there is less to gain, but nothing may be lost
        less_jitter, less_error = 0.9, 1.0
    assert jitter(smooth) < less_jitter * jitter(raw)
    assert error_px(smooth, gt) < less_error * error_px(raw, gt)


@pytest.mark.parametrize("mode", ["causal", "offline"])
def test_straight_motion_without_noise_is_unchanged(mode):
    gt = walk(25)
    assert error_px(smoothed(as_tracks(gt), mode), gt) < 0.02 * HEIGHT_PX


def test_offline_fits_a_parabola_exactly_at_uneven_times(rng):
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
    smooth = smoothed(as_tracks(frames), "offline")
    assert error_px(smooth, frames, skip=0) < 0.05


@pytest.mark.parametrize("mode", ["causal", "offline"])
def test_low_confidence_keypoints_move_their_track_less(mode, rng):
    frames = walk(25, 1.0, [Walker(0, (300, 300))])
    gt = frames[0].keypoints_px[0, 7].copy()
    errors = []
    for score in (0.05, 0.9):
        scores, points = frames[12].keypoint_scores.copy(), frames[12].keypoints_px.copy()
        scores[0, 7], points[0, 7] = score, gt + 12.0
        odd = [*frames[:12], replace(frames[12], keypoint_scores=scores, keypoints_px=points)]
        smooth = smoothed(as_tracks([*odd, *frames[13:]]), mode)
        errors.append(np.linalg.norm(smooth.frames[12].keypoints_px[0, 7] - gt))
    assert errors[0] < 0.5 * errors[1]


def test_offline_rejects_a_keypoint_that_jumps_for_one_frame():
    frames = walk(25, 1.0, [Walker(0, (300, 300))])
    points = frames[12].keypoints_px.copy()
    points[0, 7] += 90.0
    odd = [*frames[:12], replace(frames[12], keypoints_px=points), *frames[13:]]
    smooth = smoothed(as_tracks(odd), "offline")
    error = np.linalg.norm(smooth.frames[12].keypoints_px[0, 7] - frames[12].keypoints_px[0, 7])
    assert error < 10.0


@pytest.mark.parametrize("mode", ["causal", "offline"])
def test_nothing_is_smoothed_across_a_jump_or_a_long_gap(mode):
    before, after = [Walker(0, (300, 300))], [Walker(0, (900, 300))]
    jump = walk(25, 0.4, before) + [
        replace(f, frame_index=10 + i, time_s=0.4 + i / 25)
        for i, f in enumerate(walk(25, 0.4, after))
    ]
    smooth = smoothed(as_tracks(jump), mode)
    assert error_px(smooth, jump, skip=0) < 0.01
    near = [Walker(0, (330, 300))]
    late = walk(25, 0.4, before) + [
        replace(f, frame_index=30 + i, time_s=1.2 + i / 25)
        for i, f in enumerate(walk(25, 0.4, near))
    ]
    smooth = smoothed(as_tracks(late), mode)
    assert error_px(smooth, late, skip=0) < 0.01


def test_causal_state_is_a_value_and_expires(rng):
    smoother, frames = OneEuroSmoother(), noisy(walk(25), rng)
    state, first = smoother.start(), []
    for frame in frames[:20]:
        state, out = smoother.step(state, frame)
        first.append(out.keypoints_px)
    assert len(state.track_ids) == 2
    _, once = smoother.step(state, frames[20])
    _, twice = smoother.step(state, frames[20])
    assert np.array_equal(once.keypoints_px, twice.keypoints_px)
    for index in range(30):
        state, _ = smoother.step(state, FramePoses.empty(20 + index, 0.8 + index / 25, K))
    assert len(state.track_ids) == 0


def test_people_without_a_track_are_not_smoothed(rng):
    frames = [replace(f, track_ids=np.full(2, -1)) for f in noisy(walk(25), rng)]
    for mode in ("causal", "offline"):
        smooth = smoothed(as_tracks(frames), mode)
        assert error_px(smooth, frames, skip=0) == 0.0


@pytest.mark.parametrize("embeddings", [True, False])
def test_offline_fills_short_gaps_at_lower_confidence(embeddings):
    settings = SmoothingSettings(fill_gap_s=0.4, fill_confidence=0.5)
    walkers = [Walker(0, (300, 300), (100, 0), unseen_s=(0.4, 0.6)), Walker(1, (700, 300))]
    frames = tracked(film(walkers, np.arange(30) / 25, embeddings=embeddings))
    smooth = smoothed(as_tracks(frames), "offline", settings)
    for index in range(30):
        frame = smooth.frames[index]
        assert sorted(frame.track_ids.tolist()) == [1, 2]
        assert (np.diff(frame.scores) <= 0).all()
        row = frame.track_ids.tolist().index(1)
        gt = walkers[0].keypoints_px(index / 25)
        assert np.abs(frame.keypoints_px[row] - gt).max() < 2.0
        filled = len(frames[index]) == 1
        assert frame.scores[row] == pytest.approx(0.45 if filled else 0.9)
        assert frame.keypoint_scores[row, 0] == pytest.approx(0.4 if filled else 0.8)
        assert (frame.embeddings is not None) == embeddings
    assert sum(len(f) == 1 for f in frames) == 5


def test_offline_fills_empty_frames_but_no_long_gaps():
    for unseen, expected in (((0.4, 0.6), 30), ((0.4, 1.0), 15)):
        frames = tracked(film([Walker(0, (300, 300), unseen_s=unseen)], np.arange(30) / 25))
        smooth = smoothed(as_tracks(frames), "offline")
        assert sum(len(f) for f in smooth.frames) == expected


@pytest.mark.parametrize("count", [0, 1, 2, 3])
@pytest.mark.parametrize("mode", ["causal", "offline"])
def test_very_short_videos(mode, count):
    frames = walk(25)[:count]
    smooth = smoothed(as_tracks(frames), mode)
    assert len(smooth) == count
    for a, b in zip(smooth.frames, frames, strict=True):
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


def labelled_error(smooth: PoseTracks, gt: PoseTracks) -> float:
    """Mean distance to the annotation over labelled keypoints, in hundredths of a person size."""
    errors = []
    for a, b in zip(smooth.frames, gt.frames, strict=True):
        for row, track_id in enumerate(b.track_ids):
            points = a.keypoints_px[a.track_ids == track_id][0]
            good = b.keypoint_scores[row] > 0
            size = np.linalg.norm(np.ptp(b.keypoints_px[row, good], axis=0))
            distances = np.linalg.norm(points - b.keypoints_px[row], axis=1)[good]
            errors.append(distances / max(size, 10))
    return 100 * float(np.concatenate(errors).mean())


def test_real_motion_with_jitter(shared_dir, rng):
    """Jitter of 2% of the size: smoothing halves it and does not cost accuracy."""
    rows = []
    for path in sorted((shared_dir / "data" / "dev" / "tracks").glob("*.json"))[::3]:
        gt = real_tracks(path)
        frames = []
        for frame in gt.frames:
            noise = rng.normal(size=frame.keypoints_px.shape)
            sizes = np.linalg.norm(np.ptp(frame.keypoints_px, axis=1), axis=1)
            noisy_px = frame.keypoints_px + 0.02 * sizes[:, None, None] * noise
            frames.append(replace(frame, keypoints_px=noisy_px))
        raw = replace(gt, frames=tuple(frames))
        videos = [raw, smoothed(raw, "causal"), smoothed(raw, "offline")]
        rows.append(
            [
                jitter(gt, 0.5),
                *(
                    f(v)
                    for v in videos
                    for f in (lambda v: jitter(v, 0.5), lambda v, t=gt: labelled_error(v, t))
                ),
            ]
        )
    gt_j, raw_j, raw_e, causal_j, causal_e, offline_j, offline_e = np.mean(rows, axis=0)
    print("\nsmoothing of real motion with jitter of 2% of the size, 10 videos")
    print("            jitter (sizes/s²)   error (% of size)")
    print(f"annotation  {gt_j:10.1f}")
    print(f"raw         {raw_j:10.1f} {raw_e:18.2f}")
    print(f"causal      {causal_j:10.1f} {causal_e:18.2f}")
    print(f"offline     {offline_j:10.1f} {offline_e:18.2f}")
    assert causal_j < 0.6 * raw_j
    assert causal_e < 0.95 * raw_e
    assert offline_j < 0.2 * raw_j
    assert offline_e < 0.8 * raw_e
