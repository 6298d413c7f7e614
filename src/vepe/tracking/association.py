"""How well each track explains each person, and the one-to-one matching that follows.

The affinity is a weighted mean of identity, pose overlap and motion, all in 0..1:

- Identity: the bi-directional softmax of IDOL's tracker, on unit embeddings. Ours adds a class for
  strangers, so that a lone track does not claim every new person.
- Overlap: OKS with one falloff for all keypoints, see `vepe.tracking.detections`.
- Motion: a Gaussian of the displacement of the whole person from the predicted position.

To add a cost, add a term to `affinities` and its weight to `TrackerSettings`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from vepe.config.tracking import TrackerSettings
from vepe.linear_assignment import linear_sum_assignment
from vepe.tracking.detections import Detections, keypoint_overlap
from vepe.tracking.state import Tracks
from vepe.types import FramePoses

# These values come from the sweeps that `TrackerSettings` describes.
MOTION_SIGMA, MOTION_SIGMA_PER_S = 0.12, 0.1
"""Falloff of the displacement in person sizes, and its growth per unseen second."""

SIZE_RATIO = 4.0
"""People larger or smaller than the track by more than this factor are gated."""

LOST_DISCOUNT = 0.5
"""Share of the affinity that a track loses by `motion_gap_s` unseen seconds.

So a track in view wins over one out of view.
"""

LOST_SIMILARITY = 0.2
"""A lost track (`lost_after_s`) only takes people with at least this cosine similarity."""

IDENTITY_TEMPERATURE = 0.1
"""Divisor of cosine similarities in the bi-directional softmax."""

STRANGER_SIMILARITY = 0.4
"""Cosine similarity at which a person is as likely a stranger as the track's own."""


def assign(
    affinity: Float[np.ndarray, "M P"],
    allowed: Bool[np.ndarray, "M P"],
    threshold: float,
) -> tuple[Int[np.ndarray, "Q"], Int[np.ndarray, "Q"]]:
    """The one-to-one matching with the greatest sum of affinity above `threshold`.

    Only allowed pairs at or above the threshold are matched. A good pair is never traded for
    two poor ones, as it would be with a large cost for forbidden pairs.

    Returns:
        Rows and columns of the Q matched pairs.
    """
    gain = np.where(allowed & (affinity >= threshold), affinity - threshold + 1e-6, 0.0)
    if not gain.any():
        none = np.zeros(0, np.int64)
        return none, none
    rows, columns = linear_sum_assignment(gain, maximize=True)
    good = gain[rows, columns] > 0
    return rows[good], columns[good]


@dataclass(frozen=True)
class Affinities:
    """Tracks (M rows) against people (P columns).

    Attributes:
        total: weighted mean of the known terms in 0..1, discounted for lost tracks.
        reachable: pairs that pass the gates of position, size, shot and, for lost tracks, identity.
        similarity: cosine similarity of the embeddings, -1 where one of the two has none.
        displacement_sizes: distance from the predicted position in person sizes.
    """

    total: Float[np.ndarray, "M P"]
    reachable: Bool[np.ndarray, "M P"]
    similarity: Float[np.ndarray, "M P"]
    displacement_sizes: Float[np.ndarray, "M P"]


