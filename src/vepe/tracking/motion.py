"""Where tracks are expected, and what a sighting teaches them: a damped constant velocity.

The velocity is that of the whole person; limbs move about it within the falloff of the overlap.
All rates are time constants in seconds, so that frame rate and uneven gaps do not matter.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from vepe.config.tracking import TrackerSettings
from vepe.tracking.people import keypoint_weights, person_sizes
from vepe.tracking.state import Tracks
from vepe.types import FramePoses

MIN_STEP_S = 1e-3
"""Repeated or falling timestamps, as broken files have them, count as this step."""


def elapsed_s(tracks: Tracks, time_s: float) -> Float[np.ndarray, "M"]:
    """Seconds since each track was seen, at least `MIN_STEP_S`."""
    return np.maximum(time_s - tracks.seen_s, MIN_STEP_S)


def predict(tracks: Tracks, time_s: float, settings: TrackerSettings) -> Float[np.ndarray, "M K 2"]:
    """Expected keypoints in pixels at `time_s`: each pose carried on as a whole."""
    return tracks.keypoints_px + _carried_px(tracks, elapsed_s(tracks, time_s), settings)[:, None]


def _carried_px(
    tracks: Tracks, gap_s: Float[np.ndarray, "M"], settings: TrackerSettings
) -> Float[np.ndarray, "M 2"]:
    """How far each track is expected to have moved since it was seen, slowing down to rest."""
    damping = settings.velocity_damping_s
    return tracks.velocities_px_s * (damping * -np.expm1(-gap_s / damping))[:, None]


def observe(
    seen: Tracks,
    expected_px: Float[np.ndarray, "M K 2"],
    poses: FramePoses,
    learn_identity: Bool[np.ndarray, "M"],
    settings: TrackerSettings,
) -> Tracks:
    """Tracks after a sighting: row m of `seen` and of `expected_px` was matched to person m.

    Embeddings are learned where `learn_identity` says so.
    """
    gap_s = elapsed_s(seen, poses.time_s)
    news = keypoint_weights(poses.keypoint_scores)
    olds = seen.weights * np.exp(-gap_s / settings.keypoint_memory_s)[:, None]
    innovation_px = poses.keypoints_px - expected_px
    gain = news / (news + settings.keypoint_inertia * olds)
    velocities = _velocities(seen, innovation_px, np.sqrt(news * seen.weights), gap_s, settings)
    # After a cut the pose is new; nothing of the old place or motion may leak into it.
    fresh = ~seen.same_shot
    gain[fresh] = 1.0
    velocities[fresh] = 0.0
    keypoints_px = expected_px + gain[..., None] * innovation_px
    weights = np.where(fresh[:, None], news, np.maximum(news, olds))
    # The size of the remembered pose, hidden joints and all, so that hiding shrinks nobody.
    sizes = person_sizes(keypoints_px, weights, settings.min_size_px)
    return replace(
        _learned(seen, poses, learn_identity, gap_s, settings),
        hits=seen.hits + 1,
        seen_s=np.full(len(seen), poses.time_s),
        keypoints_px=keypoints_px,
        weights=weights,
        velocities_px_s=velocities,
        sizes_px=np.where(fresh, sizes, np.sqrt(sizes * seen.sizes_px)),
        same_shot=np.ones(len(seen), np.bool_),
    )


def _velocities(
    seen: Tracks,
    innovation_px: Float[np.ndarray, "M K 2"],
    weights: Float[np.ndarray, "M K"],
    gap_s: Float[np.ndarray, "M"],
    settings: TrackerSettings,
) -> Float[np.ndarray, "M 2"]:
    """Running velocity; each sighting adds the mean velocity since the last one.

    The damping of the prediction does not enter, or slow cameras would see people slower.
    """
    shares = weights / weights.sum(axis=1, keepdims=True)
    moved_px = np.einsum("mk,mkc->mc", shares, innovation_px) + _carried_px(seen, gap_s, settings)
    # The first sighting starts from a guess of zero, so the second is taken over whole.
    blend = np.where(seen.hits == 1, 1.0, -np.expm1(-gap_s / settings.velocity_memory_s))
    return seen.velocities_px_s + blend[:, None] * (
        moved_px / gap_s[:, None] - seen.velocities_px_s
    )


def _learned(
    seen: Tracks,
    poses: FramePoses,
    learn: Bool[np.ndarray, "M"],
    gap_s: Float[np.ndarray, "M"],
    settings: TrackerSettings,
) -> Tracks:
    """Running embeddings: a plain mean over the first sightings, then an exponential one."""
    if poses.embeddings is None:
        return seen
    rate = np.maximum(
        1.0 / (seen.embedding_hits + 1.0), -np.expm1(-gap_s / settings.identity_memory_s)
    )
    rate = np.where(learn, rate, 0.0)[:, None]
    mean = (1 - rate) * seen.embeddings + rate * poses.embeddings
    return replace(
        seen,
        embeddings=mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-9),
        embedding_hits=seen.embedding_hits + learn,
    )
