"""Poses of a video (`PoseTracks`) and annotated sequences, each from the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence, FormatName, Person
from vepe.formats.geometry import COORDINATE_DECIMALS, SCORE_DECIMALS, person_box, rounded
from vepe.skeleton import POSETRACK15
from vepe.types import NO_TRACK, FramePoses, PoseTracks, VideoInfo

NOMINAL_FPS = 25.0
"""Frame rate of a sequence that does not tell its timestamps."""


def sequence_from_tracks(tracks: PoseTracks) -> AnnotatedSequence:
    """Results as a sequence: every keypoint present, boxes the extents of the keypoints.

    Coordinates are rounded to 0.001 px, scores to 6 decimals, times to a microsecond. A frame
    without a name of its own is called '<video>/<frame number in 6 digits>.jpg'.
    """
    stem = Path(tracks.video.name).stem or "video"
    names = tracks.file_names or tuple(f"{stem}/{f.frame_index:06d}.jpg" for f in tracks.frames)
    width, height = tracks.video.width or None, tracks.video.height or None
    kind: FormatName = "coco"
    if set(POSETRACK15.keypoints) <= set(tracks.skeleton.keypoints):
        kind = "posetrack18"
    frames = tuple(
        AnnotatedFrame(
            index=poses.frame_index,
            file_name=name,
            image_id=None,
            is_labeled=True,
            has_annotations=len(poses) > 0,
            people=_people(poses, seen=2.0 if kind == "coco" else 1.0),
            width=width,
            height=height,
            time_s=round(float(poses.time_s), 6),
        )
        for name, poses in zip(names, tracks.frames, strict=True)
    )
    source = tracks.video.path or Path(tracks.video.name)
    return AnnotatedSequence(stem, frames, tracks.skeleton, source, kind)


def _people(poses: FramePoses, seen: float) -> tuple[Person, ...]:
    k = poses.keypoint_scores.shape[1]
    xy = rounded(poses.keypoints_px, COORDINATE_DECIMALS)
    keypoint_scores = rounded(poses.keypoint_scores, SCORE_DECIMALS)
    people = []
    for i in range(len(poses)):
        person = Person(
            keypoints_px=xy[i],
            present=np.ones(k, bool),
            visibility=np.full(k, seen),
            keypoint_scores=keypoint_scores[i],
            score=round(float(poses.scores[i]), SCORE_DECIMALS),
            track_id=None if poses.track_ids[i] == NO_TRACK else int(poses.track_ids[i]),
        )
        box = person_box(person)
        box = None if box is None else rounded(box, COORDINATE_DECIMALS)
        people.append(replace(person, box_xywh_px=box))
    return tuple(people)


def tracks_from_sequence(sequence: AnnotatedSequence) -> PoseTracks:
    """A sequence as poses: what is not present stands at (0, 0) with confidence 0.

    Scores that the file lacks count as 1 (keypoints that are present, and people). Times that it
    lacks are the frame numbers at 25 fps. People of a frame stand in the file's order.
    """
    frames = tuple(_poses(frame, len(sequence.skeleton)) for frame in sequence.frames)
    sized = [f for f in sequence.frames if f.width is not None and f.height is not None]
    times = [f.time_s for f in frames]
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    info = VideoInfo(
        name=sequence.name,
        width=(sized[0].width or 0) if sized else 0,
        height=(sized[0].height or 0) if sized else 0,
        fps=1.0 / step if step > 0 else NOMINAL_FPS,
        frame_count=len(frames),
    )
    names = tuple(frame.file_name for frame in sequence.frames)
    return PoseTracks(info, sequence.skeleton, frames, names)


def _poses(frame: AnnotatedFrame, k: int) -> FramePoses:
    time_s = frame.index / NOMINAL_FPS if frame.time_s is None else frame.time_s
    if not frame.people:
        return FramePoses.empty(frame.index, time_s, k)
    people = frame.people
    present = np.stack([p.present for p in people])
    given = np.stack([p.keypoint_scores for p in people])
    scores = np.where(present, np.where(np.isnan(given), 1.0, given), 0.0)
    xy = np.stack([p.keypoints_px for p in people]) * present[..., None]
    return FramePoses(
        frame_index=frame.index,
        time_s=time_s,
        keypoints_px=xy.astype(np.float32),
        keypoint_scores=scores.astype(np.float32),
        scores=np.array([1.0 if p.score is None else p.score for p in people], np.float32),
        track_ids=np.array([NO_TRACK if p.track_id is None else p.track_id for p in people]),
    )
