"""Settings of the tracker, of smoothing and of shot detection.

Times are in seconds, never in frames, so that the same values serve 10 and 60 frames a second.
Lengths are in person sizes: one size is the diagonal of the box that a person fills (see
`vepe.tracking.people.person_sizes`), so that the same values serve near and far people.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SmoothMode = Literal["off", "causal", "offline"]
"""Whether and how keypoints are smoothed: not at all, with the past alone, or with both sides."""


class TrackerSettings(BaseModel):
    """How people become tracks.

    Attributes:
        birth_score: a person that no track explains starts one from this score on (0..1).
        confident_score: people from this score on are matched first, and may revive lost tracks.
        weak_score: people below `confident_score` may only continue a track that was seen in the
            last `weak_gap_s` seconds; below this score they are left out altogether.
        confirm_hits: matches before a track gets its id; 1 lets a single frame be a track.
        max_gap_s: a track unseen for longer is forgotten; its id never returns.
        place_gap_s: a track unseen for longer is found by identity alone: wherever it was lost,
            somebody else may stand there by now.
        weak_gap_s: for so long after its last sighting a track takes weak people, in seconds; after
            that it counts as lost.
        identity_weight, overlap_weight, motion_weight: shares of the three parts of the affinity;
            a part that is not known (no embeddings) leaves its share to the others.
        match_affinity: pairs under this affinity (0..1) are never matched.
        lost_discount: share of the affinity that a track loses by `max_gap_s` unseen seconds, so
            that a track in view wins over one out of view.
        gate_sizes, gate_sizes_per_s: how far the person may lie from where the track was expected,
            in person sizes, at once and for every second since the track was seen.
        overlap_sizes, overlap_sizes_per_s: falloff (one sigma) of the keypoint overlap, likewise.
        motion_sizes, motion_sizes_per_s: falloff of the displacement of the whole person, likewise.
        size_ratio: people whose size differs from the track's by more than this factor are gated.
        identity_temperature: divisor of cosine similarities in the bi-directional softmax.
        stranger_similarity: cosine at which a person is as likely a stranger as the track's own.
        lost_similarity: tracks unseen for more than `weak_gap_s` need at least this cosine.
        revive_similarity: cosine from which identity alone may revive a track, out of reach of
            overlap and motion; the only way to continue over a shot cut.
        revive_margin: by how much that cosine must beat those of the person with all other tracks
            and of the track with all other people; who looks like several is not revived.
        revive_sizes_per_s: how fast such a person may have moved (not asked over a shot cut).
        identity_memory_s: time constant of the running mean of a track's embeddings.
        velocity_memory_s: time constant of the estimate of velocity.
        velocity_damping_s: time constant with which an unseen track comes to rest.
        keypoint_memory_s: time constant with which an unseen keypoint loses its weight.
        keypoint_inertia: 0 takes each sighting as it is; more holds on to what was expected.
        double_overlap, double_similarity: whoever overlaps a better person by this much, with this
            cosine, is the same body seen twice and left out, lest a lost track goes on with it.
        duplicate_overlap: no track starts on a person that overlaps a tracked one by this much.
        min_size_px: people count as at least this large; the size of a single-keypoint skeleton.
        max_lost_tracks: so many unseen tracks are remembered at most, the latest seen first.

    The defaults come from sweeps over 30 annotated real videos (6,340 poses) with seeded noise:
    keypoint jitter, hidden people and joints, false and doubled people, with none, weak and strong
    identity embeddings, at 25, 12.5 and 8.3 frames a second; chosen by the mean of MOTA and IDF1.
    `pytest -s tests/tracking/test_real_tracks.py` prints what they reach.
    Scores belong to a model: retune `birth_score` and its two neighbours with the model at hand.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    birth_score: float = Field(default=0.45, ge=0, le=1)
    confident_score: float = Field(default=0.35, ge=0, le=1)
    weak_score: float = Field(default=0.1, ge=0, le=1)
    confirm_hits: int = Field(default=1, ge=1)
    max_gap_s: float = Field(default=2.0, ge=0)
    place_gap_s: float = Field(default=2.0, ge=0)
    weak_gap_s: float = Field(default=0.25, ge=0)

    identity_weight: float = Field(default=0.8, ge=0)
    overlap_weight: float = Field(default=0.4, ge=0)
    motion_weight: float = Field(default=0.2, ge=0)
    match_affinity: float = Field(default=0.2, ge=0, le=1)
    lost_discount: float = Field(default=0.5, ge=0, le=1)

    gate_sizes: float = Field(default=0.4, gt=0)
    gate_sizes_per_s: float = Field(default=1.0, ge=0)
    overlap_sizes: float = Field(default=0.16, gt=0)
    overlap_sizes_per_s: float = Field(default=0.0, ge=0)
    motion_sizes: float = Field(default=0.12, gt=0)
    motion_sizes_per_s: float = Field(default=0.1, ge=0)
    size_ratio: float = Field(default=4.0, gt=1)

    identity_temperature: float = Field(default=0.1, gt=0)
    stranger_similarity: float = Field(default=0.4, ge=-1, le=1)
    lost_similarity: float = Field(default=0.2, ge=-1, le=1)
    revive_similarity: float = Field(default=0.6, ge=-1, le=1)
    revive_margin: float = Field(default=0.0, ge=0, le=2)
    revive_sizes_per_s: float = Field(default=3.0, ge=0)
    identity_memory_s: float = Field(default=2.0, gt=0)

    velocity_memory_s: float = Field(default=0.4, gt=0)
    velocity_damping_s: float = Field(default=0.3, gt=0)
    keypoint_memory_s: float = Field(default=0.5, gt=0)
    keypoint_inertia: float = Field(default=0.3, ge=0)

    double_overlap: float = Field(default=0.8, gt=0)
    double_similarity: float = Field(default=0.6, ge=-1, le=1)
    duplicate_overlap: float = Field(default=0.6, gt=0, le=1)
    min_size_px: float = Field(default=12.0, gt=0)
    max_lost_tracks: int = Field(default=100, ge=0)


