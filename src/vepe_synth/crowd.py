"""Where everybody is at some instants of a performance: what cameras and furniture must respect."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from vepe_synth.scene import Performance
from vepe_synth.surfaces import Surface

INSTANTS = 5
_GAP_M = 0.22  # bodies reach about so far beyond their joints


@dataclass(frozen=True, eq=False)
class Crowd:
    """Joints of all people at `INSTANTS` even times, from the first frame to the last.

    `joints[t][p]` is (J, 3), metres.
    """

    joints: tuple[tuple[Float[np.ndarray, "J 3"], ...], ...]
    duration_s: float

    @property
    def middle(self) -> tuple[Float[np.ndarray, "J 3"], ...]:
        """Everybody at half time."""
        return self.joints[len(self.joints) // 2]

    def bounds(self) -> Float[np.ndarray, "2 3"]:
        """Lowest and highest x, y, z of all joints at all instants."""
        points = self._points()
        return np.stack([points.min(axis=0), points.max(axis=0)])

    def hits(self, surface: Surface) -> bool:
        """Whether somebody comes into the upright box around a surface, or nearly so."""
        corners = surface.corners.reshape(-1, 3)
        low, high = corners.min(axis=0) - _GAP_M, corners.max(axis=0) + _GAP_M
        points = self._points()
        inside: Bool[np.ndarray, "N"] = ((points > low) & (points < high)).all(axis=1)
        return bool(inside.any())

    def _points(self) -> Float[np.ndarray, "N 3"]:
        return np.concatenate([person for instant in self.joints for person in instant])


def crowd_of(performance: Performance) -> Crowd:
    """Where the performers are."""
    times = np.linspace(0, performance.duration_s, INSTANTS)
    joints = tuple(
        tuple(p.joint_world(float(t))[:, :3, 3].astype(np.float64) for p in performance.performers)
        for t in times
    )
    return Crowd(joints, performance.duration_s)
