"""What made-up people do: walk, run, wave, turn, gesture, as joint angles and ground paths.

Gaits follow the textbook phases (leg swings forward with a bent knee, arms swing against the
legs, speed fits the stride so that feet hardly slide); all numbers are our own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vepe.data.synthetic_motion import Angles, Body, Motion, place

ACTIONS = ("walk", "walk", "walk", "run", "wave", "turn", "gesture", "squat")
"""Actions that are drawn at random; walking three times as often."""


@dataclass(frozen=True)
class Plan:
    """What one figure does: where it is and where it heads in the middle of the clip."""

    action: str
    middle_m: tuple[float, float]
    yaw: float
    turn_rate: float


def _wave(
    rng: np.random.Generator, time_s: Float[np.ndarray, "T"], low: float, high: float
) -> Float[np.ndarray, "T"]:
    """A smooth random course between two bounds: two slow sines with random phases."""
    course = np.zeros_like(time_s)
    for weight, rate in ((0.65, rng.uniform(0.15, 0.6)), (0.35, rng.uniform(0.6, 1.3))):
        course += weight * np.sin(2 * np.pi * (rate * time_s + rng.random()))
    return low + (high - low) * 0.5 * (course + 1)


def _waves(
    rng: np.random.Generator, time_s: Float[np.ndarray, "T"], low: float, high: float
) -> Float[np.ndarray, "T 2"]:
    """Two independent courses, for left and right."""
    return np.stack([_wave(rng, time_s, low, high) for _ in range(2)], axis=1)


def _standing(rng: np.random.Generator, time_s: Float[np.ndarray, "T"]) -> dict[str, np.ndarray]:
    """Somebody who stands about and shifts a little."""
    stance = rng.uniform(0.02, 0.14)
    return {
        "lean": _wave(rng, time_s, -0.05, 0.15),
        "sway": _wave(rng, time_s, -0.08, 0.08),
        "twist": _wave(rng, time_s, -0.2, 0.2),
        "head_yaw": _wave(rng, time_s, -0.8, 0.8),
        "head_pitch": _wave(rng, time_s, -0.15, 0.4),
        "shoulder_flex": _waves(rng, time_s, -0.2, 0.4),
        "shoulder_abduct": _waves(rng, time_s, 0.08, 0.3),
        "arm_roll": _waves(rng, time_s, -0.7, 0.1),
        "elbow": _waves(rng, time_s, 0.1, 0.7),
        "hip_flex": _waves(rng, time_s, -0.05, 0.1),
        "hip_abduct": np.full((len(time_s), 2), stance),
        "knee": _waves(rng, time_s, 0.02, 0.15),
    }


def _gait(
    rng: np.random.Generator, body: Body, time_s: Float[np.ndarray, "T"], running: bool
) -> tuple[dict[str, np.ndarray], float]:
    """Angles of a walk or run, and its speed in metres a second."""
    swing = rng.uniform(0.6, 0.85) if running else rng.uniform(0.32, 0.5)
    cadence = (rng.uniform(1.25, 1.6) if running else rng.uniform(0.75, 1.05)) * (
        1.7 / body.height_m
    ) ** 0.5
    phase = 2 * np.pi * (cadence * time_s + rng.random())
    both = np.stack([phase, phase + np.pi], axis=1)
    arm = swing * rng.uniform(0.6, 1.1)
    lift = rng.uniform(1.3, 1.8) if running else rng.uniform(0.8, 1.1)
    angles = _standing(rng, time_s)
    angles |= {
        "lean": np.full_like(time_s, rng.uniform(0.12, 0.25) if running else rng.uniform(0, 0.08)),
        "sway": 0.03 * np.sin(phase),
        "twist": -0.15 * np.sin(phase),
        "head_yaw": _wave(rng, time_s, -0.4, 0.4),
        "shoulder_flex": -arm * np.sin(both),
        "shoulder_abduct": np.full_like(both, rng.uniform(0.06, 0.2)),
        "elbow": (rng.uniform(1.2, 1.6) if running else rng.uniform(0.15, 0.5))
        - 0.25 * np.sin(both),
        "hip_flex": 0.08 + swing * np.sin(both),
        "hip_abduct": np.full_like(both, 0.03),
        "knee": 0.08 + lift * np.clip(np.cos(both + 0.4), 0, None) ** 1.5,
    }
    if not running and rng.random() < 0.2:
        _carry(rng, angles)
    leg_m = (body.thigh + body.shank) * body.height_m
    return angles, 4 * leg_m * np.sin(swing) * cadence


def _carry(rng: np.random.Generator, angles: dict[str, np.ndarray]) -> None:
    """One or both forearms lifted, as with a bag or a telephone in hand."""
    sides = rng.random(2) < 0.6
    angles["elbow"][:, sides] = rng.uniform(1.2, 2.2)
    angles["shoulder_flex"][:, sides] = rng.uniform(0.0, 0.5)


def _angles(
    rng: np.random.Generator, body: Body, action: str, time_s: Float[np.ndarray, "T"]
) -> tuple[Angles, float]:
    """Angles of an action, and the speed it moves at."""
    speed = 0.0
    if action in ("walk", "run"):
        values, speed = _gait(rng, body, time_s, running=action == "run")
    else:
        values = _standing(rng, time_s)
    if action == "wave":
        side = int(rng.integers(2))
        rate = rng.uniform(1.2, 2.2)
        values["shoulder_abduct"][:, side] = rng.uniform(1.5, 2.6)
        values["shoulder_flex"][:, side] = rng.uniform(-0.1, 0.5)
        values["arm_roll"][:, side] = rng.uniform(1.2, 1.8)
        values["elbow"][:, side] = 0.8 + 0.6 * np.sin(2 * np.pi * (rate * time_s + rng.random()))
    elif action == "gesture":
        values["shoulder_abduct"] = _waves(rng, time_s, 0.1, 2.7)
        values["shoulder_flex"] = _waves(rng, time_s, -0.5, 1.6)
        values["arm_roll"] = _waves(rng, time_s, -0.8, 1.5)
        values["elbow"] = _waves(rng, time_s, 0.0, 2.3)
        values["sway"] = _wave(rng, time_s, -0.3, 0.3)
        values["hip_abduct"] = _waves(rng, time_s, 0.02, 0.5)
    elif action == "squat":
        depth = _wave(rng, time_s, 0.2, 1.6)[:, None]
        values["hip_flex"] = np.repeat(0.9 * depth, 2, axis=1)
        values["knee"] = np.repeat(1.15 * depth, 2, axis=1)
        values["lean"] = 0.35 * depth[:, 0]
        values["shoulder_flex"] = _waves(rng, time_s, 0.0, 1.5)
        values["hip_abduct"] = np.full((len(time_s), 2), rng.uniform(0.1, 0.4))
    return Angles(**values), speed


def perform(
    rng: np.random.Generator, body: Body, plan: Plan, time_s: Float[np.ndarray, "T"]
) -> Motion:
    """One figure's motion over the clip.

    The path is followed both ways from the middle of the clip, where it stands at
    `plan.middle_m` and heads along `plan.yaw`.
    """
    angles, speed = _angles(rng, body, plan.action, time_s)
    middle_s = 0.5 * (time_s[0] + time_s[-1])
    yaw = plan.yaw + plan.turn_rate * (time_s - middle_s)
    step = np.diff(time_s, prepend=time_s[:1])[:, None]
    heading = np.stack([np.sin(yaw), np.cos(yaw)], axis=1)
    path = np.cumsum(speed * step * heading, axis=0)
    at_middle = [np.interp(middle_s, time_s, path[:, axis]) for axis in range(2)]
    ground = path - at_middle + np.asarray(plan.middle_m)
    return place(body, angles, ground, yaw)


def random_plan(
    rng: np.random.Generator, middle_m: tuple[float, float], action: str | None = None
) -> Plan:
    """An action with a random heading; walkers mostly go across the picture."""
    chosen = action or str(rng.choice(ACTIONS))
    if chosen in ("walk", "run") and rng.random() < 0.6:
        yaw = rng.choice([-1, 1]) * np.pi / 2 + rng.normal(0, 0.35)
    else:
        yaw = rng.uniform(-np.pi, np.pi)
    rate = rng.uniform(0.8, 2.5) * rng.choice([-1, 1]) if chosen == "turn" else rng.normal(0, 0.25)
    return Plan(chosen, middle_m, float(yaw), float(rate))
