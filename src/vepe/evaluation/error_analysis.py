"""Where predictions fail: the track of each person over time, and the frames with most errors.

Used by the report only; no score depends on it. CLEAR MOT runs per joint; here, the match of a
person is the predicted track that most of its joints are matched with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from vepe.evaluation.posetrack import PoseTrackMatch

MAX_PER_SEQUENCE = 2
"""Most frames that `worst_frames` takes from one sequence."""


@dataclass(frozen=True, eq=False)
class Timeline:
    """The matches of one sequence over time; T ground truth tracks, n scored frames.

    Attributes:
        sequence: name of the sequence.
        position: (n,) positions of the frames in the file.
        present: (T, n) whether the person is annotated.
        partner: (T, n) matched predicted track, -1 for none.
        switch: (T, n) the partner differs from the previous one.
        fragment: (T, n) the person is matched again after annotated frames without a match.
    """

    sequence: str
    position: Int[np.ndarray, "n"]
    present: Bool[np.ndarray, "T n"]
    partner: Int[np.ndarray, "T n"]
    switch: Bool[np.ndarray, "T n"]
    fragment: Bool[np.ndarray, "T n"]

    @property
    def severity(self) -> int:
        """Weighted sum of switches, fragmentations and misses, by which the report sorts."""
        missed = self.present & (self.partner < 0)
        return int(3 * self.switch.sum() + 2 * self.fragment.sum() + missed.sum())


def timelines(match: PoseTrackMatch) -> list[Timeline]:
    """One timeline for each sequence with people, in order, over the frames that MOTA counts."""
    frames, pairs = match.mot_frames, match.mot[1]
    partner = _majority(
        frames.gt.track[pairs.gt], frames.gt.frame[pairs.gt], frames.pred.track[pairs.pred]
    )
    result = []
    for index, name in enumerate(frames.sequences):
        columns = np.flatnonzero((frames.sequence == index) & frames.in_mota)
        own = np.isin(frames.gt.frame, columns)
        tracks, row = np.unique(frames.gt.track[own], return_inverse=True)
        if not len(tracks):
            continue
        column = np.searchsorted(columns, frames.gt.frame[own])
        present = np.zeros((len(tracks), len(columns)), bool)
        present[row, column] = True
        matched = np.full(present.shape, -1)
        matched[row, column] = [
            partner.get((int(t), int(f)), -1)
            for t, f in zip(frames.gt.track[own], frames.gt.frame[own], strict=True)
        ]
        switch, fragment = _breaks(present, matched)
        result.append(Timeline(name, frames.position[columns], present, matched, switch, fragment))
    return result


def _majority(
    gt: Int[np.ndarray, "m"], frame: Int[np.ndarray, "m"], pred: Int[np.ndarray, "m"]
) -> dict[tuple[int, int], int]:
    """(ground truth track, frame) -> the predicted track that most joints are matched with."""
    if not len(gt):
        return {}
    table, votes = np.unique(np.column_stack([gt, frame, pred]), axis=0, return_counts=True)
    order = np.lexsort((votes, table[:, 1], table[:, 0]))
    # The last row of each (track, frame) has the most votes and overwrites the others.
    return {(int(t), int(f)): int(p) for t, f, p in table[order]}


def _breaks(
    present: Bool[np.ndarray, "T n"], partner: Int[np.ndarray, "T n"]
) -> tuple[Bool[np.ndarray, "T n"], Bool[np.ndarray, "T n"]]:
    """Switches and fragmentations."""
    switch, fragment = np.zeros_like(present), np.zeros_like(present)
    last = np.full(len(present), -1)
    lost = np.zeros(len(present), bool)
    for t in range(present.shape[1]):
        matched = partner[:, t] >= 0
        switch[:, t] = matched & (last >= 0) & (last != partner[:, t])
        fragment[:, t] = matched & lost
        lost = np.where(matched, False, lost | (present[:, t] & (last >= 0)))
        last = np.where(matched, partner[:, t], last)
    return switch, fragment


@dataclass(frozen=True)
class FrameErrors:
    """A scored frame and its errors.

    Attributes:
        index: of the scored frame.
        sequence: name of its sequence.
        position: its position in the file.
        image: its image name.
        missed: number of annotated joints without a correct prediction.
        wrong: number of predicted joints that are not correct.
    """

    index: int
    sequence: str
    position: int
    image: str
    missed: int
    wrong: int


def worst_frames(match: PoseTrackMatch, count: int) -> list[FrameErrors]:
    """The frames with most errors, worst first; at most `MAX_PER_SEQUENCE` of a sequence."""
    frames, labels = match.frames, match.labels
    size = len(frames)
    hits = _per_frame(frames.pred.frame, labels.correct, size)
    missed = _per_frame(frames.gt.frame, frames.gt.present, size) - hits
    wrong = _per_frame(frames.pred.frame, frames.pred.present, size) - hits
    taken = np.zeros(len(frames.sequences), int)
    result: list[FrameErrors] = []
    for index in np.argsort(-(missed + wrong), kind="stable"):
        sequence = int(frames.sequence[index])
        if len(result) == count or missed[index] + wrong[index] == 0:
            break
        if taken[sequence] == MAX_PER_SEQUENCE:
            continue
        taken[sequence] += 1
        result.append(
            FrameErrors(
                int(index),
                frames.sequences[sequence],
                int(frames.position[index]),
                frames.names[index],
                int(missed[index]),
                int(wrong[index]),
            )
        )
    return result


def _per_frame(frame: Int[np.ndarray, "N"], joints: np.ndarray, size: int) -> Int[np.ndarray, "F"]:
    return np.bincount(frame, joints.sum(axis=1), size).astype(int)