def affinities(
    tracks: Tracks,
    expected_px: Float[np.ndarray, "M K 2"],
    gap_s: Float[np.ndarray, "M 1"],
    people: Detections,
    settings: TrackerSettings,
) -> Affinities:
    """All pairs of tracks and people; M or P may be 0.

    Args:
        tracks: before this frame.
        expected_px: their predicted keypoints at the time of the frame.
        gap_s: seconds since each was seen.
        people: of the frame.
        settings: weights and gates.
    """
    poses = people.poses
    pair_sizes = np.maximum(tracks.sizes_px[:, None], people.sizes_px[None])  # (M, P)
    roots = np.sqrt(tracks.weights), np.sqrt(people.weights)

    overlap = keypoint_overlap(expected_px, poses.keypoints_px, *roots, pair_sizes)
    tracks_at, track_sizes = _places(expected_px, roots[0], roots[1], settings.min_size_px)
    places = _places(poses.keypoints_px, roots[1], roots[0], settings.min_size_px)
    people_at, people_sizes = places[0].swapaxes(0, 1), places[1].T
    displacement = np.linalg.norm(people_at - tracks_at, axis=2) / pair_sizes
    motion = np.exp(-0.5 * np.square(displacement / (MOTION_SIGMA + MOTION_SIGMA_PER_S * gap_s)))
    similarity, known = cosine_similarity(tracks, poses)

    total = settings.overlap_weight * overlap + settings.motion_weight * motion
    weight = settings.overlap_weight + settings.motion_weight
    if known.any():
        identity = bi_softmax(similarity, known)
        total = total + np.where(known, settings.identity_weight * identity, 0.0)
        total = total / np.maximum(weight + settings.identity_weight * known, 1e-9)
    else:
        total = total / max(weight, 1e-9)
    total = total * (1 - LOST_DISCOUNT * np.minimum(gap_s / (settings.motion_gap_s + 1e-9), 1))

    gate = settings.gate_sizes + settings.gate_sizes_per_s * gap_s
    ratio = np.maximum(track_sizes / people_sizes, people_sizes / track_sizes)
    reachable = tracks.same_shot[:, None] & (displacement <= gate) & (ratio <= SIZE_RATIO)
    stranger = known & (similarity < LOST_SIMILARITY)
    reachable &= ~(stranger & (gap_s > settings.lost_after_s))
    return Affinities(total, reachable, similarity, displacement)


def _places(
    points_px: Float[np.ndarray, "M K 2"],
    roots: Float[np.ndarray, "M K"],
    other_roots: Float[np.ndarray, "P K"],
    min_size_px: float,
) -> tuple[Float[np.ndarray, "M P 2"], Float[np.ndarray, "M P"]]:
    """Centres and sizes of poses over the keypoints that both of a pair see.

    So occlusion changes neither. The weight of a keypoint in a pair is the product of both roots.
    """
    norm = roots @ other_roots.T  # (M, P)
    weighted = roots[..., None] * points_px  # (M, K, 2)
    centres = np.stack([weighted[..., axis] @ other_roots.T / norm for axis in (0, 1)], axis=2)
    squares = (weighted * points_px).sum(axis=2) @ other_roots.T / norm
    variance = np.maximum(squares - np.square(centres).sum(axis=2), 0.0)
    return centres, np.maximum(np.sqrt(12.0 * variance), min_size_px)


def cosine_similarity(
    tracks: Tracks, poses: FramePoses
) -> tuple[Float[np.ndarray, "M P"], Bool[np.ndarray, "M 1"]]:
    """Cosine similarities (-1 where unknown), and which tracks have an embedding to compare."""
    if poses.embeddings is None or tracks.embeddings.shape[1] != poses.embeddings.shape[1]:
        unknown = np.zeros((len(tracks), 1), np.bool_)
        return np.full((len(tracks), len(poses)), -1.0), unknown
    known = tracks.embedding_hits[:, None] > 0
    return np.where(known, tracks.embeddings @ poses.embeddings.T, -1.0), known


def passes_margin(similarity: Float[np.ndarray, "M P"], margin: float) -> Bool[np.ndarray, "M P"]:
    """Pairs whose similarity exceeds all others of their row and column by `margin`."""
    if not margin:
        return np.ones(similarity.shape, np.bool_)
    return _exceeds_row(similarity, margin) & _exceeds_row(similarity.T, margin).T


def _exceeds_row(values: Float[np.ndarray, "M P"], margin: float) -> Bool[np.ndarray, "M P"]:
    """Where a value is larger than all others of its row by `margin`."""
    if values.shape[1] < 2:
        return np.ones(values.shape, np.bool_)
    second, best = np.partition(values, [-2, -1], axis=1)[:, -2:].T[..., None]
    return values - np.where(values == best, second, best) >= margin


def bi_softmax(
    similarity: Float[np.ndarray, "M P"], known: Bool[np.ndarray, "M 1"]
) -> Float[np.ndarray, "M P"]:
    """Mean of the softmax over people and the softmax over tracks, each with a stranger class."""
    scaled = (similarity - STRANGER_SIMILARITY) / IDENTITY_TEMPERATURE
    odds = np.where(known, np.exp(np.clip(scaled, -50.0, 50.0)), 0.0)
    over_people = odds / (1.0 + odds.sum(axis=1, keepdims=True))
    over_tracks = odds / (1.0 + odds.sum(axis=0, keepdims=True))
    return 0.5 * (over_people + over_tracks)
