"""Each kind of fault, put into clean movement, is reported where it is, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vepe.measures.quality import video_quality
from vepe.skeleton import COCO17
from vepe.types import FramePoses, PoseTracks, VideoInfo

SHARES = {
    **{"nose": 0.93, "ear": 0.93, "eye": 0.94, "shoulder": 0.818, "elbow": 0.632, "wrist": 0.486},
    **{"hip": 0.53, "knee": 0.285, "ankle": 0.039},
}


def clean(num_frames: int = 100) -> PoseTracks:
    """Ids 1 and 2 glide to the right, 25 frames a second."""
    body = np.array([[0, 450 - 400 * SHARES[n.split("_")[-1]]] for n in COCO17.keypoints])
    frames = []
    for i in range(num_frames):
        people = body + np.array([[[100 + i, 0]], [[600 + i, 0]]])
        frames.append(
            FramePoses(i, i / 25, people, np.full((2, 17), 0.8), np.ones(2), np.array([1, 2]))
        )
    return PoseTracks(VideoInfo("a.mp4", 1280, 720, 25.0), COCO17, tuple(frames))


def changed(tracks: PoseTracks, change) -> PoseTracks:
    """The tracks with `change(frame, i)` in place of each frame."""
    return replace(tracks, frames=tuple(change(f, i) for i, f in enumerate(tracks.frames)))


def gap(frame: FramePoses, i: int) -> FramePoses:
    return frame.select(np.array([0])) if 40 <= i < 60 else frame


def faint(frame: FramePoses, i: int) -> FramePoses:
    scores = frame.keypoint_scores.copy()
    scores[1] -= 0.4 if 30 <= i < 50 else 0.0
    return replace(frame, keypoint_scores=scores)


def shaky(frame: FramePoses, i: int) -> FramePoses:
    points = frame.keypoints_px.copy()
    points[1, :, 1] += 40.0 if i == 70 else 0.0
    return replace(frame, keypoints_px=points)


def jump(frame: FramePoses, i: int) -> FramePoses:
    points = frame.keypoints_px.copy()
    points[1, :, 0] += 200.0 if i >= 70 else 0.0
    return replace(frame, keypoints_px=points)


def renamed(frame: FramePoses, i: int) -> FramePoses:
    if 50 <= i < 55:
        return frame.select(np.array([0]))
    return replace(frame, track_ids=np.array([1, 5])) if i >= 55 else frame


def double(frame: FramePoses, i: int) -> FramePoses:
    points = frame.keypoints_px.copy()
    points[1] = points[0] + 5
    return replace(frame, keypoints_px=points)


def brief(frame: FramePoses, i: int) -> FramePoses:
    return frame if i < 5 else frame.select(np.array([0]))


@pytest.mark.parametrize(
    ("change", "kind", "ids", "position", "advice"),
    [
        (gap, "gap", (2,), 60, ""),
        (faint, "low score", (2,), 30, ""),
        (shaky, "jitter", (2,), 70, ""),
        (jump, "jump", (2,), 70, "--split 2@2.800s"),
        (renamed, "continues", (5, 2), 55, "--merge 5:2"),
        (double, "twice", (1, 2), 50, "--drop 2"),
        (brief, "short", (2,), 0, "--drop 2"),
    ],
)
def test_faults(change, kind: str, ids: tuple[int, ...], position: int, advice: str) -> None:
    (finding,) = video_quality(changed(clean(), change)).findings
    assert (finding.kind, finding.track_ids, finding.position) == (kind, ids, position)
    assert finding.advice == advice
    assert finding.time_s == pytest.approx(position / 25)
    assert 0 < finding.severity <= 1


def test_clean_movement_has_no_findings() -> None:
    quality = video_quality(clean())
    assert quality.findings == ()
    assert [track.track_id for track in quality.tracks] == [1, 2]
    assert quality.tracks[0].jitter[1:-1] == pytest.approx(0.0, abs=1e-9)
    assert quality.tracks[0].height_px == pytest.approx(400.0)
    assert quality.num_people.tolist() == [2] * 100


def test_spans() -> None:
    track = video_quality(changed(clean(), gap)).tracks[1]
    assert track.spans() == [(0, 39), (40, 79)]


def test_nobody() -> None:
    empty = replace(clean(), frames=tuple(FramePoses.empty(i, i / 25, 17) for i in range(3)))
    quality = video_quality(empty)
    assert (quality.tracks, quality.findings) == ((), ())
