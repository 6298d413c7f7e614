"""Other pose models with permissive licences in ONNX Runtime, to compare with.

MoveNet MultiPose finds up to six people at once; MoveNet Thunder finds one person in a crop, and
NanoDet finds the boxes to crop. `tfjs_to_onnx.py` makes their files. Each pipeline takes an RGB
image, and gives poses in pixels with the keypoints of COCO-17.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from vepe.inference.devices import available_cores

KEYPOINTS = 17
NANODET_PX, NANODET_MEAN, NANODET_STD = 416, (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)
NANODET_BINS = 11
"""Each side's distance is a distribution over 0 to 10 cells."""
NANODET_IOU = 0.6
THUNDER_PX, MARGIN = 256, 1.25

Poses = tuple[np.ndarray, np.ndarray]
"""(N, 17, 3) keypoints with x and y in pixels and scores, and (N,) scores of the people."""


def _network(path: Path) -> Callable[[np.ndarray], list[np.ndarray]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cores()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda values: session.run(None, {name: values})


class MultiPose:
    """MoveNet MultiPose at a longer side of `px`, sides rounded up to multiples of 32."""

    def __init__(self, path: Path, px: int) -> None:
        self.network, self.px = _network(path), px

    def __call__(self, image: np.ndarray) -> Poses:
        height, width = image.shape[:2]
        scale = self.px / max(height, width)
        inner = [max(1, round(side * scale)) for side in (height, width)]
        outer = [-(-side // 32) * 32 for side in inner]
        padded = np.zeros((1, *outer, 3), np.int32)
        padded[0, : inner[0], : inner[1]] = cv2.resize(image, inner[::-1])
        people = self.network(padded)[0][0]  # (6, 56)
        points = people[:, : 3 * KEYPOINTS].reshape(-1, KEYPOINTS, 3)[..., [1, 0, 2]].copy()
        points[..., 0] *= outer[1] * width / inner[1]
        points[..., 1] *= outer[0] * height / inner[0]
        return points, people[:, 55]


class NanoDetThunder:
    """NanoDet's people, each cropped for MoveNet Thunder; scores are the product of both.

    `conf` is the lowest score of a box: the lower, the more people are found, and the more crops.
    """

    def __init__(self, detector: Path, pose: Path, conf: float) -> None:
        self.detector, self.pose, self.conf = _network(detector), _network(pose), conf
        self.centres = [_centres(stride) for stride in (8, 16, 32)]

    def boxes(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, 4) boxes as x, y, width and height in pixels, and (N,) scores."""
        height, width = image.shape[:2]
        scale = NANODET_PX / max(height, width)
        inner = [max(1, round(side * scale)) for side in (height, width)]
        padded = np.zeros((NANODET_PX, NANODET_PX, 3), np.float32)
        padded[: inner[0], : inner[1]] = cv2.resize(image, inner[::-1])[..., ::-1]
        padded = (padded - np.array(NANODET_MEAN, np.float32)) / np.array(NANODET_STD, np.float32)
        outputs = self.detector(padded.transpose(2, 0, 1)[None])
        found, scores = [], []
        for score, side, (centres, stride) in zip(
            outputs[:3], outputs[3:], self.centres, strict=True
        ):
            person = score[0, :, 0]  # the first of 80 classes
            chosen = person > self.conf
            bins = side[0, chosen].reshape(-1, 4, NANODET_BINS)
            bins = np.exp(bins - bins.max(axis=-1, keepdims=True))
            distance = bins @ np.arange(NANODET_BINS) / bins.sum(axis=-1) * stride
            corner = centres[chosen] - distance[:, :2]
            found.append(np.hstack([corner, centres[chosen] + distance[:, 2:] - corner]))
            scores.append(person[chosen])
        flat, score = np.concatenate(found) / scale, np.concatenate(scores)
        kept = cv2.dnn.NMSBoxes(flat.tolist(), score.tolist(), self.conf, NANODET_IOU)
        return flat[np.array(kept, int)], score[np.array(kept, int)]

    def __call__(self, image: np.ndarray) -> Poses:
        boxes, scores = self.boxes(image)
        poses = []
        for x, y, width, height in boxes:
            side = MARGIN * max(width, height, 8)
            corner = np.array([x + width / 2, y + height / 2]) - side / 2
            scale = THUNDER_PX / side
            matrix = np.array([[scale, 0, -scale * corner[0]], [0, scale, -scale * corner[1]]])
            crop = cv2.warpAffine(image, matrix, (THUNDER_PX, THUNDER_PX))
            points = self.pose(crop[None].astype(np.int32))[0][0, 0]  # (17, 3)
            points = points[:, [1, 0, 2]].copy()
            points[:, :2] = points[:, :2] * side + corner
            poses.append(points)
        keypoints = np.array(poses, float).reshape(-1, KEYPOINTS, 3)
        return keypoints, scores * keypoints[..., 2].mean(axis=-1)


def _centres(stride: int) -> tuple[np.ndarray, int]:
    side = -(-NANODET_PX // stride)
    x, y = np.meshgrid(np.arange(side), np.arange(side))
    return (np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) * stride, stride
