"""Made-up bodies are put together rightly: sides, bones, feet on the ground, gait."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from vepe.data.synthetic_actions import ACTIONS, Plan, perform, random_plan
from vepe.data.synthetic_motion import JOINT_INDEX, JOINTS, Angles, Body, Motion, place
from vepe.skeleton import COCO17, CROWDPOSE14, POSETRACK15, Skeleton

BODY = Body(1.75, 1.0, 0.13, 0.245, 0.245, 0.29, 0.172, 0.148, 0.108, 0.055)
TIME = np.arange(60) / 25
BONES = [
    (f"{side}_{a}", f"{side}_{b}")
    for side in ("left", "right")
    for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
] + [("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"), ("nose", "head_top")]


def joint(motion: Motion, name: str) -> np.ndarray:
    return motion.joints_m[:, JOINT_INDEX[name]]


def standing(yaw: float, **angles: tuple[float, float]) -> Motion:
    """One frame of a straight body; `angles` gives left and right."""
    pairs = ("shoulder", "arm", "elbow", "hip", "knee")
    values = {
        f.name: np.zeros((1, 2)) if f.name.startswith(pairs) else np.zeros(1)
        for f in fields(Angles)
    }
    values |= {name: np.asarray([pair]) for name, pair in angles.items()}
    return place(BODY, Angles(**values), np.array([[0.0, -5.0]]), np.array([yaw]))


@pytest.mark.parametrize("skeleton", [POSETRACK15, COCO17, CROWDPOSE14], ids=lambda s: s.name)
def test_every_bundled_skeleton_is_covered(skeleton: Skeleton) -> None:
    assert set(skeleton.keypoints) <= set(JOINTS)


@pytest.mark.parametrize("part", ["shoulder", "elbow", "wrist", "hip", "knee", "ankle", "eye"])
def test_left_is_the_bodys_own_left(part: str) -> None:
    front, back, rightward = standing(0.0), standing(np.pi), standing(np.pi / 2)
    assert joint(front, f"left_{part}")[0, 0] > joint(front, f"right_{part}")[0, 0]
    assert joint(back, f"left_{part}")[0, 0] < joint(back, f"right_{part}")[0, 0]
    # Who walks to the picture's right shows the right side to the camera, which looks along -Z.
    assert joint(rightward, f"right_{part}")[0, 2] > joint(rightward, f"left_{part}")[0, 2]


def test_mirrored_angles_give_a_mirrored_body() -> None:
    names = ("shoulder_flex", "shoulder_abduct", "arm_roll", "elbow", "hip_flex", "hip_abduct")
    values = {name: (0.3 + 0.2 * i, -0.1 + 0.3 * i) for i, name in enumerate(names)}
    values["knee"] = (0.9, 0.2)
    plain = standing(0.0, **values)
    mirrored = standing(0.0, **{name: (b, a) for name, (a, b) in values.items()})
    order = POSETRACK15.flip_order()
    index = [JOINT_INDEX[name] for name in POSETRACK15.keypoints]
    expected = plain.joints_m[:, index][:, order] * np.array([-1.0, 1.0, 1.0])
    np.testing.assert_allclose(mirrored.joints_m[:, index], expected, atol=1e-9)


def test_angles_bend_limbs_the_way_bodies_do() -> None:
    straight = standing(0.0)
    kicked = standing(0.0, hip_flex=(0.8, 0.0))
    assert joint(kicked, "left_knee")[0, 2] > joint(straight, "left_knee")[0, 2] + 0.2
    bent = standing(0.0, knee=(0.0, 1.2))
    assert joint(bent, "right_ankle")[0, 2] < joint(straight, "right_ankle")[0, 2] - 0.2
    curled = standing(0.0, elbow=(1.2, 0.0))
    assert joint(curled, "left_wrist")[0, 2] > joint(straight, "left_wrist")[0, 2] + 0.15
    raised = standing(0.0, shoulder_abduct=(0.0, 2.5))
    assert joint(raised, "right_wrist")[0, 1] > joint(raised, "right_shoulder")[0, 1]
    assert joint(raised, "right_wrist")[0, 0] < joint(raised, "right_shoulder")[0, 0]


@pytest.mark.parametrize("action", sorted(set(ACTIONS)))
def test_bones_keep_their_length_and_feet_the_ground(action: str, rng: np.random.Generator) -> None:
    for _ in range(5):
        body = Body.random(rng)
        motion = perform(rng, body, random_plan(rng, (0.0, -6.0), action), TIME)
        for a, b in BONES:
            length = np.linalg.norm(joint(motion, a) - joint(motion, b), axis=1)
            np.testing.assert_allclose(length, length[0], rtol=1e-9)
        feet = [JOINT_INDEX[f"{s}_{p}"] for s in ("left", "right") for p in ("heel", "toe")]
        lowest = motion.joints_m[:, feet, 1].min(axis=1)
        np.testing.assert_allclose(lowest, 0.018 * body.height_m, rtol=1e-9)
        assert motion.joints_m[:, :, 1].max() < 1.6 * body.height_m


def test_proportions_are_those_of_people() -> None:
    motion = standing(0.0)
    assert joint(motion, "head_top")[0, 1] == pytest.approx(1.75, rel=0.05)
    assert joint(motion, "left_hip")[0, 1] == pytest.approx(0.53 * 1.75, rel=0.05)
    assert joint(motion, "left_wrist")[0, 1] == pytest.approx(0.49 * 1.75, rel=0.08)
    assert joint(motion, "nose")[0, 2] > joint(motion, "head_top")[0, 2]


@pytest.mark.parametrize("seed", range(4))
def test_walkers_walk_forward_on_feet_that_hardly_slide(seed: int) -> None:
    rng = np.random.default_rng(seed)
    motion = perform(rng, BODY, Plan("walk", (0.0, -6.0), np.pi / 2, 0.0), TIME)
    pelvis = joint(motion, "pelvis")
    speed = (pelvis[-1, 0] - pelvis[0, 0]) / TIME[-1]
    assert 0.7 < speed < 2.2
    ankles = np.stack([joint(motion, "left_ankle"), joint(motion, "right_ankle")])
    slide = np.abs(np.diff(ankles[..., 0], axis=1)) * 25
    # At every moment one foot stands: it moves far more slowly than the body.
    assert np.median(slide.min(axis=0)) < 0.4 * speed
    phase = ankles[0, :, 0] - ankles[1, :, 0]
    assert phase.max() > 0.25
    assert phase.min() < -0.25


def test_the_plan_is_met_in_the_middle_of_the_clip(rng: np.random.Generator) -> None:
    plan = Plan("walk", (1.5, -7.0), 0.4, 0.3)
    motion = perform(rng, BODY, plan, np.arange(51) / 25)
    np.testing.assert_allclose(joint(motion, "pelvis")[25, [0, 2]], plan.middle_m, atol=1e-9)
    moved = motion.shifted(np.array([0.0, 0.0, -2.0]))
    np.testing.assert_allclose(moved.joints_m[..., 2], motion.joints_m[..., 2] - 2.0)
