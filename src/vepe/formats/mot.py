"""MOTChallenge text: one line per box, `frame, id, x, y, width, height, confidence, -1, -1, -1`.

Source: the MOT16 paper (arXiv 1603.00831), section 'data format'. Frames count from 1; pixel
coordinates are kept (origin at the corner of the image), as most tools write them today.
Boxes only: no keypoints.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import numpy as np

from vepe.errors import VepeError
from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence, Person
from vepe.formats.files import read_text, replacing
from vepe.formats.geometry import person_box
from vepe.skeleton import POSETRACK15


def write_mot(path: Path, sequence: AnnotatedSequence) -> Path:
    """Writes one sequence and returns the path.

    The box is the file's, or the extent of the keypoints; people without either are left out. A
    missing id is written as -1, a missing confidence as 1.

    Raises:
        VepeError: if `path` cannot be written.
    """
    lines = []
    for frame in sequence.frames:
        for person in frame.people:
            box = person_box(person)
            if box is None:
                continue
            track_id = -1 if person.track_id is None else person.track_id
            score = 1 if person.score is None else person.score
            x, y, width, height = (repr(float(value)) for value in box)
            lines.append(f"{frame.index + 1},{track_id},{x},{y},{width},{height},{score},-1,-1,-1")
    with replacing(path) as partial:
        partial.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def read_mot(path: Path) -> AnnotatedSequence:
    """Reads boxes with ids. People have no keypoints, and frames without people are missing.

    Raises:
        VepeError: if the file is missing, or a line does not begin with six numbers: whole ones
            for frame and id, a box that is not negative; or its score is not finite.
    """
    lines = read_text(path).splitlines()
    entries = [_entry(line, path, i) for i, line in enumerate(lines, start=1) if line.strip()]
    entries.sort(key=lambda e: e[0])
    frames = [
        AnnotatedFrame(
            index=number - 1,
            file_name="",
            image_id=None,
            is_labeled=True,
            has_annotations=True,
            people=tuple(person for _, person in group),
        )
        for number, group in groupby(entries, lambda e: e[0])
    ]
    return AnnotatedSequence(path.stem, tuple(frames), POSETRACK15, path, "posetrack18")


def _entry(line: str, path: Path, number: int) -> tuple[int, Person]:
    try:
        cells = [float(cell) for cell in line.split(",")]
        frame, track_id = int(cells[0]), int(cells[1])
        box, score = np.array(cells[2:6]), cells[6] if len(cells) > 6 else None
        if (
            len(box) < 4
            or [frame, track_id] != cells[:2]
            or not 1 <= frame < 2**53
            or abs(track_id) >= 2**53
            or not np.isfinite([*box, score or 0.0]).all()
            or (box[2:] < 0).any()
        ):
            raise ValueError
    except (ValueError, IndexError, OverflowError):
        raise VepeError(
            f"{path}, line {number}: '{line.strip()[:60]}' does not begin with frame (from 1), id, "
            "x, y, width, height; fix it."
        ) from None
    k = len(POSETRACK15)
    return frame, Person(
        keypoints_px=np.zeros((k, 2)),
        present=np.zeros(k, bool),
        visibility=np.zeros(k),
        keypoint_scores=np.full(k, np.nan),
        score=score,
        track_id=None if track_id == -1 else track_id,
        box_xywh_px=box,
        has_points=False,
    )
