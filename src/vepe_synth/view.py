"""A pinhole camera at one instant. World: metres, y up. Pixels: from the top left corner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

NEAR_M, FAR_M = 0.15, 200.0


@dataclass(frozen=True, eq=False)
class View:
    """Pose and intrinsics of the camera.

    Attributes:
        eye: (3,) position in metres.
        rotation: (3, 3) rows are the camera's right, up and backward axes in the world.
        focal_px: focal length in pixels; square pixels, principal point at the image centre.
        width, height: image size in pixels.
    """

    eye: Float[np.ndarray, "3"]
    rotation: Float[np.ndarray, "3 3"]
    focal_px: float
    width: int
    height: int

    def project(
        self, points: Float[np.ndarray, "*N 3"]
    ) -> tuple[Float[np.ndarray, "*N 2"], Float[np.ndarray, "*N"]]:
        """Pixel positions, and depths along the optical axis in metres.

        Points behind the camera get negative depths and positions far outside the image.
        """
        local = (np.asarray(points, np.float64) - self.eye) @ self.rotation.T
        depth = -local[..., 2]
        scale = self.focal_px / np.maximum(depth, 1e-6)
        pixels = np.stack(
            [self.width / 2 + local[..., 0] * scale, self.height / 2 - local[..., 1] * scale], -1
        )
        return pixels, depth

    def clip_from_world(self) -> Float[np.ndarray, "4 4"]:
        """OpenGL's clip matrix, with y flipped so that the first row read back is the top row."""
        fx, fy = 2 * self.focal_px / self.width, 2 * self.focal_px / self.height
        a = (FAR_M + NEAR_M) / (NEAR_M - FAR_M)
        b = 2 * FAR_M * NEAR_M / (NEAR_M - FAR_M)
        clip_from_camera = np.array([[fx, 0, 0, 0], [0, -fy, 0, 0], [0, 0, a, b], [0, 0, -1, 0]])
        camera_from_world = np.eye(4)
        camera_from_world[:3, :3] = self.rotation
        camera_from_world[:3, 3] = -self.rotation @ self.eye
        return clip_from_camera @ camera_from_world

    def half_sizes(self) -> tuple[float, float]:
        """Half the width and height of the view at distance 1."""
        return self.width / 2 / self.focal_px, self.height / 2 / self.focal_px


def look_at(
    eye: Float[np.ndarray, "3"], target: Float[np.ndarray, "3"], roll: float = 0.0
) -> Float[np.ndarray, "3 3"]:
    """Rotation of a camera at `eye` with `target` at the image centre; `roll` in radians."""
    back = eye - target
    back = back / max(float(np.linalg.norm(back)), 1e-9)
    hint = np.array([0.0, 1.0, 0.0]) if abs(back[1]) < 0.999 else np.array([0.0, 0.0, -1.0])
    right = np.cross(hint, back)
    right /= np.linalg.norm(right)
    up = np.cross(back, right)
    c, s = np.cos(roll), np.sin(roll)
    return np.stack([c * right + s * up, c * up - s * right, back])
