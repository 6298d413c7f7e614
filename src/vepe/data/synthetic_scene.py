"""The made-up world around the people: a camera, a textured background, posts in the foreground.

The camera stands still but may turn and zoom, so one painted canvas and a homography give an
exact background for every frame. Everything here is our own; NumPy and OpenCV only.
Dimension letters: T frames, H W picture size.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

_MARGIN = 1.5
"""The canvas is this much larger than the picture, so that the camera can look around."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera above the origin that looks along -Z, with a course of small turns.

    Attributes:
        height_m: height above the ground.
        focal_px: (T,) focal length of every frame.
        rotations: (T, 3, 3) world axes to camera axes (x right, y down, z away).
        reference: (3, 3) the rotation that the background is painted for.
        size: height and width of the picture.
    """

    height_m: float
    focal_px: Float[np.ndarray, "T"]
    rotations: Float[np.ndarray, "T 3 3"]
    reference: Float[np.ndarray, "3 3"]
    size: tuple[int, int]

    def project(
        self, points_m: Float[np.ndarray, "T M 3"]
    ) -> tuple[Float[np.ndarray, "T M 2"], Float[np.ndarray, "T M"]]:
        """Picture coordinates in pixels, and the depth in metres along the view."""
        seen = (points_m - np.array([0.0, self.height_m, 0.0])) @ np.swapaxes(self.rotations, 1, 2)
        depth = seen[..., 2]
        scale = (self.focal_px[:, None] / np.maximum(depth, 0.05))[..., None]
        height, width = self.size
        return seen[..., :2] * scale + np.array([width / 2, height / 2]), depth

    def canvas_to_picture(self, frame: int) -> Float[np.ndarray, "3 3"]:
        """Homography from the painted canvas to the picture of one frame."""
        height, width = self.size
        canvas = _intrinsics(float(self.focal_px.mean()), height * _MARGIN, width * _MARGIN)
        picture = _intrinsics(float(self.focal_px[frame]), height, width)
        return picture @ self.rotations[frame] @ self.reference.T @ np.linalg.inv(canvas)


def _intrinsics(focal_px: float, height: float, width: float) -> Float[np.ndarray, "3 3"]:
    return np.array([[focal_px, 0, width / 2], [0, focal_px, height / 2], [0, 0, 1.0]])


def _rotation(pan: float, pitch: float, roll: float) -> Float[np.ndarray, "3 3"]:
    """World axes (Y up, the camera looks along -Z) to camera axes; pitch looks down."""
    base = np.diag([1.0, -1.0, -1.0])
    cos, sin = np.cos(pan), np.sin(pan)
    turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    cos, sin = np.cos(pitch), np.sin(pitch)
    nod = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    cos, sin = np.cos(roll), np.sin(roll)
    tilt = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    return tilt @ nod @ turn @ base


def random_camera(
    rng: np.random.Generator, time_s: Float[np.ndarray, "T"], size: tuple[int, int], moving: bool
) -> tuple[Camera, float]:
    """A camera, and the distance in metres at which a grown person fills half the height."""
    height_m = rng.uniform(0.8, 2.6)
    focal = rng.uniform(0.9, 1.6) * max(size)
    distance = focal * 1.7 / (0.5 * size[0])
    pitch = np.arctan2(height_m - 0.9, distance) + rng.normal(0, 0.02)
    roll = rng.normal(0, 0.03)
    offsets = np.zeros((len(time_s), 3))
    zoom = np.ones(len(time_s))
    if moving:
        strength = rng.uniform(0.01, 0.07) * np.array([1.0, 0.4, 0.3])
        for rate in rng.uniform(0.1, 1.2, 3):
            phase = rng.random(3)
            offsets += strength / 2 * np.sin(2 * np.pi * (rate * time_s[:, None] + phase))
        zoom = 1 + rng.uniform(-0.06, 0.06) * np.sin(2 * np.pi * 0.3 * time_s)
    rotations = np.stack([_rotation(a, pitch + b, roll + c) for a, b, c in offsets])
    return Camera(height_m, focal * zoom, rotations, _rotation(0.0, pitch, roll), size), distance


def random_colour(rng: np.random.Generator) -> Float[np.ndarray, "3"]:
    """A colour of 0..255, mostly muted as cloth and walls are."""
    grey = rng.uniform(20, 235)
    return np.clip(grey + rng.normal(0, rng.choice([8, 25, 60]), 3), 5, 250)


def noise(
    rng: np.random.Generator, height: int, width: int, octaves: int = 4
) -> Float[np.ndarray, "H W"]:
    """Cloudy noise of about -1..1: random grids of growing fineness, summed."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        cells = 3 * 2**octave
        grid = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) / 1.6**octave
    return total / 2


def cloth(rng: np.random.Generator, height: int, width: int) -> UInt8[np.ndarray, "H W 3"]:
    """A texture of one or two colours: plain, stripes, checks, dots or blotches, with noise."""
    first, second = random_colour(rng), random_colour(rng)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    kind = rng.integers(6)
    period = rng.uniform(0.12, 0.4) * min(height, width)
    if kind == 0:
        pattern = np.sin(2 * np.pi * y / period) > 0
    elif kind == 1:
        pattern = np.sin(2 * np.pi * x / period) > 0.3
    elif kind == 2:
        pattern = (np.sin(2 * np.pi * y / period) > 0) ^ (np.sin(2 * np.pi * x / period) > 0)
    elif kind == 3:
        pattern = noise(rng, height, width) > rng.uniform(-0.1, 0.3)
    else:
        pattern = np.zeros((height, width), bool)
    picture = np.where(pattern[..., None], second, first)
    picture = picture + rng.uniform(3, 18) * noise(rng, height, width, 5)[..., None]
    return np.clip(picture, 0, 255).astype(np.uint8)


