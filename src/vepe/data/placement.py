"""Placements: affine maps from a picture to a region of the canvas, and how they move in time.

One draw of parameters serves all frames of a clip. Pictures, keypoints, boxes and areas are moved
by the same matrix, composed once, so that every pixel is resampled only once.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from vepe.data.clip import UNLABELLED, People
from vepe.skeleton import Skeleton

MIN_LABELLED = 2
"""People with fewer labelled keypoints in view become ignore boxes."""
MIN_SIDE_PX = 12.0
"""People whose longer side is smaller on the canvas become ignore boxes."""


@dataclass(frozen=True)
class Region:
    """A rectangle of the canvas in whole pixels."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Motion:
    """A smooth path of the camera: shift, turn and zoom as sums of slow waves.

    Attributes:
        shift_px: (2,) amplitude of the drift across the clip.
        turn_rad, zoom: amplitudes of rotation and of log scale.
        phase: where on the wave the clip starts.
        speed: radians of the wave a second.
    """

    shift_px: Float[np.ndarray, "2"]
    turn_rad: float
    zoom: float
    phase: float
    speed: float

    def at(self, time_s: float, centre: Float[np.ndarray, "2"]) -> Float[np.ndarray, "3 3"]:
        """The motion since time 0, around `centre`."""
        wave = np.sin(self.phase + self.speed * time_s) - np.sin(self.phase)
        angle, scale = self.turn_rad * wave, float(np.exp(self.zoom * wave))
        cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
        linear = np.array([[cos, -sin], [sin, cos]])
        result = np.eye(3)
        result[:2, :2] = linear
        result[:2, 2] = centre - linear @ centre + self.shift_px * wave
        return result


def draw_motion(rng: np.random.Generator, side_px: float, strength: float) -> Motion:
    """A random motion; `strength` 0 keeps still, 1 drifts by some 8 % of `side_px` (one sigma)."""
    return Motion(
        shift_px=rng.normal(0, 0.08 * side_px * strength, 2),
        turn_rad=float(rng.normal(0, 0.1 * strength)),
        zoom=float(rng.normal(0, 0.1 * strength)),
        phase=float(rng.uniform(0, 2 * np.pi)),
        speed=float(rng.uniform(1.0, 8.0)),
    )


def draw_matrix(
    rng: np.random.Generator,
    people: People,
    source_wh: tuple[int, int],
    region: Region,
    *,
    stretched: bool,
    sizes: tuple[float, float] = (0.3, 1.1),
) -> Float[np.ndarray, "3 3"]:
    """A random placement: scale, turn, aspect and shift.

    The scale gives one of the people (or the picture, where nobody is in it) a longer side drawn
    log-uniformly from `sizes`, in units of the region's shorter side, and puts it into the region.
    """
    side = min(region.width, region.height)
    width, height = source_wh
    if len(people):
        box = people.boxes_xyxy_px[rng.integers(len(people))].astype(np.float64)
    else:
        box = np.array([0, 0, width, height], np.float64)
    centre, extent = (box[:2] + box[2:]) / 2, max(*(box[2:] - box[:2]), 8.0)
    low, high = sizes if len(people) else (1.0, 2.0)
    scale = side * np.exp(rng.uniform(np.log(low), np.log(high))) / extent
    # The picture should not leave most of its region empty; and blowing it up shows nothing new.
    fits = np.log([region.width / width, region.height / height])
    scale = min(max(scale, 0.9 * np.exp(rng.uniform(fits.min(), fits.max()))), 2.5)
    squeeze = rng.uniform(np.log(0.75), np.log(1.6)) if stretched else rng.normal(0, 0.08)
    aspect = float(np.exp(squeeze))
    angle = rng.normal(0, 0.2) if rng.random() < 0.6 else rng.normal(0, 0.03)
    cos, sin = np.cos(angle), np.sin(angle)
    stretch = np.array([aspect**0.5, aspect**-0.5])
    linear = scale * np.array([[cos, -sin], [sin, cos]]) @ np.diag(stretch)
    half = 0.5 * extent * scale
    corner = np.array([region.x, region.y], np.float64)
    room = np.array([region.width, region.height], np.float64)
    target = corner + np.array([_between(rng, half, room[0]), _between(rng, half, room[1])])
    # Slide the picture so that it covers as much of the region as it can.
    drawn = np.array([width, height]) * stretch * scale
    middle = target + linear @ (np.array([width, height]) / 2 - centre)
    slack = np.abs(drawn - room) / 2
    centred = corner + room / 2
    result = np.eye(3)
    result[:2, :2] = linear
    result[:2, 2] = (
        target - linear @ centre + np.clip(middle, centred - slack, centred + slack) - middle
    )
    return result


