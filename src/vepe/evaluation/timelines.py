"""Who was followed by whom: every ground truth person's match over time.

CLEAR MOT runs per joint; here a person's match is the predicted track that most of the joints
were matched with. Ours, for the report alone: no score is computed from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from vepe.evaluation.posetrack import PoseTrackMatch


@dataclass(frozen=True, eq=False)
class Timeline:
    """The tracks of one sequence; T ground truth tracks, n scored frames.

    Attributes:
        sequence: its name.
        position: (n,) place of the frames in the file.
        present: (T, n) whether the person is labelled.
        partner: (T, n) predicted track, -1 where there is none.
        switch: (T, n) the partner is another than the latest one.
        fragment: (T, n) the person is found again after labelled frames without a match.
    """

    sequence: str
    position: Int[np.ndarray, "n"]
    present: Bool[np.ndarray, "T n"]
    partner: Int[np.ndarray, "T n"]
    switch: Bool[np.ndarray, "T n"]
    fragment: Bool[np.ndarray, "T n"]

    @property
    def troubles(self) -> int:
        """Switches, fragmentations and misses together; what the report sorts by."""
        missed = self.present & (self.partner < 0)
        return int(3 * self.switch.sum() + 2 * self.fragment.sum() + missed.sum())


def timelines(match: PoseTrackMatch) -> list[Timeline]:
    """One timeline for every sequence with people, in order. MOTA's frames: without the last."""
    frames = match.mot_frames
    events = match.mot[1].pairs
    truth, found = frames.truth.track[events.truth], frames.found.track[events.found]
    frame = frames.truth.frame[events.truth]
    partner = _majority(truth, frame, found)
    used = ~frames.is_last | (frames.step == 0)
    result = []
    for index, name in enumerate(frames.sequences):
        columns = np.flatnonzero((frames.sequence == index) & used)
        own = np.isin(frames.truth.frame, columns)
        tracks, row = np.unique(frames.truth.track[own], return_inverse=True)
        if not len(tracks):
            continue
        column = np.searchsorted(columns, frames.truth.frame[own])
        present = np.zeros((len(tracks), len(columns)), bool)
        present[row, column] = True
        matched = np.full(present.shape, -1)
        matched[row, column] = [
            partner.get((int(t), int(f)), -1)
            for t, f in zip(frames.truth.track[own], frames.truth.frame[own], strict=True)
        ]
        switch, fragment = _breaks(present, matched)
        result.append(Timeline(name, frames.position[columns], present, matched, switch, fragment))
    return result


def _majority(
    truth: Int[np.ndarray, "m"],
    frame: Int[np.ndarray, "m"],
    found: Int[np.ndarray, "m"],
) -> dict[tuple[int, int], int]:
    """(truth track, frame) -> the predicted track that most joints were matched with."""
    if not len(truth):
        return {}
    table, votes = np.unique(np.column_stack([truth, frame, found]), axis=0, return_counts=True)
    order = np.lexsort((votes, table[:, 1], table[:, 0]))
    # The last of every (track, frame) has the most votes, and overwrites the others.
    return {(int(t), int(f)): int(p) for t, f, p in table[order]}


def _breaks(
    present: Bool[np.ndarray, "T n"], partner: Int[np.ndarray, "T n"]
) -> tuple[Bool[np.ndarray, "T n"], Bool[np.ndarray, "T n"]]:
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
