"""Images to network inputs, and network outputs to people in pixels of the image.

Coordinates are continuous, with the origin at the outer corner of the top left pixel, so one factor
per side is enough: `x_input = x_source * scale_x`. OpenCV resizes by the same rule.

There is no non-maximum suppression: training matches each person to one query.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from vepe.inference.arguments import check_image
from vepe.inference.network import NetworkPoses
from vepe.types import NO_TRACK, FramePoses

MAX_GROWTH = 2.0
"""Tiny images are enlarged by at most this factor: more costs time and shows nothing new."""

FILL = 128
"""Value of the padding, which the network replaces by its own; only the optical flow reads it."""


@dataclass(frozen=True)
class Letterbox:
    """Where an image lies in the network's input: at the top left, padded at right and bottom.

    Attributes:
        source_wh: width and height of the image in its own pixels.
        resized_wh: its width and height in the input.
        input_wh: width and height of the input, multiples of the model's stride.
    """

    source_wh: tuple[int, int]
    resized_wh: tuple[int, int]
    input_wh: tuple[int, int]

    @property
    def scale_xy(self) -> Float[np.ndarray, "2"]:
        """Input pixels per source pixel. x and y differ only by rounding, except for slivers."""
        return np.array(self.resized_wh, np.float64) / np.array(self.source_wh, np.float64)

    def to_input(self, points_px: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
        """Points of the image in pixels of the input."""
        return points_px * self.scale_xy

    def to_source(self, points_px: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
        """Points of the input in pixels of the image."""
        return points_px / self.scale_xy

    @staticmethod
    def of(
        source_wh: tuple[int, int],
        input_px: int,
        stride: int,
        fixed_wh: tuple[int, int] | None = None,
    ) -> Letterbox:
        """The fit of an image of that size: its longer side becomes `input_px`.

        With `fixed_wh` it fits into an input of that size instead. Otherwise each side gets at
        least one cell of the coarsest map, so slivers and 1x1 images are stretched rather than
        lost.
        """
        scale = min(input_px / max(source_wh), MAX_GROWTH)
        width, height = (max(round(side * scale), stride) for side in source_wh)
        if fixed_wh is not None:
            scale = min(fixed_wh[0] / source_wh[0], fixed_wh[1] / source_wh[1], MAX_GROWTH)
            width, height = (max(round(side * scale), 1) for side in source_wh)
            return Letterbox(source_wh, (width, height), fixed_wh)
        padded = (-(-width // stride) * stride, -(-height // stride) * stride)
        return Letterbox(source_wh, (width, height), padded)


def letterbox(
    image_rgb: UInt8[np.ndarray, "H W 3"],
    input_px: int,
    stride: int,
    fixed_wh: tuple[int, int] | None = None,
) -> tuple[UInt8[np.ndarray, "h w 3"], Letterbox]:
    """Resizes and pads an image for the network.

    Returns:
        image: RGB, padded at right and bottom.
        fit: how the image lies in it.

    Raises:
        VepeError: where the image is not uint8 of shape (H, W, 3) with at least one pixel.
    """
    check_image(image_rgb)
    height, width = image_rgb.shape[:2]
    fit = Letterbox.of((width, height), input_px, stride, fixed_wh)
    resized = image_rgb
    if fit.resized_wh != fit.source_wh:
        shrinks = fit.resized_wh[0] < width or fit.resized_wh[1] < height
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        resized = cv2.resize(image_rgb, fit.resized_wh, interpolation=interpolation)
    (w, h), (input_w, input_h) = fit.resized_wh, fit.input_wh
    image = np.full((input_h, input_w, 3), FILL, np.uint8)
    image[:h, :w] = resized
    return image, fit


def frame_poses(
    output: NetworkPoses,
    fit: Letterbox,
    *,
    frame_index: int,
    time_s: float,
    conf: float,
    max_people: int | None = None,
    embeddings: bool = True,
) -> FramePoses:
    """The people of one frame, highest score first, in pixels of the source image.

    Args:
        output: of one key frame (Q = 1).
        fit: how the image lies in the network's input.
        frame_index, time_s: of the frame.
        conf: people with a lower score are dropped, and always those with a score of 0.
        max_people: how many people to return at most, or None.
        embeddings: whether to pass on the identity embeddings; False where they are untrained.
    """
    scores = output.scores[0]
    order = np.argsort(-scores, kind="stable")
    order = order[(scores[order] >= conf) & (scores[order] > 0)][:max_people]
    points = fit.to_source(output.keypoints_px[0][order].astype(np.float64))
    return FramePoses(
        frame_index=frame_index,
        time_s=time_s,
        keypoints_px=points.astype(np.float32),
        keypoint_scores=output.confidences[0][order],
        scores=scores[order],
        track_ids=np.full(len(order), NO_TRACK, np.int64),
        embeddings=output.identities[0][order] if embeddings else None,
    )
