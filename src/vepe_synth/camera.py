"""Random camera paths: position, what the camera follows, and how steady it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vepe_synth.scene import Crowd
from vepe_synth.view import View, look_at

_TRIES = 24
_PERSON_M = 1.7


@dataclass(frozen=True, eq=False)
class CameraPath:
    """A camera that moves over time; `at` returns its view at any instant.

    Attributes:
        width, height: image size in pixels.
        eye, target: (2, 3) start and end positions of linear paths, metres.
        half_angle: (2,) half the vertical field of view at start and end, radians.
        roll: rotation about the optical axis, radians.
        duration_s: time from start to end.
        shake: (2, 3, W) amplitude (radians), frequency (Hz), phase of W waves in yaw and pitch.
        follow: (N, 3) offsets of the target at N evenly spaced times: the path of a person.
    """

    width: int
    height: int
    eye: Float[np.ndarray, "2 3"]
    target: Float[np.ndarray, "2 3"]
    half_angle: Float[np.ndarray, "2"]
    roll: float
    duration_s: float
    shake: Float[np.ndarray, "2 3 W"]
    follow: Float[np.ndarray, "N 3"]

    def at(self, time_s: float) -> View:
        """The view at an instant."""
        share = float(np.clip(time_s / self.duration_s, 0, 1))
        eye = self.eye[0] + share * (self.eye[1] - self.eye[0])
        target = self.target[0] + share * (self.target[1] - self.target[0])
        place = share * (len(self.follow) - 1)
        first = min(int(place), len(self.follow) - 2)
        target = (
            target
            + self.follow[first]
            + (place - first) * (self.follow[first + 1] - self.follow[first])
        )
        amplitude, frequency, phase = self.shake[:, 0], self.shake[:, 1], self.shake[:, 2]
        yaw, pitch = (amplitude * np.sin(2 * np.pi * frequency * time_s + phase)).sum(axis=1)
        rotation = look_at(eye, target, self.roll)
        reach = float(np.linalg.norm(target - eye))
        target = target + reach * (np.tan(yaw) * rotation[0] + np.tan(pitch) * rotation[1])
        half = self.half_angle[0] + share * (self.half_angle[1] - self.half_angle[0])
        focal = self.height / 2 / np.tan(half)
        return View(eye, look_at(eye, target, self.roll), float(focal), self.width, self.height)


def plan_camera(rng: np.random.Generator, crowd: Crowd, width: int, height: int) -> CameraPath:
    """A random camera: the first of 24 proposals that frames the people well, else the best."""
    times = np.linspace(0, crowd.duration_s, len(crowd.joints))
    best, best_score = None, -1.0
    for _ in range(_TRIES):
        path = _propose(rng, crowd, width, height)
        views = [path.at(t) for t in times]
        score = float(np.mean([_framing(v, j) for v, j in zip(views, crowd.joints, strict=True)]))
        if score > best_score:
            best, best_score = path, score
        if best_score >= 0.5:
            break
    assert best is not None
    return best


def _framing(view: View, people: Sequence[np.ndarray]) -> float:
    """Fraction of people who are in the image and large enough; 0 if a person is at the lens."""
    seen = 0.0
    for joints in people:
        if np.linalg.norm(joints - view.eye, axis=1).min() < 0.6:
            return 0.0
        pixels, depth = view.project(joints)
        inside = (depth > 0.3) & (pixels > 0).all(-1) & (pixels < [view.width, view.height]).all(-1)
        size = np.ptp(pixels[inside], axis=0).max() if inside.any() else 0.0
        seen += bool(inside.mean() > 0.3 and size > 0.06 * view.height)
    return seen / len(people)


def _propose(rng: np.random.Generator, crowd: Crowd, width: int, height: int) -> CameraPath:
    duration = crowd.duration_s
    half = np.deg2rad(rng.uniform(11, 36))
    middle, spread = _focus(rng, crowd)
    # Height of a standing person relative to the image: from a sixth to more than all of it.
    share = float(np.exp(rng.uniform(np.log(0.17), np.log(1.6))))
    distance = _PERSON_M / (2 * np.tan(half) * share)
    if rng.random() < 0.45:  # everyone in view
        distance = max(distance, spread / (2 * np.tan(half) * min(width / height, 1.6)))
    distance = float(np.clip(distance, 1.4, 45.0))
    eye = middle + distance * _elevation(rng, distance, float(middle[1]))
    eye[1] = max(eye[1], 0.25)
    offset = rng.normal(0, 0.12, 3) * distance * np.tan(half)
    eyes, targets = np.stack([eye, eye]), np.stack([middle + offset, middle + offset])
    halves = np.array([half, half])
    if rng.random() < 0.25:  # the camera moves
        eyes[1] += rng.normal(0, 0.25, 3) * [1, 0.4, 1] * min(distance, 6) * duration
        eyes[1, 1] = max(eyes[1, 1], 0.25)
    if rng.random() < 0.25:  # it pans
        targets[1] += rng.normal(0, 0.3, 3) * [1, 0.3, 1] * distance * np.tan(half) * duration
    if rng.random() < 0.2:  # it zooms
        halves[1] *= np.exp(rng.normal(0, 0.25))
    return CameraPath(
        width=width,
        height=height,
        eye=eyes,
        target=targets,
        half_angle=halves,
        roll=float(rng.normal(0, 0.03)) if rng.random() < 0.85 else float(rng.normal(0, 0.2)),
        duration_s=duration,
        shake=_shake(rng),
        follow=_follow(rng, crowd),
    )


def _focus(rng: np.random.Generator, crowd: Crowd) -> tuple[np.ndarray, float]:
    """Point at the image centre halfway through the clip, and the width of the group in metres."""
    places = np.stack([p.mean(axis=0) for p in crowd.middle])
    low, high = places.min(axis=0), places.max(axis=0)
    spread = float(np.linalg.norm((high - low)[[0, 2]])) + 1.5
    middle = (low + high) / 2 if rng.random() < 0.6 else places[rng.integers(len(places))].copy()
    return middle, spread


def _elevation(rng: np.random.Generator, distance: float, target_height: float) -> np.ndarray:
    """Direction from target to camera: mostly eye level, often from above, rarely from below."""
    kind = rng.random()
    if kind < 0.55:
        angle = np.arcsin(np.clip((rng.uniform(1.0, 2.2) - target_height) / distance, -0.6, 0.9))
    elif kind < 0.65:
        angle = np.arcsin(np.clip((rng.uniform(0.3, 0.8) - target_height) / distance, -0.6, 0.9))
    elif kind < 0.92:
        angle = np.deg2rad(rng.uniform(10, 40))
    else:
        angle = np.deg2rad(rng.uniform(40, 80))
    azimuth = rng.uniform(0, 2 * np.pi)
    return np.array(
        [np.cos(angle) * np.sin(azimuth), np.sin(angle), np.cos(angle) * np.cos(azimuth)]
    )


def _shake(rng: np.random.Generator, waves: int = 5) -> np.ndarray:
    """Camera shake of a tripod, a hand, or a person who runs."""
    kind = rng.random()
    strength = 0.0 if kind < 0.45 else rng.uniform(0.001, 0.006) if kind < 0.92 else 0.012
    frequency = rng.uniform(0.3, 5.0, (2, waves))
    amplitude = strength * rng.uniform(0.3, 1.0, (2, waves)) / np.sqrt(frequency)
    return np.stack([amplitude, frequency, rng.uniform(0, 2 * np.pi, (2, waves))], axis=1)


def _follow(rng: np.random.Generator, crowd: Crowd) -> np.ndarray:
    """Path of the group or of one person relative to half time; zeros for a camera that stays."""
    if rng.random() < 0.6:
        return np.zeros((2, 3))
    who = int(rng.integers(len(crowd.middle))) if rng.random() < 0.5 else None
    way = np.stack(
        [(np.concatenate(p) if who is None else p[who]).mean(axis=0) for p in crowd.joints]
    )
    return way - way[len(way) // 2]