def draw_placement(
    rng: np.random.Generator,
    boxes_px: Float[np.ndarray, "N 4"],
    source_wh: tuple[int, int],
    canvas_wh: tuple[int, int],
    *,
    stretched: bool = False,
    sizes: tuple[float, float] = (0.3, 1.1),
    turn_rad: float = 0.2,
    aspect: float = 0.08,
    flip: float = 0.0,
) -> Float[np.ndarray, "3 3"]:
    """A random map from a picture to a canvas: mirror, scale, turn, aspect and shift.

    The scale gives one of the people (or the picture, where nobody is in it) a longer side drawn
    log-uniformly from `sizes`, in units of the canvas's shorter side, and puts it onto the canvas.

    Args:
        rng: of everything.
        boxes_px: people in the picture.
        source_wh, canvas_wh: sizes in pixels.
        stretched: the picture was squeezed to a square, so that its aspect is unknown.
        sizes: see above.
        turn_rad: one sigma of the rotation; two of five pictures hardly turn.
        aspect: one sigma of the log of width over height.
        flip: chance of a mirror (a matrix with a negative determinant).
    """
    room, picture = np.array(canvas_wh, np.float64), np.array(source_wh, np.float64)
    box = np.concatenate([np.zeros(2), picture])
    if len(boxes_px):
        box = boxes_px[rng.integers(len(boxes_px))].astype(np.float64)
    centre, extent = (box[:2] + box[2:]) / 2, max(*(box[2:] - box[:2]), 8.0)
    low, high = sizes if len(boxes_px) else (1.0, 2.0)
    scale = min(canvas_wh) * np.exp(rng.uniform(np.log(low), np.log(high))) / extent
    # The picture should not leave most of the canvas empty; and blowing it up shows nothing new.
    fits = np.log(room / picture)
    scale = min(max(scale, 0.9 * np.exp(rng.uniform(fits.min(), fits.max()))), 2.5)
    squeeze = rng.uniform(np.log(0.75), np.log(1.6)) if stretched else rng.normal(0, aspect)
    stretch = np.exp(np.array([0.5, -0.5]) * squeeze)
    angle = rng.normal(0, turn_rad if rng.random() < 0.6 else 0.15 * turn_rad)
    cos, sin = np.cos(angle), np.sin(angle)
    linear = scale * np.array([[cos, -sin], [sin, cos]]) @ np.diag(stretch)
    if rng.random() < flip:
        linear = linear @ np.diag([-1.0, 1.0])
    half = 0.5 * extent * scale
    target = np.array([_between(rng, half, float(side)) for side in room])
    # Slide the picture so that it covers as much of the canvas as it can.
    middle = target + linear @ (picture / 2 - centre)
    slack = np.abs(picture * stretch * scale - room) / 2
    slid = np.clip(middle, room / 2 - slack, room / 2 + slack)
    result = np.eye(3)
    result[:2, :2] = linear
    result[:2, 2] = target - linear @ centre + slid - middle
    return result


def _between(rng: np.random.Generator, half: float, length: float) -> float:
    """A centre of an object of size 2 x `half` on a side of `length`.

    Of a small object 70 % or more stays in view. A large one is looked at through a window that
    may lie anywhere on it, because half of the people of real pictures are cut by the border.
    """
    low = min(0.4 * half, length - 0.8 * half)
    return float(rng.uniform(low, length - low))


