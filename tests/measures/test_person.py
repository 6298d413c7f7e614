"""A walking figure of known height and speed gives the measures that it was made with."""

from __future__ import annotations

import numpy as np
import pytest

from vepe.errors import VepeError
from vepe.measures.person import measure_person
from vepe.measures.proportions import body_height, segment_lengths
from vepe.skeleton import COCO17, Skeleton
from vepe.types import PersonTrack

HEIGHT_PX = 400.0
SHARES = {  # of the height, from the ground
    **{"nose": 0.93, "ear": 0.93, "eye": 0.94, "shoulder": 0.818, "elbow": 0.632, "wrist": 0.486},
    **{"hip": 0.53, "knee": 0.285, "ankle": 0.039},
}


def walker(frames: int = 50, speed_px: float = 100.0) -> PersonTrack:
    """Upright, glides to the right at `speed_px` a second, seen from the side."""
    times = np.arange(frames) / 25
    points = np.zeros((frames, 17, 2))
    for k, name in enumerate(COCO17.keypoints):
        part = name.split("_")[-1]
        points[:, k, 0] = 50 + speed_px * times + (20 if part == "nose" else 0)
        points[:, k, 1] = 450 - HEIGHT_PX * SHARES[part]
    return PersonTrack(
        7, COCO17, np.arange(frames), times, points, np.full((frames, 17), 0.9), np.ones(frames)
    )


def test_height_and_lengths() -> None:
    person = walker()
    assert body_height(person.keypoints_px, COCO17) == pytest.approx(HEIGHT_PX)
    lengths = segment_lengths(person.keypoints_px, COCO17)
    assert lengths["left_thigh"][0] == pytest.approx(0.245 * HEIGHT_PX)
    assert lengths["trunk"][3] == pytest.approx(0.288 * HEIGHT_PX)


def test_height_ignores_frames_in_which_the_person_bends() -> None:
    person = walker(60)
    person.keypoints_px[:40, :, 1] = 450 - 0.5 * (450 - person.keypoints_px[:40, :, 1])
    assert body_height(person.keypoints_px, COCO17) == pytest.approx(HEIGHT_PX)


def test_units_without_and_with_a_known_height() -> None:
    plain = measure_person(walker())
    assert plain.columns["body_speed_heights_per_s"] == pytest.approx(0.25)
    assert plain.columns["left_shank_of_height"] == pytest.approx(0.246)
    assert np.isnan(plain.metres_per_px)
    scaled = measure_person(walker(), height_m=1.8)
    assert scaled.metres_per_px == pytest.approx(1.8 / 400)
    assert scaled.columns["body_speed_m_per_s"] == pytest.approx(0.45)
    assert scaled.columns["trunk_m"] == pytest.approx(0.288 * 1.8)
    assert scaled.columns["left_knee_flexion_deg"] == pytest.approx(0.0, abs=1e-9)
    assert (scaled.columns["facing"] == 1).all()
    assert scaled.summary["steps"] == 0
    assert scaled.summary["height_px"] == 400.0


def test_low_scores_are_unknown() -> None:
    person = walker()
    person.keypoint_scores[:, COCO17.index("left_ankle")] = 0.2
    measures = measure_person(person)
    assert np.isnan(measures.columns["left_knee_flexion_deg"]).all()
    assert measures.summary["left_knee_flexion_deg_p95"] is None
    assert np.isfinite(measure_person(person, min_score=0.1).columns["left_knee_flexion_deg"]).all()


def test_other_skeletons_have_what_their_keypoints_allow() -> None:
    hand = Skeleton("hand", ("wrist", "thumb"), ((0, 1),), (), (0.1, 0.1))
    track = PersonTrack(
        1, hand, np.arange(3), np.arange(3) / 25, np.ones((3, 2, 2)), np.ones((3, 2)), np.ones(3)
    )
    measures = measure_person(track)
    assert set(measures.columns) == {"facing"}
    assert measures.summary["height_px"] is None


@pytest.mark.parametrize("height_m", [0.0, 180.0, -1.0, float("nan")])
def test_impossible_heights(height_m: float) -> None:
    with pytest.raises(VepeError, match=r"0\.3 to 3 metres"):
        measure_person(walker(), height_m=height_m)
