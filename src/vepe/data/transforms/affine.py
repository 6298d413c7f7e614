"""Affine maps of whole clips: one 3x3 matrix per frame moves images and labels alike.

First how matrices are drawn: a placement of the image on the canvas, and a camera motion over
time. They are composed, so that each pixel is resampled once. Then the transform that applies
them. OpenCV warps the images inside the v2 transform: on one core (AMD EPYC, 3 frames of 288 px,
uint8) `warpAffine` takes 1.2 ms, `v2.functional.affine` 3.5 ms; 0.4 and 2.2 ms for one frame.

Coordinates count from the outer corner of the first pixel, whose centre is at (0.5, 0.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torchvision.transforms import v2
from torchvision.tv_tensors import BoundingBoxes, KeyPoints, Video, wrap

from vepe.data.transforms.tv_tensors import Areas, Visibility, array_of
from vepe.skeleton import Skeleton


@dataclass(frozen=True)
class CameraMotion:
    """A smooth camera path: shift, rotation and zoom follow one slow sine wave.

    Attributes:
        shift_px: (2,) amplitude of the shift.
        turn_rad, zoom: amplitudes of rotation and of log scale.
        phase: phase of the wave at time 0.
        speed: angular frequency of the wave in radians per second.
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
        return _affine(linear, centre - linear @ centre + self.shift_px * wave)


def draw_motion(rng: np.random.Generator, side_px: float, strength: float) -> CameraMotion:
    """A random camera motion.

    Args:
        rng: source of randomness.
        side_px: side of the canvas.
        strength: 0 is no motion; 1 shifts by about 8 % of `side_px` (one sigma).
    """
    return CameraMotion(
        shift_px=rng.normal(0, 0.08 * side_px * strength, 2),
        turn_rad=float(rng.normal(0, 0.1 * strength)),
        zoom=float(rng.normal(0, 0.1 * strength)),
        phase=float(rng.uniform(0, 2 * np.pi)),
        speed=float(rng.uniform(1.0, 8.0)),
    )


def draw_placement(
    rng: np.random.Generator,
    boxes_px: Float[np.ndarray, "N 4"],
    source_wh: tuple[int, int],
    canvas_wh: tuple[int, int],
    *,
    stretched: bool = False,
    person_scale: tuple[float, float] = (0.3, 1.1),
    turn_rad: float = 0.2,
    aspect: float = 0.08,
    flip: float = 0.0,
) -> Float[np.ndarray, "3 3"]:
    """A random map from an image to a canvas: mirror, scale, rotation, aspect and shift.

    One person (or the whole image, if there is none) is chosen. The scale makes its longer side
    log-uniform in `person_scale`, and the shift puts it onto the canvas.

    Args:
        rng: source of randomness.
        boxes_px: people in the image.
        source_wh, canvas_wh: sizes in pixels.
        stretched: the image was resized to a square, so its aspect is unknown.
        person_scale: smallest and largest longer side, relative to the canvas's shorter side.
        turn_rad: sigma of the rotation; two images in five are hardly rotated.
        aspect: sigma of log(width / height).
        flip: probability of a mirror (a matrix with negative determinant).
    """
    canvas, image = np.array(canvas_wh, np.float64), np.array(source_wh, np.float64)
    box = np.concatenate([np.zeros(2), image])
    if len(boxes_px):
        box = boxes_px[rng.integers(len(boxes_px))].astype(np.float64)
    centre, extent = (box[:2] + box[2:]) / 2, max(*(box[2:] - box[:2]), 8.0)
    low, high = person_scale if len(boxes_px) else (1.0, 2.0)
    scale = min(canvas_wh) * np.exp(rng.uniform(np.log(low), np.log(high))) / extent
    # The image should not leave most of the canvas empty, and enlarging it adds no detail.
    fits = np.log(canvas / image)
    scale = min(max(scale, 0.9 * np.exp(rng.uniform(fits.min(), fits.max()))), 2.5)
    squeeze = rng.uniform(np.log(0.75), np.log(1.6)) if stretched else rng.normal(0, aspect)
    stretch = np.exp(np.array([0.5, -0.5]) * squeeze)
    angle = rng.normal(0, turn_rad if rng.random() < 0.6 else 0.15 * turn_rad)
    cos, sin = np.cos(angle), np.sin(angle)
    linear = scale * np.array([[cos, -sin], [sin, cos]]) @ np.diag(stretch)
    if rng.random() < flip:
        linear = linear @ np.diag([-1.0, 1.0])
    half = 0.5 * extent * scale
    target = np.array([_draw_centre(rng, half, float(side)) for side in canvas])
    # Slide the image so that it covers as much of the canvas as it can.
    middle = target + linear @ (image / 2 - centre)
    slack = np.abs(image * stretch * scale - canvas) / 2
    slid = np.maximum(np.minimum(middle, canvas / 2 + slack), canvas / 2 - slack)
    return _affine(linear, target - linear @ centre + slid - middle)


