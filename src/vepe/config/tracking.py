"""Settings of the tracker, of smoothing and of shot detection.

Times are in seconds, never in frames, so that the same values serve 10 and 60 frames per second.
Lengths are in person sizes: one size is the diagonal of the box that a person fills (see
`vepe.tracking.detections.person_sizes`), so that the same values serve near and far people.

Values that nobody has had to change are no settings, but named constants next to the code that uses
them.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from vepe.config.base import Settings

SmoothMode = Literal["off", "causal", "offline"]
"""Keypoint smoothing: none, from past frames only, or from past and future frames."""


class TrackerSettings(Settings):
    """How people become tracks.

    Attributes:
        new_track_threshold: an unmatched person with at least this score starts a track (0..1).
        high_threshold: people with at least this score are matched first, and may continue lost
            tracks.
        low_threshold: people between this and `high_threshold` only continue tracks seen in the
            last `lost_after_s` seconds (ByteTrack's second association); people below are dropped.
        confirm_hits: matches before a track gets its id; with 1 a single frame makes a track.
        max_gap_s: a track unseen for longer is deleted; its id is never used again.
        motion_gap_s: a track unseen for longer is matched by re-identification only: by then,
            another person may stand where it was lost.
        lost_after_s: a track unseen for longer is lost: it takes no low-score people any more.
        identity_weight, overlap_weight, motion_weight: weights of the three terms of the affinity;
            without embeddings, identity is left out and the others share its weight.
        match_threshold: pairs with a lower affinity (0..1) are never matched.
        gate_sizes, gate_sizes_per_s: how far a person may lie from the predicted position, in
            person sizes: at once, and more per second since the track was seen.
        reid_similarity: cosine similarity from which the embedding alone may match a lost track,
            out of reach of overlap and motion. Only this continues a track across a shot cut.
        reid_margin: margin test: that similarity must exceed the person's similarity to every other
            track, and the track's to every other person, by this much.
        max_lost_tracks: at most so many unseen tracks are kept, the most recently seen ones.
        min_size_px: lower bound of person sizes; the size of a person with a single keypoint.

    The defaults come from sweeps over 30 annotated real videos (6,340 poses) with seeded noise:
    keypoint jitter, hidden people and joints, false and duplicate people, with no, weak and strong
    identity embeddings, at 25, 12.5 and 8.3 frames per second; chosen by the mean of MOTA and IDF1.
    `pytest -s tests/tracking/test_real_tracks.py` prints what they reach. Those of
    re-identification come from the bundled models, see their presets.
    Scores belong to a model: tune the three thresholds with the model at hand.
    """

    RENAMED: ClassVar[dict[str, str | None]] = {
        "birth_score": "new_track_threshold",
        "confident_score": "high_threshold",
        "weak_score": "low_threshold",
        "place_gap_s": "motion_gap_s",
        "weak_gap_s": "lost_after_s",
        "match_affinity": "match_threshold",
        "revive_similarity": "reid_similarity",
        "revive_margin": "reid_margin",
        "revive_sizes_per_s": None,
        "lost_discount": None,
        "lost_similarity": None,
        "overlap_sizes": None,
        "overlap_sizes_per_s": None,
        "motion_sizes": None,
        "motion_sizes_per_s": None,
        "size_ratio": None,
        "identity_temperature": None,
        "stranger_similarity": None,
        "identity_memory_s": None,
        "velocity_memory_s": None,
        "velocity_damping_s": None,
        "keypoint_memory_s": None,
        "keypoint_inertia": None,
        "double_overlap": None,
        "double_similarity": None,
        "duplicate_overlap": None,
    }

    new_track_threshold: float = Field(default=0.45, ge=0, le=1)
    high_threshold: float = Field(default=0.35, ge=0, le=1)
    low_threshold: float = Field(default=0.1, ge=0, le=1)
    confirm_hits: int = Field(default=1, ge=1, le=10_000)
    max_gap_s: float = Field(default=2.0, ge=0)
    motion_gap_s: float = Field(default=2.0, ge=0)
    lost_after_s: float = Field(default=0.25, ge=0)

    identity_weight: float = Field(default=0.8, ge=0)
    overlap_weight: float = Field(default=0.4, ge=0)
    motion_weight: float = Field(default=0.2, ge=0)
    match_threshold: float = Field(default=0.2, ge=0, le=1)
    gate_sizes: float = Field(default=0.4, gt=0)
    gate_sizes_per_s: float = Field(default=1.0, ge=0)

    reid_similarity: float = Field(default=0.6, ge=-1, le=1)
    reid_margin: float = Field(default=0.0, ge=0, le=2)
    max_lost_tracks: int = Field(default=100, ge=0, le=100_000)
    min_size_px: float = Field(default=12.0, gt=0)

    def scaled_to(self, new_track_threshold: float) -> TrackerSettings:
        """The same settings with all three thresholds scaled, the first one to the given value."""
        factor = new_track_threshold / self.new_track_threshold if self.new_track_threshold else 1.0
        return self.model_copy(
            update={
                "new_track_threshold": new_track_threshold,
                "high_threshold": self.high_threshold * factor,
                "low_threshold": self.low_threshold * factor,
            }
        )


class SmoothingSettings(Settings):
    """How the keypoints of a track are smoothed over time.

    Attributes:
        min_cutoff_hz: causal: One-Euro cutoff for a keypoint at rest; lower is smoother.
        speed_coefficient: causal: how much the cutoff rises with speed (Hz per person size per
            second); higher follows quick motion with less lag.
        half_window_s: offline: how far the local fit reaches to either side.
        degree: offline: degree of the local polynomial (1 or 2).
        outlier_sizes: offline: keypoints further from a first fit than this many person sizes are
            ignored in the second.
        fill_gap_s: offline: gaps of a track up to this long are filled by interpolation.
        fill_confidence: offline: factor on the scores of interpolated people.
        reset_gap_s: smoothing restarts after so many unseen seconds.

    The defaults come from sweeps over real annotated motion with jitter of 1, 2 and 4% of the
    person's size, at 25 and 12.5 frames per second: the smoothest that do not cost accuracy at 1%
    (causal: 6% more error there, 19% less at 2%). `pytest -s tests/tracking/test_smoothing.py`
    prints a table.
    """

    RENAMED: ClassVar[dict[str, str | None]] = {
        "speed_cutoff_hz": None,
        "reset_sizes": None,
        "reset_sizes_per_s": None,
        "min_weight": None,
    }

    min_cutoff_hz: float = Field(default=2.0, gt=0)
    speed_coefficient: float = Field(default=4.0, ge=0)
    half_window_s: float = Field(default=0.25, gt=0)
    degree: Literal[1, 2] = 2
    outlier_sizes: float = Field(default=0.12, gt=0)
    fill_gap_s: float = Field(default=0.4, ge=0)
    fill_confidence: float = Field(default=0.5, ge=0, le=1)
    reset_gap_s: float = Field(default=0.5, gt=0)


class ShotSettings(Settings):
    """When two consecutive frames count as a shot cut.

    Attributes:
        structure_change: 1 minus the correlation of two thumbnails, at their best alignment (0
            same, 1 unrelated, 2 inverted), from which a cut is possible. It ignores brightness and
            contrast, so a flash is no cut.
        colour_change: distance of the two colour histograms (0..1) from which a cut is possible.
        surprise: a cut also exceeds the usual change of the last frames by this factor, so that
            fast camera motion is no cut.
    """

    RENAMED: ClassVar[dict[str, str | None]] = {"memory_s": None}

    structure_change: float = Field(default=0.4, ge=0, le=2)
    colour_change: float = Field(default=0.1, ge=0, le=1)
    surprise: float = Field(default=2.5, ge=1)
