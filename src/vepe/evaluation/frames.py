"""The scored frames of a whole data set as flat arrays, shared by all PoseTrack metrics.

The people of all sequences lie in one array per side, ordered by sequence, frame and position in
the file. Dimensions: F frames, N people of one side, E close pairs, J = 15 joints in the order of
`POSETRACK15` (also that of the PoseTrack21 kit).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from vepe.skeleton import POSETRACK15

Protocol = Literal["poseval", "posetrack21"]
"""The evaluator whose rules decide which frames and joints are scored.

'poseval': frames with at least one record in the ground truth; joints that the file lists.
'posetrack21': frames with `is_labeled`; joints with x and y above 0.
"""

NUM_JOINTS = len(POSETRACK15)
MATCH_DISTANCE = 0.5
"""A joint is correct up to this distance, in head sizes (poseval, PCKh)."""
NEAR_DISTANCE = 0.5001
"""The similarity of keypoint HOTA reaches 0 at this distance, in head sizes (PoseTrack21 kit)."""
_CHUNK = 1 << 16
"""Number of pairs of people whose distances are computed at once; bounds the memory."""


@dataclass(frozen=True, eq=False)
class ScoredPeople:
    """The people of one side, in order of frame.

    Attributes:
        frame: (N,) index of the scored frame.
        xy: (N, J, 2) positions in pixels.
        present: (N, J) joints that exist under the protocol.
        track: (N,) track index, dense and unique over all sequences; -1 without a track id.
        head_px: (N,) head size that distances are divided by; NaN for predictions.
        scores: (N, J) joint scores; meaningless for ground truth.
    """

    frame: Int[np.ndarray, "N"]
    xy: Float[np.ndarray, "N J 2"]
    present: Bool[np.ndarray, "N J"]
    track: Int[np.ndarray, "N"]
    head_px: Float[np.ndarray, "N"]
    scores: Float[np.ndarray, "N J"]

    def __len__(self) -> int:
        return len(self.frame)

    def where(self, mask: Bool[np.ndarray, "N"], number: Int[np.ndarray, "F"]) -> ScoredPeople:
        """The people of a mask, with new frame numbers."""
        return ScoredPeople(
            number[self.frame[mask]],
            self.xy[mask],
            self.present[mask],
            self.track[mask],
            self.head_px[mask],
            self.scores[mask],
        )

    def first_of_frame(self, num_frames: int) -> Int[np.ndarray, "F+1"]:
        """Index of the first person of each frame; the last entry is N."""
        return np.searchsorted(self.frame, np.arange(num_frames + 1))


@dataclass(frozen=True, eq=False)
class ClosePairs:
    """Pairs of a ground truth and a predicted joint within `NEAR_DISTANCE` of each other.

    Ordered by frame, ground truth person, predicted person and joint.

    Attributes:
        gt, pred: (E,) indices of the people.
        joint: (E,) index of the joint.
        distance: (E,) distance in head sizes.
    """

    gt: Int[np.ndarray, "E"]
    pred: Int[np.ndarray, "E"]
    joint: Int[np.ndarray, "E"]
    distance: Float[np.ndarray, "E"]

    def __len__(self) -> int:
        return len(self.gt)

    def select(self, index: Int[np.ndarray, "Q"] | Bool[np.ndarray, "E"]) -> ClosePairs:
        """The pairs at `index`, in that order."""
        return ClosePairs(self.gt[index], self.pred[index], self.joint[index], self.distance[index])


@dataclass(frozen=True, eq=False)
class ScoredFrames:
    """The frames that a protocol scores, with the people of both sides.

    Attributes:
        sequences: names of the S sequences, in order.
        sequence: (F,) index of each frame's sequence, ascending.
        position: (F,) position of the frame in its file.
        labelled: (F,) `is_labeled` of the file.
        names: F image names as in the ground truth.
        gt, pred: people of the ground truth and of the prediction.
    """

    sequences: tuple[str, ...]
    sequence: Int[np.ndarray, "F"]
    position: Int[np.ndarray, "F"]
    labelled: Bool[np.ndarray, "F"]
    names: tuple[str, ...]
    gt: ScoredPeople
    pred: ScoredPeople

    def __len__(self) -> int:
        return len(self.sequence)

    def where(self, mask: Bool[np.ndarray, "F"]) -> ScoredFrames:
        """The frames of a mask; sequences and tracks keep their indices."""
        number = np.cumsum(mask) - 1
        return ScoredFrames(
            self.sequences,
            self.sequence[mask],
            self.position[mask],
            self.labelled[mask],
            tuple(self.names[i] for i in np.flatnonzero(mask)),
            self.gt.where(mask[self.gt.frame], number),
            self.pred.where(mask[self.pred.frame], number),
        )

    @cached_property
    def gt_first(self) -> Int[np.ndarray, "F+1"]:
        """Index of each frame's first ground truth person."""
        return self.gt.first_of_frame(len(self))

    @cached_property
    def pred_first(self) -> Int[np.ndarray, "F+1"]:
        """Index of each frame's first predicted person."""
        return self.pred.first_of_frame(len(self))

    @property
    def one_sided(self) -> Bool[np.ndarray, "F"]:
        """Frames with people on exactly one side."""
        return (np.diff(self.gt_first) == 0) != (np.diff(self.pred_first) == 0)

    @cached_property
    def rank(self) -> Int[np.ndarray, "F"]:
        """Number of the frame among the scored frames of its sequence, from 0."""
        return np.arange(len(self)) - np.searchsorted(self.sequence, self.sequence)

    @cached_property
    def is_last(self) -> Bool[np.ndarray, "F"]:
        """Whether the frame is the last scored one of its sequence."""
        following = np.append(self.sequence[1:], -1)
        return following != self.sequence

    @property
    def in_mota(self) -> Bool[np.ndarray, "F"]:
        """Frames that MOTA counts: without the last of each sequence, unless it is the only one.

        poseval leaves the last frame out, and fails on a sequence with a single scored frame.
        """
        return ~self.is_last | (self.rank == 0)

    @cached_property
    def pairs(self) -> ClosePairs:
        """All close pairs; distances are divided by the ground truth person's head size."""
        return _close_pairs(self)


