"""The part of keypoint HOTA that every rule shares: who is matched with whom, frame by frame.

Source: `HOTAeypoints` of the PoseTrack21 kit. Joints are assigned per frame and joint for the
largest sum of similarities, without HOTA's global alignment. Letters: A the 19 thresholds, S
sequences, J joints, m matches, n associations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from vepe.evaluation.assignment import choose_pairs
from vepe.evaluation.frames import (
    NEAR_DISTANCE,
    NUM_JOINTS,
    ClosePairs,
    ScoredFrames,
    joints_by,
)

ALPHAS = np.arange(0.05, 0.99, 0.05)
"""Similarity thresholds; a similarity of 0.5 is a quarter of a head size."""
_EPS = np.finfo("float").eps


@dataclass(frozen=True, eq=False)
class HotaSums:
    """What the assignments of all frames add up to, (A, S, J) each; every rule starts from it."""

    tp: Float[np.ndarray, "A S J"]
    loc: Float[np.ndarray, "A S J"]
    ass_a: Float[np.ndarray, "A S J"]
    ass_re: Float[np.ndarray, "A S J"]
    ass_pr: Float[np.ndarray, "A S J"]
    frag: Float[np.ndarray, "A S J"]


def sum_assignments(frames: ScoredFrames) -> HotaSums:
    """Assigns the joints of every frame, and sums matches per threshold, sequence and joint."""
    matches, similarity = _matched(frames)
    table = _Associations.of(frames, matches)
    rows = []
    for alpha in ALPHAS:
        good = similarity >= alpha - _EPS
        count = table.count(good)
        union = np.maximum(1, table.truth_total + table.found_total - count)
        squared = count.astype(float) ** 2
        rows.append(
            (
                table.per_cell(count),
                table.sum_matches(similarity, good),
                table.per_cell(squared / union),
                table.per_cell(squared / np.maximum(1, table.truth_total)),
                table.per_cell(squared / np.maximum(1, table.found_total)),
                table.fragments(good, union),
            )
        )
    return HotaSums(*(np.stack(column) for column in zip(*rows, strict=True)))


def _matched(frames: ScoredFrames) -> tuple[ClosePairs, Float[np.ndarray, "m"]]:
    """Joints assigned for the largest sum of similarities; by truth track, joint and time."""
    pairs = frames.pairs
    similarity = np.maximum((-1 / NEAR_DISTANCE) * pairs.distance + 1, 0)
    frame = frames.truth.frame[pairs.truth]

    def shape(problem: int) -> tuple[int, int]:
        f = problem // NUM_JOINTS
        rows = frames.truth_first[f + 1] - frames.truth_first[f]
        return int(rows), int(frames.found_first[f + 1] - frames.found_first[f])

    chosen = choose_pairs(
        frame * NUM_JOINTS + pairs.joint,
        pairs.truth - frames.truth_first[frame],
        pairs.found - frames.found_first[frame],
        -similarity,
        shape,
        lambda cost, size: 0.0,
    )
    index = np.flatnonzero(chosen)
    order = np.lexsort((frame[index], pairs.joint[index], frames.truth.track[pairs.truth[index]]))
    return pairs.select(index[order]), similarity[index[order]]


@dataclass(frozen=True, eq=False)
class _Associations:
    """Every (truth track, predicted track, joint) that was ever matched.

    Attributes:
        member: (m,) association of every match.
        cell: (n,) sequence * J + joint of every association.
        truth_total, found_total: (n,) joints that the two tracks have in all.
    """

    num_sequences: int
    member: Int[np.ndarray, "m"]
    cell: Int[np.ndarray, "n"]
    truth_total: Int[np.ndarray, "n"]
    found_total: Int[np.ndarray, "n"]

    @staticmethod
    def of(frames: ScoredFrames, matches: ClosePairs) -> _Associations:
        truth = frames.truth.track[matches.truth]
        found = frames.found.track[matches.found]
        tracks = int(frames.found.track.max(initial=0)) + 1
        owner = truth * NUM_JOINTS + matches.joint
        _, first, member = np.unique(owner * tracks + found, return_index=True, return_inverse=True)
        sequence = frames.sequence[frames.truth.frame[matches.truth[first]]]
        joint = matches.joint[first]
        return _Associations(
            len(frames.sequences),
            member,
            sequence * NUM_JOINTS + joint,
            _track_totals(frames.truth.track, frames.truth.present)[truth[first], joint],
            _track_totals(frames.found.track, frames.found.present)[found[first], joint],
        )

    def count(self, good: np.ndarray) -> Int[np.ndarray, "n"]:
        """Matches of every association among the good ones."""
        return np.bincount(self.member[good], minlength=len(self.cell))

    def per_cell(self, value: np.ndarray) -> Float[np.ndarray, "S J"]:
        """A value per association, summed by sequence and joint."""
        size = self.num_sequences * NUM_JOINTS
        return np.bincount(self.cell, value, size).reshape(-1, NUM_JOINTS)

    def sum_matches(self, value: np.ndarray, good: np.ndarray) -> Float[np.ndarray, "S J"]:
        """A value per match, summed by sequence and joint."""
        size = self.num_sequences * NUM_JOINTS
        cells = self.cell[self.member[good]]
        return np.bincount(cells, value[good], size).reshape(-1, NUM_JOINTS)

    def fragments(self, good: np.ndarray, union: np.ndarray) -> Float[np.ndarray, "S J"]:
        """Sum over unbroken runs of an association of length squared over its union.

        A run ends where the object is matched with another track, not where it is missed.
        """
        member = self.member[good]
        if not len(member):
            return np.zeros((self.num_sequences, NUM_JOINTS))
        # Associations differ where the object differs, so their change alone bounds the runs.
        starts = np.flatnonzero(np.diff(member, prepend=-1))
        length = np.diff(np.append(starts, len(member))).astype(float)
        total = np.bincount(member[starts], length**2, len(self.cell))
        return self.per_cell(total / union)


def _track_totals(track: np.ndarray, present: np.ndarray) -> Int[np.ndarray, "T J"]:
    return joints_by(track, present, int(track.max(initial=-1)) + 1)
