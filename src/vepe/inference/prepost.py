"""Images to network inputs, and network outputs to people in pixels of the image.

Coordinates are continuous, with the origin at the outer corner of the top left pixel, so one factor
per side is enough: `x_input = x_source * scale_x`. OpenCV resizes by the same rule.

There is no non-maximum suppression: training matches each person to one query.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from vepe.inference.arguments import check_image
from vepe.models.decoder_layer import PoseOutput
from vepe.types import NO_TRACK, FramePoses

MAX_GROWTH = 2.0
"""Tiny images are enlarged by at most this factor: more costs time and shows nothing new."""

FILL = 0.5
"""Value of the padding: mid grey, which pose-pretrained backbones normalise to zero."""


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
    def of(source_wh: tuple[int, int], input_px: int, stride: int) -> Letterbox:
        """The fit of an image of that size: its longer side becomes `input_px`.

        Each side gets at least one cell of the coarsest map, so slivers and 1x1 images are
        stretched rather than lost.
        """
        scale = min(input_px / max(source_wh), MAX_GROWTH)
        width, height = (max(round(side * scale), stride) for side in source_wh)
        padded = (-(-width // stride) * stride, -(-height // stride) * stride)
        return Letterbox(source_wh, (width, height), padded)


def letterbox(
    image_rgb: UInt8[np.ndarray, "H W 3"], input_px: int, stride: int
) -> tuple[Float[Tensor, "1 3 h w"], Bool[Tensor, "1 h w"] | None, Letterbox]:
    """Resizes and pads an image for the network.

    Returns:
        image: (1, 3, h, w) RGB in 0..1.
        padding: (1, h, w) True in the padding, or None where there is none.
        fit: how the image lies in the input.

    Raises:
        VepeError: where the image is not uint8 of shape (H, W, 3) with at least one pixel.
    """
    check_image(image_rgb)
    height, width = image_rgb.shape[:2]
    fit = Letterbox.of((width, height), input_px, stride)
    resized = image_rgb
    if fit.resized_wh != fit.source_wh:
        shrinks = fit.resized_wh[0] < width or fit.resized_wh[1] < height
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        resized = cv2.resize(image_rgb, fit.resized_wh, interpolation=interpolation)
    (w, h), (input_w, input_h) = fit.resized_wh, fit.input_wh
    image = torch.full((1, 3, input_h, input_w), FILL)
    pixels = torch.from_numpy(np.ascontiguousarray(resized)).permute(2, 0, 1)  # (3, h, w)
    image[0, :, :h, :w] = pixels.float() / 255
    if (w, h) == (input_w, input_h):
        return image, None, fit
    padding = torch.ones(1, input_h, input_w, dtype=torch.bool)
    padding[0, :h, :w] = False
    return image, padding, fit


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
    """The people of one frame, highest score first, in pixels of the source image.

    Args:
        output: of one frame (a batch of 1).
        fit: how the image lies in the network's input.
        frame_index, time_s: of the frame.
        conf: people with a lower score are dropped.
        max_people: how many people to return at most, or None.
        embeddings: whether to pass on the identity embeddings; False where they are untrained.
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
    """The only row of a batch as float32."""
    array: np.ndarray = batch[0].detach().float().cpu().numpy()
    return array
