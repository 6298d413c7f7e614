"""Motion model: damped constant velocity, and the update of a track by an observation.

The velocity is that of the whole person; limbs move about it within the falloff of the overlap.
All rates are time constants in seconds, so that frame rate and uneven gaps do not matter. Their
values come from the sweeps that `TrackerSettings` describes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from vepe.config.tracking import TrackerSettings
from vepe.tracking.detections import Detections, person_sizes
from vepe.tracking.state import Tracks
from vepe.types import FramePoses

MIN_GAP_S = 1e-3
"""Repeated or falling timestamps, as broken files have them, count as this gap."""

VELOCITY_MEMORY_S = 0.4
"""Time constant of the velocity estimate."""

VELOCITY_DAMPING_S = 0.3
"""Time constant with which an unseen track comes to rest."""

KEYPOINT_MEMORY_S = 0.5
"""Time constant with which an unseen keypoint loses its weight."""

KEYPOINT_INERTIA = 0.3
"""How much of the predicted pose is kept in an update; 0 takes each observation as it is."""

IDENTITY_MEMORY_S = 2.0
"""Time constant of the running mean of a track's embeddings."""


def elapsed_s(tracks: Tracks, time_s: float) -> Float[np.ndarray, "M"]:
    """Seconds since each track was seen, at least `MIN_GAP_S`."""
    return np.maximum(time_s - tracks.seen_s, MIN_GAP_S)


def predict(tracks: Tracks, gap_s: Float[np.ndarray, "M"]) -> Float[np.ndarray, "M K 2"]:
    """Predicted keypoints in pixels `gap_s` after each track was seen; poses move as a whole."""
    return tracks.keypoints_px + _displacement_px(tracks, gap_s)[:, None]


def _displacement_px(tracks: Tracks, gap_s: Float[np.ndarray, "M"]) -> Float[np.ndarray, "M 2"]:
    """How far each track has moved since it was seen, slowing down to rest."""
    damping = VELOCITY_DAMPING_S
    return tracks.velocities_px_s * (damping * -np.expm1(-gap_s / damping))[:, None]


def observe(
    tracks: Tracks,
    expected_px: Float[np.ndarray, "M K 2"],
    gap_s: Float[np.ndarray, "M"],
    people: Detections,
    settings: TrackerSettings,
) -> Tracks:
    """The tracks after an observation: person m was matched to row m of the other arguments.

    Embeddings are updated by people of at least `high_threshold` only.
    """
    poses = people.poses
    new = people.weights
    old = tracks.weights * np.exp(-gap_s / KEYPOINT_MEMORY_S)[:, None]
    innovation_px = poses.keypoints_px - expected_px
    gain = new / (new + KEYPOINT_INERTIA * old)
    velocities = _velocities(tracks, innovation_px, np.sqrt(new * tracks.weights), gap_s)
    # After a cut the pose is new; nothing of the old position or motion may leak into it.
    fresh = ~tracks.same_shot
    gain[fresh] = 1.0
    velocities[fresh] = 0.0
    keypoints_px = expected_px + gain[..., None] * innovation_px
    weights = np.where(fresh[:, None], new, np.maximum(new, old))
    # The size of the remembered pose, hidden joints included, so that occlusion shrinks nobody.
    sizes = person_sizes(keypoints_px, weights, settings.min_size_px)
    return replace(
        _update_embeddings(tracks, poses, poses.scores >= settings.high_threshold, gap_s),
        hits=tracks.hits + 1,
        seen_s=np.full(len(tracks), poses.time_s),
        keypoints_px=keypoints_px,
        weights=weights,
        velocities_px_s=velocities,
        sizes_px=np.where(fresh, sizes, np.sqrt(sizes * tracks.sizes_px)),
        same_shot=np.ones(len(tracks), np.bool_),
    )


def _velocities(
    tracks: Tracks,
    innovation_px: Float[np.ndarray, "M K 2"],
    weights: Float[np.ndarray, "M K"],
    gap_s: Float[np.ndarray, "M"],
) -> Float[np.ndarray, "M 2"]:
    """Running velocity; each observation adds the mean velocity since the last one.

    The damping of the prediction does not enter: low frame rates would underestimate speed.
    """
    shares = weights / weights.sum(axis=1, keepdims=True)
    moved_px = np.einsum("mk,mkc->mc", shares, innovation_px) + _displacement_px(tracks, gap_s)
    # The first observation starts from a guess of zero, so the second replaces it.
    blend = np.where(tracks.hits == 1, 1.0, -np.expm1(-gap_s / VELOCITY_MEMORY_S))
    return tracks.velocities_px_s + blend[:, None] * (
        moved_px / gap_s[:, None] - tracks.velocities_px_s
    )


def _update_embeddings(
    tracks: Tracks,
    poses: FramePoses,
    update: Bool[np.ndarray, "M"],
    gap_s: Float[np.ndarray, "M"],
) -> Tracks:
    """Running embeddings: a plain mean over the first observations, then an exponential one."""
    if poses.embeddings is None:
        return tracks
    rate = np.maximum(1.0 / (tracks.embedding_hits + 1.0), -np.expm1(-gap_s / IDENTITY_MEMORY_S))
    rate = np.where(update, rate, 0.0)[:, None]
    mean = (1 - rate) * tracks.embeddings + rate * poses.embeddings
    return replace(
        tracks,
        embeddings=mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-9),
        embedding_hits=tracks.embedding_hits + update,
    )