def _draw_centre(rng: np.random.Generator, half: float, length: float) -> float:
    """Centre of an object of size 2 x `half` on a side of `length`.

    Of a small object at least 70 % stays in view. Of a large one any part may be in view, because
    half of the people of real images are cut by the border.
    """
    low = min(0.4 * half, length - 0.8 * half)
    return float(rng.uniform(low, length - low))


def _affine(
    linear: Float[np.ndarray, "2 2"], shift: Float[np.ndarray, "2"]
) -> Float[np.ndarray, "3 3"]:
    result = np.eye(3)
    result[:2, :2], result[:2, 2] = linear, shift
    return result


class ClipWarp(v2.Transform):
    """Maps frame t of a clip by matrix t. Left and right keypoints swap where it mirrors.

    Args:
        matrices: (T, 3, 3) from image pixels to canvas pixels.
        canvas_wh: canvas width and height in pixels.
        skeleton: its `flip_order` is applied in mirrors.
        fill: RGB colour of the canvas outside the image.
    """

    _transformed_types = (Video, KeyPoints, BoundingBoxes, Areas, Visibility)

    def __init__(
        self,
        matrices: Float[np.ndarray, "T 3 3"],
        canvas_wh: tuple[int, int],
        skeleton: Skeleton,
        fill: tuple[int, int, int] = (0, 0, 0),
    ) -> None:
        super().__init__()
        self.matrices, self.canvas_wh = matrices, canvas_wh
        self.skeleton, self.fill = skeleton, fill
        self.growth = _area_factor(matrices)
        self.mirrors = bool(self.growth[0] < 0)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """One tensor of the sample, mapped (called by torchvision)."""
        size = {"canvas_size": self.canvas_wh[::-1]}
        array = array_of(inpt)
        if isinstance(inpt, Video):
            warped = self._warp_images(array.transpose(0, 2, 3, 1))  # (T, h, w, 3)
            return Video(torch.from_numpy(warped).permute(0, 3, 1, 2))  # (T, 3, h, w)
        if isinstance(inpt, KeyPoints):
            points = self._reorder(self._map_points(array))  # (T, N, K, 2)
            return wrap(torch.from_numpy(points), like=inpt, **size)
        if isinstance(inpt, BoundingBoxes):
            return wrap(torch.from_numpy(self._map_boxes(array)), like=inpt, **size)
        if isinstance(inpt, Visibility):
            return wrap(torch.from_numpy(self._reorder(array)), like=inpt)
        growth = np.abs(self.growth).astype(np.float32)[:, None]  # (T, 1)
        return wrap(torch.from_numpy(array * growth), like=inpt)

    def _reorder(self, array: np.ndarray) -> np.ndarray:
        """(T, N, K, ...) with left and right keypoints swapped in a mirror."""
        return np.take(array, self.skeleton.flip_order(), 2) if self.mirrors else array

    def _map_points(self, points: Float[np.ndarray, "T N K 2"]) -> Float[np.ndarray, "T N K 2"]:
        linear = self.matrices[:, None, :2, :2]  # (T, 1, 2, 2)
        shift = self.matrices[:, None, None, :2, 2]  # (T, 1, 1, 2)
        return (points @ linear.swapaxes(-1, -2) + shift).astype(np.float32)

    def _map_boxes(self, boxes: Float[np.ndarray, "TN 4"]) -> Float[np.ndarray, "TN 4"]:
        """Boxes around the mapped boxes' inscribed ellipses.

        In rotations they are tighter than those around the corners, and people are closer to
        ellipses than to rectangles.
        """
        rows = boxes.reshape(len(self.matrices), -1, 4)  # (T, N, 4)
        linear = self.matrices[:, :2, :2].swapaxes(-1, -2)  # (T, 2, 2), transposed
        shift = self.matrices[:, None, :2, 2]  # (T, 1, 2)
        centre = (rows[..., :2] + rows[..., 2:]) / 2 @ linear + shift  # (T, N, 2)
        half = np.sqrt(((rows[..., 2:] - rows[..., :2]) / 2) ** 2 @ linear**2)  # (T, N, 2)
        mapped = np.concatenate([centre - half, centre + half], axis=-1)  # (T, N, 4)
        return mapped.reshape(-1, 4).astype(np.float32)  # (T*N, 4)

    def _warp_images(self, images: UInt8[np.ndarray, "T H W 3"]) -> UInt8[np.ndarray, "T h w 3"]:
        width, height = self.canvas_wh
        matrices = self.matrices
        factor = _shrink_factor((images.shape[2], images.shape[1]), matrices[0])
        if factor > 1:
            images = _shrink(images, factor)
            matrices = matrices @ np.diag([factor, factor, 1.0])
        result = np.empty((len(images), height, width, 3), np.uint8)
        for image, matrix, warped in zip(images, matrices, result, strict=True):
            cv2.warpAffine(
                np.ascontiguousarray(image),
                opencv_affine(matrix),
                self.canvas_wh,
                dst=warped,
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=self.fill,
            )
        return result