def paint_canvas(rng: np.random.Generator, camera: Camera) -> UInt8[np.ndarray, "H W 3"]:
    """A background: wall or sky, mostly a floor in perspective, and things standing about."""
    height, width = (round(side * _MARGIN) for side in camera.size)
    # Painted coarsely: walls and skies are out of focus.
    coarse = (max(2, height // 2), max(2, width // 2))
    canvas = cloth(rng, *coarse).astype(np.float32)
    ramp = np.linspace(-1, 1, coarse[0], dtype=np.float32)[:, None, None]
    canvas += rng.uniform(-40, 40) * ramp + rng.uniform(5, 30) * noise(rng, *coarse)[..., None]
    picture = cv2.resize(np.clip(canvas, 0, 255).astype(np.uint8), (width, height))
    things = int(rng.integers(3, 16))
    for _ in range(things // 2):
        _paint_thing(rng, picture)
    if rng.random() < 0.75:
        _paint_floor(rng, camera, picture)
    for _ in range(things - things // 2):
        _paint_thing(rng, picture)
    if rng.random() < 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.6, 2.5))
    return picture


def _paint_floor(
    rng: np.random.Generator, camera: Camera, picture: UInt8[np.ndarray, "H W 3"]
) -> None:
    """Covers everything below the horizon with a tiled floor, seen in perspective."""
    height, width = picture.shape[:2]
    tile = cloth(rng, 128, 128)
    metres = rng.uniform(1.0, 4.0) / 128
    intrinsics = _intrinsics(float(camera.focal_px.mean()), height, width)
    # Tile pixels (u, v) lie at X = u * metres, Z = -v * metres on the ground.
    ground = np.array([[metres, 0, 0], [0, 0, -camera.height_m], [0, -metres, 0]])
    homography = intrinsics @ camera.reference @ ground
    floor = cv2.warpPerspective(
        tile, homography, (width, height), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_WRAP
    )
    # How steeply the ray of a pixel goes down is linear in the pixel.
    slope = -np.linalg.inv(intrinsics).T @ camera.reference[:, 1]
    rows, columns = np.ogrid[:height, :width]
    down = (slope[0] * (columns + 0.5) + slope[1] * (rows + 0.5) + slope[2]).astype(np.float32)
    # Towards the horizon the tiles melt into one colour, which hides their aliasing.
    sharp = np.clip(down * 6 - 0.1, 0, 1)
    plain = np.full_like(picture, tile.mean(axis=(0, 1)))
    mixed = cv2.blendLinear(floor, plain, sharp, 1 - sharp)
    cv2.copyTo(mixed, (down > 0).astype(np.uint8), picture)


def _paint_thing(rng: np.random.Generator, picture: UInt8[np.ndarray, "H W 3"]) -> None:
    """One rectangle, ellipse, post or polygon, plain or of cloth."""
    height, width = picture.shape[:2]
    textured = rng.random() < 0.4
    target = np.zeros((height, width), np.uint8) if textured else picture
    colour = (255.0, 0.0, 0.0) if textured else tuple(random_colour(rng).tolist())
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    a, b = rng.uniform(0.02, 0.22, 2) * width
    kind = rng.integers(4)
    if kind == 0:
        cv2.rectangle(target, (int(x - a), int(y - b)), (int(x + a), int(y + b)), colour, -1)
    elif kind == 1:
        cv2.ellipse(target, ((x, y), (a, b), rng.uniform(0, 180)), colour, -1, cv2.LINE_AA)
    elif kind == 2:
        tip = (int(x + rng.normal(0, a)), int(y + b * 2))
        thickness = int(rng.uniform(2, 0.05 * width + 3))
        cv2.line(target, (int(x), int(y - b)), tip, colour, thickness, cv2.LINE_AA)
    else:
        corners = np.array([x, y]) + rng.uniform(-1, 1, (5, 2)) * (a, b)
        cv2.fillConvexPoly(target, cv2.convexHull(corners.astype(np.int32)), colour, cv2.LINE_AA)
    if textured:
        texture = cv2.resize(cloth(rng, 48, 48), (width, height))
        cv2.copyTo(texture, target, picture)


@dataclass(frozen=True)
class Post:
    """Something flat that stands in front: its corners in space and its texture."""

    corners_m: Float[np.ndarray, "4 3"]
    texture: UInt8[np.ndarray, "H W 3"]
    depth_m: float


def random_post(rng: np.random.Generator, distance_m: float, half_view_m: float) -> Post:
    """A post, box or low wall that may cover parts of people behind it."""
    depth = distance_m * rng.uniform(0.45, 0.9)
    x = rng.uniform(-0.8, 0.8) * half_view_m * depth / distance_m
    low = rng.random() < 0.4
    half, top = (
        (rng.uniform(0.3, 1.2), rng.uniform(0.4, 0.9)) if low else (rng.uniform(0.05, 0.2), 3.5)
    )
    corners = [
        (x - half, top, -depth),
        (x + half, top, -depth),
        (x + half, -0.3, -depth),
        (x - half, -0.3, -depth),
    ]
    return Post(np.asarray(corners), cloth(rng, 64, 64), float(depth))
