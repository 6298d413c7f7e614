"""Poses as values of supervision, FiftyOne, xarray (movement) and sleap-io.

Each function imports its library when it is called. Dimension letters: P people in a frame, K
keypoints, F frames, T tracks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vepe.errors import VepeError, missing_extra
from vepe.formats.sleap import labels_of
from vepe.formats.tracks import sequence_from_tracks
from vepe.types import NO_TRACK, FramePoses, PoseTracks

if TYPE_CHECKING:
    import xarray


def to_supervision(poses: FramePoses) -> Any:
    """The people of a frame as `supervision.KeyPoints`.

    `data["tracker_id"]` has the track ids (-1 without a track), `detection_confidence` the scores
    of people. An absent keypoint is (0, 0), which supervision's annotators leave out.

    Raises:
        VepeError: if supervision is missing.
    """
    sv = _supervision()
    present = np.isfinite(poses.keypoints_px).all(axis=2)  # (P, K)
    return sv.KeyPoints(
        xy=np.where(present[..., None], poses.keypoints_px, 0).astype(np.float32),
        keypoint_confidence=poses.keypoint_scores.astype(np.float32),
        detection_confidence=poses.scores.astype(np.float32),
        class_id=np.zeros(len(poses), int),
        data={"tracker_id": poses.track_ids.astype(int)},
    )


def to_supervision_boxes(poses: FramePoses) -> Any:
    """The people of a frame as `supervision.Detections` with `tracker_id`: boxes of keypoints.

    Raises:
        VepeError: if supervision is missing.
    """
    sv = _supervision()
    return sv.Detections(
        xyxy=poses.boxes_xyxy_px().astype(np.float32),
        confidence=poses.scores.astype(np.float32),
        class_id=np.zeros(len(poses), int),
        tracker_id=poses.track_ids.astype(int),
    )


def _supervision() -> Any:
    try:
        import supervision
    except ImportError:
        raise missing_extra("This", "supervision", "supervision") from None
    return supervision


def to_fiftyone(poses: FramePoses, width: int, height: int) -> Any:
    """The people of a frame as `fiftyone.Keypoints`, with the track id as `index`.

    Args:
        poses: the people.
        width, height: of the image in pixels, since FiftyOne's coordinates are relative to it.

    Raises:
        VepeError: if FiftyOne is missing, or the size is not positive.
    """
    try:
        import fiftyone
    except ImportError:
        raise missing_extra("This", "fiftyone", "fiftyone") from None
    if width <= 0 or height <= 0:
        raise VepeError(f"An image of {width} x {height} px cannot be; give its real size.")
    people = []
    for i, track_id in enumerate(poses.track_ids.tolist()):
        points = poses.keypoints_px[i] / [width, height]  # NaN is FiftyOne's absent point, too
        people.append(
            fiftyone.Keypoint(
                label="person",
                points=[(float(x), float(y)) for x, y in points],
                confidence=[float(score) for score in poses.keypoint_scores[i]],
                index=None if track_id == NO_TRACK else track_id,
                score=float(poses.scores[i]),
            )
        )
    return fiftyone.Keypoints(keypoints=people)


def to_xarray(tracks: PoseTracks) -> xarray.Dataset:
    """A whole video as an `xarray.Dataset` in the layout of movement's poses.

    Variables `position` (time, space, keypoints, individuals) in pixels and `confidence` (time,
    keypoints, individuals); NaN where a person is not seen. `time` is in seconds; individuals are
    called `id_3` by their track id. People without a track have no place in it.

    Raises:
        VepeError: if xarray is missing.
    """
    try:
        import xarray
    except ImportError:
        raise missing_extra("This", "xarray", "xarray") from None
    ids = tracks.track_ids()
    column = {track_id: i for i, track_id in enumerate(ids)}
    shape = (len(tracks), len(tracks.skeleton), len(ids))  # (F, K, T)
    position, confidence = np.full((shape[0], 2, *shape[1:]), np.nan), np.full(shape, np.nan)
    for f, poses in enumerate(tracks.frames):
        for i, track_id in enumerate(poses.track_ids.tolist()):
            if track_id != NO_TRACK:
                position[f, :, :, column[track_id]] = poses.keypoints_px[i].T
                confidence[f, :, column[track_id]] = poses.keypoint_scores[i]
    return xarray.Dataset(
        {
            "position": (("time", "space", "keypoints", "individuals"), position),
            "confidence": (("time", "keypoints", "individuals"), confidence),
        },
        coords={
            "time": [float(f.time_s) for f in tracks.frames],
            "space": ["x", "y"],
            "keypoints": list(tracks.skeleton.keypoints),
            "individuals": [f"id_{i}" for i in ids],
        },
        attrs={
            "ds_type": "poses",
            "source_software": "VEPE",
            "fps": float(tracks.video.fps),
            "time_unit": "seconds",
        },
    )


def to_sleap(tracks: PoseTracks) -> Any:
    """A whole video as `sleap_io.Labels`. Raises VepeError if sleap-io is missing."""
    return labels_of(sequence_from_tracks(tracks))