def opencv_affine(matrix: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "2 3"]:
    """The map for OpenCV, whose coordinates count from the centre of the first pixel."""
    result: np.ndarray = matrix[:2].copy()
    result[:, 2] += 0.5 * result[:, :2].sum(axis=1) - 0.5
    return result


def _shrink_factor(source_wh: tuple[int, int], matrix: Float[np.ndarray, "3 3"]) -> int:
    """Side of the pixel blocks to average before this map; 1 if it does not shrink.

    Bilinear sampling alone would skip pixels. Integer factors are several times faster.
    """
    scale = float(np.sqrt(abs(_area_factor(matrix))))
    return int(max(min(1.1 / scale, min(source_wh) / 8), 1))


def _area_factor(matrices: Float[np.ndarray, "*n 3 3"]) -> Float[np.ndarray, "*n"]:
    """Determinants: the factor by which areas grow, negative in mirrors."""
    result: np.ndarray = (
        matrices[..., 0, 0] * matrices[..., 1, 1] - matrices[..., 0, 1] * matrices[..., 1, 0]
    )
    return result


def _shrink(images: UInt8[np.ndarray, "T H W 3"], factor: int) -> UInt8[np.ndarray, "T h w 3"]:
    height, width = images.shape[1] // factor, images.shape[2] // factor

    def shrink(image: np.ndarray) -> np.ndarray:
        whole = image[: height * factor, : width * factor]
        return cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)

    if images.strides[0] == 0:  # frames of `repeated`: shrink one
        return repeated(shrink(images[0]), len(images))
    return np.stack([shrink(image) for image in images])


def repeated(image: UInt8[np.ndarray, "H W 3"], frames: int) -> UInt8[np.ndarray, "T H W 3"]:
    """An image as T frames that share its memory."""
    shape, strides = (frames, *image.shape), (0, *image.strides)
    return np.lib.stride_tricks.as_strided(image, shape, strides)
