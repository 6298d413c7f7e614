"""One-to-one matching of tracks and people.

How well each track explains each person: identity, pose overlap and motion, all in 0..1.

Identity is the bi-directional softmax of IDOL's tracker (on unit embeddings, with one more class
for strangers, which ours adds so that a lone track does not claim whoever comes). Overlap is OKS
with one falloff for all keypoints, so that any skeleton works, and with the confidences of both
poses as weights. Motion looks at the displacement of the person as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment

from vepe.config.tracking import TrackerSettings
from vepe.tracking.motion import elapsed_s
from vepe.tracking.people import keypoint_weights, person_sizes
from vepe.tracking.state import Tracks
from vepe.types import FramePoses


def assign(
    affinity: Float[np.ndarray, "M P"],
    allowed: Bool[np.ndarray, "M P"],
    threshold: float,
) -> tuple[Int[np.ndarray, "Q"], Int[np.ndarray, "Q"]]:
    """Rows and columns of the matching with the greatest sum of affinity above `threshold`.

    Only allowed pairs at or above the threshold are matched. A good pair is never given up to make
    two poor ones, as it would be with a large cost for forbidden pairs.
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
        total: weighted mean of the known parts in 0..1, discounted for lost tracks.
        reachable: pairs that pass the gates of place, size, shot and, for lost tracks, identity.
        similarity: cosine of the embeddings, -1 where one of the two has none.
        displacement_sizes: distance from the expected place in person sizes.
    """

    total: Float[np.ndarray, "M P"]
    reachable: Bool[np.ndarray, "M P"]
    similarity: Float[np.ndarray, "M P"]
    displacement_sizes: Float[np.ndarray, "M P"]


def affinities(
    tracks: Tracks,
    expected_px: Float[np.ndarray, "M K 2"],
    poses: FramePoses,
    settings: TrackerSettings,
) -> Affinities:
    """All pairs of tracks and people at the time of `poses`; M or P may be 0."""
    gap_s = elapsed_s(tracks, poses.time_s)[:, None]
    weights = keypoint_weights(poses.keypoint_scores)
    sizes = person_sizes(poses.keypoints_px, weights, settings.min_size_px)
    pair_sizes = np.maximum(tracks.sizes_px[:, None], sizes[None])
    shares = np.sqrt(tracks.weights[:, None] * weights[None])
    shares /= shares.sum(axis=2, keepdims=True)
    offsets = (poses.keypoints_px[None] - expected_px[:, None]) / pair_sizes[..., None, None]

    width = settings.overlap_sizes + settings.overlap_sizes_per_s * gap_s
    overlap = _overlap(offsets, shares, width)
    displacement = np.linalg.norm(np.einsum("mpk,mpkc->mpc", shares, offsets), axis=2)
    width = settings.motion_sizes + settings.motion_sizes_per_s * gap_s
    motion = np.exp(-0.5 * np.square(displacement / width))
    similarity, known = cosine_similarity(tracks, poses)

    parts = settings.overlap_weight * overlap + settings.motion_weight * motion
    share = settings.overlap_weight + settings.motion_weight
    if known.any():
        identity = bi_softmax(similarity, known, settings)
        parts = parts + np.where(known, settings.identity_weight * identity, 0.0)
        total = parts / np.maximum(share + settings.identity_weight * known, 1e-9)
    else:
        total = parts / max(share, 1e-9)
    total = total * (
        1 - settings.lost_discount * np.minimum(gap_s / (settings.place_gap_s + 1e-9), 1)
    )

    ratio = _size_ratio(expected_px, poses.keypoints_px, shares, settings.min_size_px)
    gate = settings.gate_sizes + settings.gate_sizes_per_s * gap_s
    reachable = tracks.same_shot[:, None] & (displacement <= gate) & (ratio <= settings.size_ratio)
    stranger = known & (similarity < settings.lost_similarity)
    reachable &= ~(stranger & (gap_s > settings.weak_gap_s))
    return Affinities(total, reachable, similarity, displacement)


def _size_ratio(
    expected_px: Float[np.ndarray, "M K 2"],
    keypoints_px: Float[np.ndarray, "P K 2"],
    shares: Float[np.ndarray, "M P K"],
    min_size_px: float,
) -> Float[np.ndarray, "M P"]:
    """Larger over smaller size, over the keypoints that both see: hiding changes neither."""

    def sizes(points: np.ndarray, letters: str) -> Float[np.ndarray, "M P"]:
        means = np.einsum(f"mpk,{letters}->mpc", shares, points)
        squares = np.einsum(f"mpk,{letters}->mp", shares, np.square(points))
        variance = np.maximum(squares - np.square(means).sum(axis=2), 0.0)
        return np.maximum(np.sqrt(12.0 * variance), min_size_px)

    of_tracks, of_people = sizes(expected_px, "mkc"), sizes(keypoints_px, "pkc")
    return np.maximum(of_tracks / of_people, of_people / of_tracks)


def pose_overlap(
    keypoints_px: Float[np.ndarray, "P K 2"],
    weights: Float[np.ndarray, "P K"],
    settings: TrackerSettings,
) -> Float[np.ndarray, "P P"]:
    """Overlap in 0..1 of all pairs of people of one frame."""
    sizes = person_sizes(keypoints_px, weights, settings.min_size_px)
    pair_sizes = np.maximum(sizes[:, None], sizes[None])
    shares = np.sqrt(weights[:, None] * weights[None])
    shares /= shares.sum(axis=2, keepdims=True)
    offsets = (keypoints_px[None] - keypoints_px[:, None]) / pair_sizes[..., None, None]
    return _overlap(offsets, shares, settings.overlap_sizes)


def _overlap(
    offsets: Float[np.ndarray, "M P K 2"],
    shares: Float[np.ndarray, "M P K"],
    width: Float[np.ndarray, "M 1"] | float,
) -> Float[np.ndarray, "M P"]:
    """OKS's Gaussian of every keypoint's offset (in sizes), averaged with `shares`."""
    squares = np.einsum("mpkc,mpkc->mpk", offsets, offsets)
    widths = np.asarray(width)[..., None] if np.ndim(width) else width
    return np.einsum("mpk,mpk->mp", shares, np.exp(-0.5 * squares / np.square(widths)))


def cosine_similarity(
    tracks: Tracks, poses: FramePoses
) -> tuple[Float[np.ndarray, "M P"], Bool[np.ndarray, "M 1"]]:
    """Cosines (-1 where unknown) and which tracks have an identity to compare."""
    if poses.embeddings is None or tracks.embeddings.shape[1] != poses.embeddings.shape[1]:
        unknown = np.zeros((len(tracks), 1), np.bool_)
        return np.full((len(tracks), len(poses)), -1.0), unknown
    known = tracks.embedding_hits[:, None] > 0
    return np.where(known, tracks.embeddings @ poses.embeddings.T, -1.0), known


def stands_out(similarity: Float[np.ndarray, "M P"], margin: float) -> Bool[np.ndarray, "M P"]:
    """Pairs whose similarity beats all others of their track and of their person by `margin`."""
    if not margin:
        return np.ones(similarity.shape, np.bool_)
    return _beats_row(similarity, margin) & _beats_row(similarity.T, margin).T


def _beats_row(values: Float[np.ndarray, "M P"], margin: float) -> Bool[np.ndarray, "M P"]:
    """Where a value is larger than all others of its row by `margin`."""
    if values.shape[1] < 2:
        return np.ones(values.shape, np.bool_)
    second, best = np.partition(values, [-2, -1], axis=1)[:, -2:].T[..., None]
    return values - np.where(values == best, second, best) >= margin


def bi_softmax(
    similarity: Float[np.ndarray, "M P"],
    known: Bool[np.ndarray, "M 1"],
    settings: TrackerSettings,
) -> Float[np.ndarray, "M P"]:
    """Mean of the softmax over people and the softmax over tracks, each against a stranger too."""
    scaled = (similarity - settings.stranger_similarity) / settings.identity_temperature
    odds = np.where(known, np.exp(np.clip(scaled, -50.0, 50.0)), 0.0)
    over_people = odds / (1.0 + odds.sum(axis=1, keepdims=True))
    over_tracks = odds / (1.0 + odds.sum(axis=0, keepdims=True))
    return 0.5 * (over_people + over_tracks)