def warp(
    image: UInt8[np.ndarray, "H W 3"],
    matrix: Float[np.ndarray, "3 3"],
    canvas: UInt8[np.ndarray, "h w 3"],
    region: Region,
) -> None:
    """Draws the picture into a region of the canvas; around it the canvas stays as it is."""
    local = matrix.copy()
    local[:2, 2] -= (region.x, region.y)
    scale = np.sqrt(abs(np.linalg.det(local[:2, :2])))
    if scale < 0.6:
        # Shrink by area first: bilinear sampling alone would skip pixels.
        height, width = image.shape[:2]
        size = (max(int(width * scale * 1.3), 1), max(int(height * scale * 1.3), 1))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        local = local @ np.diag([width / size[0], height / size[1], 1.0])
    # Coordinates count from the outer corner of a pixel, OpenCV's from its middle.
    local[:2, 2] += 0.5 * local[:2, :2].sum(axis=1) - 0.5
    view = canvas[region.y : region.y + region.height, region.x : region.x + region.width]
    drawn = np.ascontiguousarray(view)
    cv2.warpAffine(
        image,
        local[:2],
        (region.width, region.height),
        dst=drawn,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_TRANSPARENT,
    )
    view[:] = drawn


def move_people(
    people: People,
    matrix: Float[np.ndarray, "3 3"],
    region: Region,
) -> People:
    """The labels on the canvas. Keypoints out of the region lose their label.

    People of whom too little is left become ignore boxes; those entirely outside disappear.
    """
    linear, shift = matrix[:2, :2], matrix[:2, 2]
    points = (people.keypoints_px @ linear.T + shift).astype(np.float32)
    low = np.array([region.x, region.y], np.float32)
    high = low + np.array([region.width, region.height], np.float32)
    inside = ((points >= low) & (points < high)).all(axis=-1)
    visibility = np.where(inside, people.visibility, UNLABELLED)
    points = np.where((visibility > 0)[..., None], points, 0).astype(np.float32)
    boxes = _move_boxes(people.boxes_xyxy_px, matrix, low, high)
    unsure = _move_boxes(people.ignore_boxes_xyxy_px, matrix, low, high)
    side = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0)
    enough = min(MIN_LABELLED, visibility.shape[1])
    good = (visibility.astype(bool).sum(axis=1) >= enough) & (side >= MIN_SIDE_PX)
    ignored = np.concatenate([unsure, boxes[~good]])
    ignored = ignored[((ignored[:, 2:] - ignored[:, :2]) > 1).all(axis=1)]
    return People(
        keypoints_px=points[good],
        visibility=visibility[good],
        boxes_xyxy_px=boxes[good],
        areas_px=(people.areas_px * abs(np.linalg.det(linear)))[good].astype(np.float32),
        track_ids=people.track_ids[good],
        ignore_boxes_xyxy_px=ignored,
    )


def _move_boxes(
    boxes: Float[np.ndarray, "N 4"],
    matrix: Float[np.ndarray, "3 3"],
    low: Float[np.ndarray, "2"],
    high: Float[np.ndarray, "2"],
) -> Float[np.ndarray, "N 4"]:
    """Boxes around the moved boxes' inscribed ellipses, cut at the region.

    The ellipse's box is tighter than the corners' one when the picture turns, and people are
    closer to ellipses than to rectangles.
    """
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 @ matrix[:2, :2].T + matrix[:2, 2]
    half = (boxes[:, 2:] - boxes[:, :2]) / 2
    reach = np.sqrt((half**2) @ (matrix[:2, :2] ** 2).T)
    moved = np.concatenate([centre - reach, centre + reach], axis=1)
    return np.clip(moved, np.tile(low, 2), np.tile(high, 2)).astype(np.float32)


def mirror(people: People, width: float, skeleton: Skeleton) -> People:
    """The labels of the mirrored picture; left and right change names."""
    order = skeleton.flip_order()
    points = people.keypoints_px[:, order].copy()
    visibility = people.visibility[:, order]
    points[..., 0] = np.where(visibility > 0, width - points[..., 0], 0)

    def flip(boxes: np.ndarray) -> np.ndarray:
        return np.stack(
            [width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1
        )

    return People(
        keypoints_px=points,
        visibility=visibility,
        boxes_xyxy_px=flip(people.boxes_xyxy_px),
        areas_px=people.areas_px,
        track_ids=people.track_ids,
        ignore_boxes_xyxy_px=flip(people.ignore_boxes_xyxy_px),
    )
