"""Where tracks are expected, and what a sighting teaches them: a damped constant velocity.

The velocity is that of the whole person; limbs move about it within the falloff of the overlap.
All rates are time constants in seconds, so that frame rate and uneven gaps do not matter.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from vepe.config.tracking import TrackerSettings
from vepe.tracking.people import keypoint_weights, person_sizes
from vepe.tracking.state import TrackerState
from vepe.types import FramePoses

MIN_STEP_S = 1e-3  # repeated or falling timestamps of broken files count as this


def elapsed_s(state: TrackerState, time_s: float) -> Float[np.ndarray, "M"]:
    """Seconds since each track was seen, at least `MIN_STEP_S`."""
    return np.maximum(time_s - state.seen_s, MIN_STEP_S)


def predict(
    state: TrackerState, time_s: float, settings: TrackerSettings
) -> Float[np.ndarray, "M K 2"]:
    """Expected keypoints in pixels at `time_s`: each pose carried on, slowing down to rest."""
    damping = settings.velocity_damping_s
    reach_s = damping * -np.expm1(-elapsed_s(state, time_s) / damping)
    return state.keypoints_px + (state.velocities_px_s * reach_s[:, None])[:, None, :]


def observe(
    seen: TrackerState,
    expected_px: Float[np.ndarray, "M K 2"],
    poses: FramePoses,
    identity: Int[np.ndarray, "M"] | np.ndarray,
    settings: TrackerSettings,
) -> TrackerState:
    """Tracks after a sighting: row m of `seen` and of `expected_px` was matched to person m.

    `identity` is a mask (M,): True where the person's embedding may be learned.
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
    sizes = person_sizes(poses.keypoints_px, news, settings.min_size_px)
    sizes = np.where(fresh, sizes, np.sqrt(sizes * seen.sizes_px))
    return replace(
        _learn_identity(seen, poses, identity, gap_s, settings),
        hits=seen.hits + 1,
        seen_s=np.full(len(seen), poses.time_s),
        keypoints_px=expected_px + gain[..., None] * innovation_px,
        weights=np.where(fresh[:, None], news, np.maximum(news, olds)),
        velocities_px_s=velocities,
        sizes_px=sizes,
        same_shot=np.ones(len(seen), np.bool_),
    )


def _velocities(
    seen: TrackerState,
    innovation_px: Float[np.ndarray, "M K 2"],
    weights: Float[np.ndarray, "M K"],
    gap_s: Float[np.ndarray, "M"],
    settings: TrackerSettings,
) -> Float[np.ndarray, "M 2"]:
    """Velocity now: the damped old one, corrected by the mean innovation over the gap."""
    share = weights / weights.sum(axis=1, keepdims=True)
    drift = np.einsum("mk,mkc->mc", share, innovation_px) / gap_s[:, None]
    # The first correction starts from a guess of zero, so it is taken over whole.
    blend = np.where(seen.hits == 1, 1.0, -np.expm1(-gap_s / settings.velocity_memory_s))
    damped = seen.velocities_px_s * np.exp(-gap_s / settings.velocity_damping_s)[:, None]
    return damped + blend[:, None] * drift


def _learn_identity(
    seen: TrackerState,
    poses: FramePoses,
    identity: np.ndarray,
    gap_s: Float[np.ndarray, "M"],
    settings: TrackerSettings,
) -> TrackerState:
    """Running embeddings: a plain mean over the first sightings, then an exponential one."""
    if poses.embeddings is None:
        return seen
    rate = np.maximum(
        1.0 / (seen.embedding_hits + 1.0), -np.expm1(-gap_s / settings.identity_memory_s)
    )
    rate = np.where(identity, rate, 0.0)[:, None]
    mean = (1 - rate) * seen.embeddings + rate * poses.embeddings
    return replace(
        seen,
        embeddings=mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-9),
        embedding_hits=seen.embedding_hits + identity,
    )