def joints_by(
    group: Int[np.ndarray, "n"], present: Bool[np.ndarray, "n J"], size: int
) -> Int[np.ndarray, "size J"]:
    """How often each joint is present in each group."""
    row, joint = np.nonzero(present)
    count = np.bincount(group[row] * NUM_JOINTS + joint, minlength=size * NUM_JOINTS)
    return count.reshape(size, NUM_JOINTS)


def _close_pairs(frames: ScoredFrames) -> ClosePairs:
    first_gt, first_pred = frames.gt_first, frames.pred_first
    # Pairs of each ground truth person: all predicted people of its frame.
    per_person = np.repeat(np.diff(first_pred), np.diff(first_gt))  # (N,)
    ends = np.cumsum(per_person)
    parts = []
    start = 0
    while start < len(per_person):
        done = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, done + _CHUNK, side="right")), start + 1)
        counts = per_person[start:stop]
        gt = np.repeat(np.arange(start, stop), counts)  # (Q,) of this chunk
        within = np.arange(len(gt)) - np.repeat(np.cumsum(counts) - counts, counts)
        pred = first_pred[frames.gt.frame[gt]] + within
        parts.append(_near(frames, gt, pred))
        start = stop
    if not parts:
        none = np.zeros(0, np.int64)
        return ClosePairs(none, none, none, np.zeros(0))
    columns = zip(*parts, strict=True)
    return ClosePairs(*(np.concatenate(c) for c in columns))


def _near(
    frames: ScoredFrames, gt: Int[np.ndarray, "Q"], pred: Int[np.ndarray, "Q"]
) -> tuple[np.ndarray, ...]:
    """The close joints of the given pairs of people: gt, pred, joint, distance, (E,) each."""
    both = frames.gt.present[gt] & frames.pred.present[pred]  # (Q, J)
    pair, joint = np.nonzero(both)
    g, p = gt[pair], pred[pair]
    # Absurd coordinates overflow to an infinite distance, which is never near.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        offset = frames.gt.xy[g, joint] - frames.pred.xy[p, joint]  # (E, 2)
        length = np.sqrt(offset[:, 0] ** 2 + offset[:, 1] ** 2)
        distance = length / frames.gt.head_px[g]
    near = distance <= NEAR_DISTANCE
    return g[near], p[near], joint[near], distance[near]
