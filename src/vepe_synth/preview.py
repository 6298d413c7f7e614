"""A contact sheet of a synthetic data set with its labels drawn."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from vepe.formats.annotations import AnnotatedFrame
from vepe.formats.files import replacing
from vepe.formats.posetrack import read_sequence
from vepe.skeleton import POSETRACK15
from vepe.types import FramePoses
from vepe.viz.drawing import draw_poses
from vepe_synth.dataset import RenderJob

_TILES, _COLUMNS, _TILE_WIDTH = 12, 3, 480
_HIDDEN, _IGNORED = (235, 60, 50), (250, 210, 60)


def write_preview(job: RenderJob) -> Path:
    """Writes `OUT/preview_<split>.jpg`: the middle frames of the first 12 sequences with labels.

    Occluded keypoints are marked by a red cross, ignore regions are yellow.

    Raises:
        VepeError: if it cannot be written, or a sequence cannot be read.
    """
    path = job.out / f"preview_{job.split}.jpg"
    done = (job.annotation_path(i) for i in range(job.videos))
    tiles = [_tile(file, job.out) for file in islice(filter(Path.exists, done), _TILES)]
    rows = [tiles[i : i + _COLUMNS] for i in range(0, len(tiles), _COLUMNS)]
    blank = np.zeros_like(tiles[0])
    sheet = np.concatenate(
        [
            np.concatenate([*row, *[blank] * (min(_COLUMNS, len(tiles)) - len(row))], 1)
            for row in rows
        ]
    )
    data = cv2.imencode(".jpg", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1]
    with replacing(path) as temporary:
        temporary.write_bytes(data.tobytes())
    return path


def _tile(annotations: Path, root: Path) -> UInt8[np.ndarray, "H W 3"]:
    sequence = read_sequence(annotations)
    frame = sequence.frames[len(sequence) // 2]
    image = cv2.cvtColor(cv2.imread(str(root / frame.file_name)), cv2.COLOR_BGR2RGB)
    image = draw_labels(image, frame)
    height = round(image.shape[0] * _TILE_WIDTH / image.shape[1])
    return cv2.resize(image, (_TILE_WIDTH, height), interpolation=cv2.INTER_AREA)


def draw_labels(
    image: UInt8[np.ndarray, "H W 3"], frame: AnnotatedFrame
) -> UInt8[np.ndarray, "H W 3"]:
    """Draws people, occluded keypoints and ignore regions on a copy of the image."""
    people = frame.people
    count = len(POSETRACK15)
    poses = FramePoses(
        frame_index=frame.index,
        time_s=frame.time_s or 0.0,
        keypoints_px=np.array([p.keypoints_px for p in people]).reshape(-1, count, 2),
        keypoint_scores=np.array([p.present for p in people], float).reshape(-1, count),
        scores=np.ones(len(people)),
        track_ids=np.array([-1 if p.track_id is None else p.track_id for p in people], np.int64),
    )
    canvas = draw_poses(image, poses, POSETRACK15)
    for person in people:
        for point in person.keypoints_px[person.present & (person.visibility == 0)]:
            place = (int(point[0]), int(point[1]))
            cv2.drawMarker(canvas, place, _HIDDEN, cv2.MARKER_TILTED_CROSS, 7, 2)
    for region in frame.ignore_regions_px:
        cv2.polylines(canvas, [region.astype(np.int32)], True, _IGNORED, 1)
    return canvas
