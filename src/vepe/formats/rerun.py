"""Recordings for the rerun viewer (`.rrd`): keypoints, limbs, boxes and ids over time, and images.

The package is rerun-sdk (extra `rerun`). `log_poses` is the part for live use; `write_rerun` logs
a whole sequence into a file.
"""

from __future__ import annotations

from colorsys import hsv_to_rgb
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from vepe.errors import missing_extra
from vepe.formats.files import replacing
from vepe.skeleton import Skeleton
from vepe.types import NO_TRACK, FramePoses, PoseTracks

IMAGE, PEOPLE = "image", "image/people"
"""Entities: the people are children of the image, so that they are drawn on it."""
MAX_VIDEO_BYTES = 500_000_000


def _rerun() -> Any:
    try:
        import rerun
    except ImportError:
        raise missing_extra("Recording for rerun", "rerun-sdk", "rerun") from None
    return rerun


def log_skeleton(skeleton: Skeleton, recording: Any = None) -> None:
    """Logs names and limbs once; `recording` is a `rerun.RecordingStream`, or the current one.

    Raises:
        VepeError: if rerun-sdk is missing.
    """
    rr = _rerun()
    description = rr.ClassDescription(
        info=rr.AnnotationInfo(0, label="person"),
        keypoint_annotations=[
            rr.AnnotationInfo(i, label=name) for i, name in enumerate(skeleton.keypoints)
        ],
        keypoint_connections=list(skeleton.edges),
    )
    rr.log(PEOPLE, rr.AnnotationContext(description), static=True, recording=recording)


def log_poses(
    poses: FramePoses,
    image: UInt8[np.ndarray, "H W 3"] | None = None,
    recording: Any = None,
) -> None:
    """Logs one frame, at its time and number: people by id, their keypoints and boxes.

    Args:
        poses: the people.
        image: RGB, or None for poses alone. It is compressed as JPEG.
        recording: a `rerun.RecordingStream`, or None for the current one (`rerun.init`).

    Raises:
        VepeError: if rerun-sdk is missing.
    """
    rr = _rerun()
    rr.set_time("time", duration=float(poses.time_s), recording=recording)
    rr.set_time("frame", sequence=int(poses.frame_index), recording=recording)
    if image is not None:
        rr.log(IMAGE, rr.Image(image).compress(), recording=recording)
    rr.log(PEOPLE, rr.Clear(recursive=True), recording=recording)
    boxes = poses.boxes_xyxy_px()
    for i, track_id in enumerate(poses.track_ids.tolist()):
        name = f"{PEOPLE}/{f'untracked_{i}' if track_id == NO_TRACK else f'id_{track_id}'}"
        present = np.isfinite(poses.keypoints_px[i]).all(axis=1)
        if not present.any():
            continue
        points = rr.Points2D(
            poses.keypoints_px[i][present],
            keypoint_ids=np.flatnonzero(present),
            class_ids=0,
            colors=_colour(track_id),
            show_labels=False,
        )
        rr.log(f"{name}/keypoints", points, recording=recording)
        box = rr.Boxes2D(
            mins=boxes[i][None, :2],
            sizes=boxes[i][None, 2:] - boxes[i][None, :2],
            colors=_colour(track_id),
            labels=[f"{'?' if track_id == NO_TRACK else track_id}  {poses.scores[i]:.2f}"],
        )
        rr.log(f"{name}/box", box, recording=recording)


def write_rerun(path: Path, tracks: PoseTracks) -> Path:
    """Writes a recording of a video's poses and returns the path.

    Where the video is an MP4 file of up to 500 MB, it is a part of the recording.

    Raises:
        VepeError: if rerun-sdk is missing, or `path` cannot be written.
    """
    rr = _rerun()
    video = _asset(tracks)
    with replacing(path) as partial:
        recording = rr.RecordingStream("vepe", recording_id=tracks.video.name or "video")
        recording.save(str(partial))
        log_skeleton(tracks.skeleton, recording)
        if video is not None:
            asset = rr.AssetVideo(path=video)
            rr.log(IMAGE, asset, static=True, recording=recording)
        for poses in tracks.frames:
            log_poses(poses, recording=recording)
            if video is not None:
                reference = rr.VideoFrameReference(seconds=float(poses.time_s))
                rr.log(IMAGE, reference, recording=recording)
        recording.flush()
        recording.disconnect()
    return path


def _asset(tracks: PoseTracks) -> Path | None:
    """The video file, if the viewer can play it and it is of a usable size."""
    path = tracks.video.path
    if path is None or path.suffix.lower() != ".mp4" or not path.is_file():
        return None
    return path if path.stat().st_size <= MAX_VIDEO_BYTES else None


def _colour(track_id: int) -> list[int]:
    """A colour that differs from those of the next ids."""
    hue = (track_id * 0.618034) % 1.0
    return [round(255 * part) for part in hsv_to_rgb(hue, 0.75, 1.0)]
