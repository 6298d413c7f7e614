"""The frames with the most errors, and how they look."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from vepe.evaluation.posetrack import PoseTrackMatch
from vepe.formats.files import is_inside


@dataclass(frozen=True)
class BadFrame:
    """A scored frame and its errors.

    Attributes:
        index: of the scored frame.
        sequence, position, picture: where it is.
        missed: annotated joints that were not found.
        wrong: predicted joints that are no annotated joint's.
    """

    index: int
    sequence: str
    position: int
    picture: str
    missed: int
    wrong: int


def worst_frames(match: PoseTrackMatch, count: int) -> list[BadFrame]:
    """The frames with the most missed and wrong joints, worst first; at most two a sequence."""
    frames, labels = match.frames, match.labels
    size = len(frames)
    hits = _per_frame(frames.found.frame, labels.correct, size)
    missed = _per_frame(frames.truth.frame, frames.truth.present, size) - hits
    wrong = _per_frame(frames.found.frame, frames.found.present, size) - hits
    taken = np.zeros(len(frames.sequences), int)
    result: list[BadFrame] = []
    for index in np.argsort(-(missed + wrong), kind="stable"):
        sequence = int(frames.sequence[index])
        if len(result) == count or missed[index] + wrong[index] == 0:
            break
        if taken[sequence] == 2:
            continue
        taken[sequence] += 1
        result.append(
            BadFrame(
                int(index),
                frames.sequences[sequence],
                int(frames.position[index]),
                frames.names[index],
                int(missed[index]),
                int(wrong[index]),
            )
        )
    return result


def find_picture(images: Path, frame: BadFrame) -> Path | None:
    """The frame's picture: its name under the folder, or the last part of it; None if absent."""
    for name in (frame.picture, Path(frame.picture).name):
        if name and is_inside(images, name) and (images / name).is_file():
            return images / name
    return None


def _per_frame(frame: Int[np.ndarray, "N"], joints: np.ndarray, size: int) -> Int[np.ndarray, "F"]:
    return np.bincount(frame, joints.sum(axis=1), size).astype(int)
