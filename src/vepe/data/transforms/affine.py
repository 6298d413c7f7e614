"""Affine maps of whole clips: one matrix a frame moves pictures and labels alike.

The pictures are warped by OpenCV inside a v2 transform: on one core (AMD EPYC, 3 frames of 288 px,
uint8) `warpAffine` takes 1.2 ms, `v2.functional.affine` 3.5 ms, and 2.2 against 0.4 ms for one
frame. Labels go through as tv_tensors either way.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torchvision.transforms import v2
from torchvision.tv_tensors import BoundingBoxes, KeyPoints, Video, wrap

from vepe.data.transforms.tv_tensors import Areas, Visibility, array_of
from vepe.skeleton import Skeleton


class ClipWarp(v2.Transform):
    """Frame t of the clip by matrix t, onto a canvas. Where a matrix mirrors, sides swap names.

    Args:
        matrices: (T, 3, 3) from the clip's pixels to the canvas's, counted from outer corners.
        canvas_wh: size of the canvas in pixels.
        skeleton: says which keypoints change places in a mirror.
        fill: colour of the canvas where there is no picture.
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
        self.growth = _growth(matrices)
        self.mirrors = bool(self.growth[0] < 0)

    def inverse(self, canvas_wh: tuple[int, int]) -> ClipWarp:
        """The way back to a canvas of the first size. Boxes come back where nothing turned."""
        return ClipWarp(np.linalg.inv(self.matrices), canvas_wh, self.skeleton, self.fill)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """One tensor of the sample, moved (called by torchvision)."""
        size = {"canvas_size": self.canvas_wh[::-1]}
        array = array_of(inpt)
        if isinstance(inpt, Video):
            moved = self._pictures(array.transpose(0, 2, 3, 1))
            return Video(torch.from_numpy(moved).permute(0, 3, 1, 2))
        if isinstance(inpt, KeyPoints):
            return wrap(torch.from_numpy(self._ordered(self._points(array), 2)), like=inpt, **size)
        if isinstance(inpt, BoundingBoxes):
            return wrap(torch.from_numpy(self._boxes(array)), like=inpt, **size)
        if isinstance(inpt, Visibility):
            return wrap(torch.from_numpy(self._ordered(array, 2)), like=inpt)
        growth = np.abs(self.growth).astype(np.float32)
        return wrap(torch.from_numpy(array * growth[:, None]), like=inpt)

    def _ordered(self, array: np.ndarray, axis: int) -> np.ndarray:
        return np.take(array, self.skeleton.flip_order(), axis) if self.mirrors else array

    def _points(self, points: Float[np.ndarray, "T N K 2"]) -> Float[np.ndarray, "T N K 2"]:
        linear, shift = self.matrices[:, None, :2, :2], self.matrices[:, None, None, :2, 2]
        return (points @ linear.swapaxes(-1, -2) + shift).astype(np.float32)

    def _boxes(self, boxes: Float[np.ndarray, "TN 4"]) -> Float[np.ndarray, "TN 4"]:
        """Boxes around the moved boxes' inscribed ellipses.

        They are tighter than those around the corners when the picture turns, and people are
        closer to ellipses than to rectangles.
        """
        rows = boxes.reshape(len(self.matrices), -1, 4)
        linear, shift = self.matrices[:, :2, :2], self.matrices[:, None, :2, 2]
        turned = linear.swapaxes(-1, -2)
        centre = (rows[..., :2] + rows[..., 2:]) / 2 @ turned + shift
        reach = np.sqrt(((rows[..., 2:] - rows[..., :2]) / 2) ** 2 @ turned**2)
        moved = np.concatenate([centre - reach, centre + reach], axis=-1)
        return moved.reshape(-1, 4).astype(np.float32)

    def _pictures(self, images: UInt8[np.ndarray, "T H W 3"]) -> UInt8[np.ndarray, "T h w 3"]:
        width, height = self.canvas_wh
        matrices = self.matrices
        factor = shrink_factor((images.shape[2], images.shape[1]), matrices[0])
        if factor > 1:
            images = _shrunk(images, factor)
            matrices = matrices @ np.diag([factor, factor, 1.0])
        result = np.empty((len(images), height, width, 3), np.uint8)
        for image, matrix, drawn in zip(images, matrices, result, strict=True):
            # Coordinates count from the outer corner of a pixel, OpenCV's from its middle.
            local = matrix[:2].copy()
            local[:, 2] += 0.5 * local[:, :2].sum(axis=1) - 0.5
            cv2.warpAffine(
                np.ascontiguousarray(image),
                local,
                self.canvas_wh,
                dst=drawn,
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=self.fill,
            )
        return result


class Shrink(ClipWarp):
    """Pictures shrunk by averaging blocks of pixels, and their labels with them.

    Args:
        source_wh: size of the clip's pictures.
        factor: pixels along a block; what is left over at the right and below is cut off.
        frames: T.
        skeleton: of the labels.
    """

    def __init__(
        self, source_wh: tuple[int, int], factor: int, frames: int, skeleton: Skeleton
    ) -> None:
        matrix = np.diag([1 / factor, 1 / factor, 1.0])
        canvas_wh = (source_wh[0] // factor, source_wh[1] // factor)
        super().__init__(np.broadcast_to(matrix, (frames, 3, 3)), canvas_wh, skeleton)
        self.factor = factor

    def _pictures(self, images: UInt8[np.ndarray, "T H W 3"]) -> UInt8[np.ndarray, "T h w 3"]:
        return _shrunk(images, self.factor)


def shrink_factor(source_wh: tuple[int, int], matrix: Float[np.ndarray, "3 3"]) -> int:
    """How many pixels to average along each side before this map; 1 where none need be.

    Bilinear sampling alone would skip pixels. Whole factors are several times faster than others.
    """
    scale = float(np.sqrt(abs(_growth(matrix))))
    return int(max(min(1.1 / scale, min(source_wh) / 8), 1))


def _growth(matrices: Float[np.ndarray, "*n 3 3"]) -> Float[np.ndarray, "*n"]:
    """By how much areas grow, less than 0 where they are mirrored."""
    result: np.ndarray = (
        matrices[..., 0, 0] * matrices[..., 1, 1] - matrices[..., 0, 1] * matrices[..., 1, 0]
    )
    return result


def _shrunk(images: UInt8[np.ndarray, "T H W 3"], factor: int) -> UInt8[np.ndarray, "T h w 3"]:
    height, width = images.shape[1] // factor, images.shape[2] // factor

    def one(image: np.ndarray) -> np.ndarray:
        whole = image[: height * factor, : width * factor]
        return cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)

    if is_repeated(images):
        return repeated(one(images[0]), len(images))
    return np.stack([one(image) for image in images])


def repeated(image: UInt8[np.ndarray, "H W 3"], frames: int) -> UInt8[np.ndarray, "T H W 3"]:
    """A still as T frames that share its memory."""
    shape, strides = (frames, *image.shape), (0, *image.strides)
    return np.lib.stride_tricks.as_strided(image, shape, strides)


def is_repeated(images: UInt8[np.ndarray, "T H W 3"]) -> bool:
    """Whether these are frames that `repeated` made of a still."""
    return images.strides[0] == 0
