"""Pictures into the network's input, and its keypoints back into pixels of the picture.

Coordinates are continuous with their origin at the outer corner of the top left pixel, so one
factor a side is all there is: `x_input = x_source * scale_x`. OpenCV resizes by the same rule.

The network's output as people: thresholded and sorted, and no more.

There is no suppression of overlapping people: the matching of the training gives each person one
query.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from vepe.errors import VepeError
from vepe.models.streaming import PoseOutput
from vepe.types import NO_TRACK, FramePoses

MAX_GROWTH = 2.0
"""Tiny pictures are enlarged by this factor at most: more adds cost, but nothing to be seen."""

FILL = 0.5
"""Value of the padding: the mid grey that pose-pretrained trunks see as zero, as at any border."""


@dataclass(frozen=True)
class Letterbox:
    """Where a picture lies in the network's input: at its top left, padded at right and bottom.

    Attributes:
        source_wh: width and height of the picture in its own pixels.
        resized_wh: its width and height in the input.
        input_wh: width and height of the input, multiples of the model's stride.
    """

    source_wh: tuple[int, int]
    resized_wh: tuple[int, int]
    input_wh: tuple[int, int]

    @property
    def scale_xy(self) -> Float[np.ndarray, "2"]:
        """Input pixels per source pixel. The two differ by rounding alone, but for slivers."""
        return np.array(self.resized_wh, np.float64) / np.array(self.source_wh, np.float64)

    def to_input(self, points_px: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
        """Points of the picture in pixels of the input."""
        return points_px * self.scale_xy

    def to_source(self, points_px: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
        """Points of the input in pixels of the picture."""
        return points_px / self.scale_xy

    @staticmethod
    def of(source_wh: tuple[int, int], input_px: int, stride: int) -> Letterbox:
        """How a picture of that size is fitted: its longer side becomes `input_px`.

        Each side keeps at least one cell of the coarsest map, so that slivers and 1x1 pictures,
        stretched, still give the network something to see.
        """
        scale = min(input_px / max(source_wh), MAX_GROWTH)
        width, height = (max(round(side * scale), stride) for side in source_wh)
        padded = (-(-width // stride) * stride, -(-height // stride) * stride)
        return Letterbox(source_wh, (width, height), padded)


def letterbox(
    image_rgb: UInt8[np.ndarray, "H W 3"], input_px: int, stride: int
) -> tuple[Float[Tensor, "1 3 h w"], Bool[Tensor, "1 h w"] | None, Letterbox]:
    """The network's input: RGB in 0..1, the padding (True; None without any), and the fit.

    Raises:
        VepeError: where the picture is not uint8 of shape (H, W, 3) with at least one pixel.
    """
    check_image(image_rgb)
    height, width = image_rgb.shape[:2]
    fit = Letterbox.of((width, height), input_px, stride)
    resized = image_rgb
    if fit.resized_wh != fit.source_wh:
        shrinks = fit.resized_wh[0] < width or fit.resized_wh[1] < height
        way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        resized = cv2.resize(image_rgb, fit.resized_wh, interpolation=way)
    (w, h), (input_w, input_h) = fit.resized_wh, fit.input_wh
    image = torch.full((1, 3, input_h, input_w), FILL)
    pixels = torch.from_numpy(np.ascontiguousarray(resized)).permute(2, 0, 1)
    image[0, :, :h, :w] = pixels.float() / 255
    if (w, h) == (input_w, input_h):
        return image, None, fit
    padding = torch.ones(1, input_h, input_w, dtype=torch.bool)
    padding[0, :h, :w] = False
    return image, padding, fit


def check_image(image: object) -> None:
    """Raises VepeError where `image` is not an RGB picture as this package takes it."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3:
        got = getattr(image, "dtype", type(image).__name__), getattr(image, "shape", "")
        raise VepeError(f"A picture must be a uint8 array (H, W, 3) in RGB; got {got[0]} {got[1]}.")
    if image.shape[2] != 3 or 0 in image.shape:
        raise VepeError(f"A picture must have the shape (H, W, 3) in RGB; got {image.shape}.")


def frame_poses(
    output: PoseOutput,
    fit: Letterbox,
    *,
    frame_index: int,
    time_s: float,
    conf: float,
    max_people: int | None = None,
    embeddings: bool = True,
) -> FramePoses:
    """The people of one frame, best score first, in pixels of the source picture.

    Args:
        output: of one frame (a batch of 1).
        fit: how the picture was put into the network's input.
        frame_index, time_s: of the frame.
        conf: people with a score below are left out.
        max_people: keeps so many of the best, where given.
        embeddings: whether the identity embeddings are trained and worth passing on.
    """
    scores = _array(output.score_logits.sigmoid())
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] >= conf][:max_people]
    points = fit.to_source(_array(output.keypoints_px)[order].astype(np.float64))
    return FramePoses(
        frame_index=frame_index,
        time_s=time_s,
        keypoints_px=points.astype(np.float32),
        keypoint_scores=_array(output.confidence_logits.sigmoid())[order],
        scores=scores[order],
        track_ids=np.full(len(order), NO_TRACK, np.int64),
        embeddings=_array(output.identity)[order] if embeddings else None,
    )


def _array(batch: Tensor) -> np.ndarray:
    """The one row of a batch as float32."""
    array: np.ndarray = batch[0].detach().float().cpu().numpy()
    return array
