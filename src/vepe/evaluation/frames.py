"""The scored frames of a whole set as flat arrays: what every PoseTrack metric works on.

People of all sequences lie in one array a side, in order of sequence, frame and file. J is 15, in
`POSETRACK15`'s order (which is also the PoseTrack21 kit's); N people, F frames, E close pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from vepe.skeleton import POSETRACK15

NUM_JOINTS = len(POSETRACK15)
MATCH_DISTANCE = 0.5
"""A joint counts as found up to this distance, in head sizes (poseval, PCKh)."""
NEAR_DISTANCE = 0.5001
"""Keypoint HOTA's similarity falls to 0 here, in head sizes (PoseTrack21 kit)."""
_CHUNK = 1 << 16
"""Pairs of people whose distances are computed at once; bounds the memory."""


@dataclass(frozen=True, eq=False)
class People:
    """One side's people, in order of frame.

    Attributes:
        frame: (N,) index of the scored frame.
        xy: (N, J, 2) positions in pixels.
        present: (N, J) joints that exist under the protocol's rule.
        track: (N,) identity, dense and unique over all sequences, -1 where there is none.
        head_px: (N,) head size that distances are divided by; NaN for predictions.
        scores: (N, J) joint scores; NaN for ground truth.
    """

    frame: Int[np.ndarray, "N"]
    xy: Float[np.ndarray, "N J 2"]
    present: Bool[np.ndarray, "N J"]
    track: Int[np.ndarray, "N"]
    head_px: Float[np.ndarray, "N"]
    scores: Float[np.ndarray, "N J"]

    def __len__(self) -> int:
        return len(self.frame)

    def where(self, kept: Bool[np.ndarray, "N"], number: Int[np.ndarray, "F"]) -> People:
        """Only the people of a mask, with new frame numbers."""
        return People(
            number[self.frame[kept]],
            self.xy[kept],
            self.present[kept],
            self.track[kept],
            self.head_px[kept],
            self.scores[kept],
        )

    def first_of_frame(self, num_frames: int) -> Int[np.ndarray, "F+1"]:
        """Index of the first person of every frame; the last entry is N."""
        return np.searchsorted(self.frame, np.arange(num_frames + 1))


@dataclass(frozen=True, eq=False)
class ClosePairs:
    """Joints of ground truth and prediction within `NEAR_DISTANCE` of each other.

    In order of frame, then ground truth person, then predicted person, then joint.
    """

    truth: Int[np.ndarray, "E"]
    found: Int[np.ndarray, "E"]
    joint: Int[np.ndarray, "E"]
    distance: Float[np.ndarray, "E"]

    def __len__(self) -> int:
        return len(self.truth)

    def select(self, index: Int[np.ndarray, "Q"] | Bool[np.ndarray, "E"]) -> ClosePairs:
        """The pairs at `index`, in that order."""
        return ClosePairs(
            self.truth[index], self.found[index], self.joint[index], self.distance[index]
        )


@dataclass(frozen=True, eq=False)
class ScoredFrames:
    """The frames that a protocol scores, with both sides' people.

    Attributes:
        sequences: names, in order.
        sequence: (F,) index of the sequence of every frame, ascending.
        position: (F,) place of the frame in its file.
        labelled: (F,) whether the file says `is_labeled`.
        names: F picture names as in the ground truth.
        truth, found: people of the ground truth and of the prediction.
    """

    sequences: tuple[str, ...]
    sequence: Int[np.ndarray, "F"]
    position: Int[np.ndarray, "F"]
    labelled: Bool[np.ndarray, "F"]
    names: tuple[str, ...]
    truth: People
    found: People

    def __len__(self) -> int:
        return len(self.sequence)

    def where(self, kept: Bool[np.ndarray, "F"]) -> ScoredFrames:
        """Only the frames of a mask; sequences and identities keep their numbers."""
        number = np.cumsum(kept) - 1
        return ScoredFrames(
            self.sequences,
            self.sequence[kept],
            self.position[kept],
            self.labelled[kept],
            tuple(self.names[i] for i in np.flatnonzero(kept)),
            self.truth.where(kept[self.truth.frame], number),
            self.found.where(kept[self.found.frame], number),
        )

    @cached_property
    def truth_first(self) -> Int[np.ndarray, "F+1"]:
        """Where every frame's ground truth people start."""
        return self.truth.first_of_frame(len(self))

    @cached_property
    def found_first(self) -> Int[np.ndarray, "F+1"]:
        """Where every frame's predicted people start."""
        return self.found.first_of_frame(len(self))

    @cached_property
    def step(self) -> Int[np.ndarray, "F"]:
        """Number of the frame among the scored frames of its sequence, from 0."""
        return np.arange(len(self)) - np.searchsorted(self.sequence, self.sequence)

    @cached_property
    def is_last(self) -> Bool[np.ndarray, "F"]:
        """Whether the frame is the last scored one of its sequence."""
        following = np.append(self.sequence[1:], -1)
        return following != self.sequence

    @cached_property
    def pairs(self) -> ClosePairs:
        """All close pairs; distances are divided by the ground truth person's head size."""
        return _close_pairs(self)


def joints_by(
    group: Int[np.ndarray, "n"], present: Bool[np.ndarray, "n J"], size: int
) -> Int[np.ndarray, "size J"]:
    """How often every joint is present in every group."""
    row, joint = np.nonzero(present)
    count = np.bincount(group[row] * NUM_JOINTS + joint, minlength=size * NUM_JOINTS)
    return count.reshape(size, NUM_JOINTS)


def _close_pairs(frames: ScoredFrames) -> ClosePairs:
    first_t, first_p = frames.truth_first, frames.found_first
    num_t, num_p = np.diff(first_t), np.diff(first_p)
    per_person = np.repeat(num_p, num_t)  # pairs of every ground truth person
    ends = np.cumsum(per_person)
    parts = []
    start = 0
    while start < len(per_person):
        done = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, done + _CHUNK, side="right")), start + 1)
        counts = per_person[start:stop]
        truth = np.repeat(np.arange(start, stop), counts)
        within = np.arange(len(truth)) - np.repeat(np.cumsum(counts) - counts, counts)
        found = first_p[frames.truth.frame[truth]] + within
        parts.append(_near(frames, truth, found))
        start = stop
    if not parts:
        none = np.zeros(0, np.int64)
        return ClosePairs(none, none, none, np.zeros(0))
    columns = zip(*parts, strict=True)
    return ClosePairs(*(np.concatenate(c) for c in columns))


def _near(
    frames: ScoredFrames, truth: Int[np.ndarray, "Q"], found: Int[np.ndarray, "Q"]
) -> tuple[np.ndarray, ...]:
    """The close joints among given pairs of people: truth, found, joint, distance."""
    both = frames.truth.present[truth] & frames.found.present[found]
    pair, joint = np.nonzero(both)
    t, p = truth[pair], found[pair]
    offset = frames.truth.xy[t, joint] - frames.found.xy[p, joint]
    length = np.sqrt(offset[:, 0] ** 2 + offset[:, 1] ** 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = length / frames.truth.head_px[t]
    near = distance <= NEAR_DISTANCE
    return t[near], p[near], joint[near], distance[near]