class SmoothingSettings(BaseModel):
    """How the keypoints of a track are smoothed over time.

    Attributes:
        min_cutoff_hz: One-Euro cutoff for a keypoint at rest; lower is calmer.
        speed_coefficient: how much the cutoff rises with speed (Hz per person size a second);
            higher follows quick motion with less lag.
        speed_cutoff_hz: cutoff of the speed estimate itself.
        reset_gap_s: after so many unseen seconds smoothing starts anew.
        reset_sizes, reset_sizes_per_s: it also does where a person jumps by more than this many
            person sizes plus so many for every second (a shot cut, an id taken over).
        half_window_s: offline, how far the local fit looks to either side.
        degree: offline, degree of the local polynomial (1 or 2).
        outlier_sizes: offline, keypoints that lie further from a first fit than this many person
            sizes no longer count in the second.
        fill_gap_s: offline, people unseen inside a track for at most this long are filled in.
        fill_confidence: factor on the scores of what was filled in.
        min_weight: weight of a keypoint of confidence 0, next to 1 for confidence 1.

    The defaults come from sweeps over real annotated motion shaken by 1, 2 and 4% of the person's
    size, at 25 and 12.5 frames a second: the calmest that do not cost accuracy at 1% (causal: 6%
    more error there, 19% less at 2%). `pytest -s tests/tracking/test_smoothing.py` prints a table.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_cutoff_hz: float = Field(default=2.0, gt=0)
    speed_coefficient: float = Field(default=4.0, ge=0)
    speed_cutoff_hz: float = Field(default=1.0, gt=0)
    reset_gap_s: float = Field(default=0.5, gt=0)
    reset_sizes: float = Field(default=0.3, gt=0)
    reset_sizes_per_s: float = Field(default=4.0, ge=0)

    half_window_s: float = Field(default=0.25, gt=0)
    degree: Literal[1, 2] = 2
    outlier_sizes: float = Field(default=0.12, gt=0)
    fill_gap_s: float = Field(default=0.4, ge=0)
    fill_confidence: float = Field(default=0.5, ge=0, le=1)
    min_weight: float = Field(default=0.05, gt=0, le=1)


class ShotSettings(BaseModel):
    """When two frames are taken to belong to two shots.

    Attributes:
        structure_change: 1 minus the correlation of two thumbnails, shifted for the best fit (0
            same, 1 unrelated, 2 inverted), from which a cut is possible. Brightness and contrast do
            not enter, so a flash is no cut.
        colour_change: distance of the two colour histograms (0..1) from which a cut is possible.
        surprise: a cut also stands out from the change usual in the last frames by this factor, so
            that fast camera motion is no cut.
        memory_s: time constant of what is usual.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    structure_change: float = Field(default=0.4, ge=0, le=2)
    colour_change: float = Field(default=0.1, ge=0, le=1)
    surprise: float = Field(default=2.5, ge=1)
    memory_s: float = Field(default=0.5, gt=0)
