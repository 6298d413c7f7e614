"""Occluders: blocks in front of people that move with the scene; keypoints behind them are hidden.

"Random Erasing" (Zhong et al., AAAI 2020) for video: a piece of the image itself, a flat or a
patchy block, rectangular or elliptic, in all frames or in some of them.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torchvision.transforms import v2
from torchvision.tv_tensors import KeyPoints, Video, wrap

from vepe.data.clip import HIDDEN
from vepe.data.transforms.affine import opencv_affine
from vepe.data.transforms.tv_tensors import Visibility, array_of


def draw_frames(rng: np.random.Generator, frames: int) -> Bool[np.ndarray, "T"]:
    """Which frames something happens in: all, or in half of the clips one to all but one.

    What single frames lack, the other frames of the clip show.
    """
    chosen = np.ones(frames, bool)
    if frames > 1 and rng.random() < 0.5:
        chosen[rng.permutation(frames)[: int(rng.integers(1, frames))]] = False
    return chosen


class Occluder(v2.Transform):
    """One block in front of everything. Keypoints behind it become hidden.

    Args:
        texture: its image.
        mask: (h, w) 0..1, where the texture is opaque.
        matrices: (T, 3, 3) from texture pixels to image pixels.
        present: (T,) frames with the block.
    """

    _transformed_types = (Video, KeyPoints, Visibility)

    def __init__(
        self,
        texture: UInt8[np.ndarray, "h w 3"],
        mask: Float[np.ndarray, "h w"],
        matrices: Float[np.ndarray, "T 3 3"],
        present: Bool[np.ndarray, "T"],
    ) -> None:
        super().__init__()
        self.texture, self.mask, self.matrices = texture, mask, matrices
        self.present = present

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """(T, N, K) which keypoints are behind the block (called by torchvision)."""
        points = array_of(next(i for i in flat_inputs if isinstance(i, KeyPoints)))
        inverse = np.linalg.inv(self.matrices)[:, None]  # (T, 1, 3, 3)
        local = points @ inverse[..., :2, :2].swapaxes(-1, -2) + inverse[..., None, :2, 2]
        x, y = np.floor(local).astype(np.int64).transpose(3, 0, 1, 2)  # (T, N, K) each
        height, width = self.mask.shape
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        opaque = self.mask[y.clip(0, height - 1), x.clip(0, width - 1)] > 0.5
        return {"covered": inside & opaque & self.present[:, None, None]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """One tensor of the sample, changed (called by torchvision)."""
        if isinstance(inpt, KeyPoints):
            return inpt
        if isinstance(inpt, Visibility):
            visibility = array_of(inpt)
            hidden = np.where(params["covered"] & (visibility > HIDDEN), HIDDEN, visibility)
            return wrap(torch.from_numpy(hidden), like=inpt)
        images = np.array(array_of(inpt).transpose(0, 2, 3, 1), order="C")  # (T, H, W, 3)
        for t in np.flatnonzero(self.present):
            self._draw(images[t], self.matrices[t])
        return Video(torch.from_numpy(images).permute(0, 3, 1, 2))

    def _draw(self, image: UInt8[np.ndarray, "H W 3"], matrix: Float[np.ndarray, "3 3"]) -> None:
        """Blends the block into the rectangle of the image that contains it."""
        height, width = self.mask.shape
        corners = np.array([[0, 0], [width, 0], [0, height], [width, height]])
        mapped = corners @ matrix[:2, :2].T + matrix[:2, 2]
        size = np.array(image.shape[1::-1])
        low = np.clip(np.floor(mapped.min(axis=0)), 0, size).astype(int)
        high = np.clip(np.ceil(mapped.max(axis=0)), 0, size).astype(int)
        if (high <= low).any():
            return
        local = opencv_affine(matrix)
        local[:, 2] -= low
        wh = (int(high[0] - low[0]), int(high[1] - low[1]))
        weight = cv2.warpAffine(self.mask, local, wh)[..., None]
        block = cv2.warpAffine(self.texture, local, wh, borderMode=cv2.BORDER_REPLICATE)
        view = image[low[1] : high[1], low[0] : high[0]]
        view[:] = np.rint(view * (1 - weight) + block * weight).astype(np.uint8)


def draw_occluder(
    rng: np.random.Generator, images: Video, camera: Float[np.ndarray, "T 3 3"]
) -> Occluder:
    """A random block of 10 to 40 % of the image's shorter side.

    Args:
        rng: source of randomness.
        images: (T, 3, H, W) of the clip; the texture may be a piece of the first frame.
        camera: camera motion since the first frame. The block belongs to the scene, and drifts a
            little in it.
    """
    image = array_of(images)[0].transpose(1, 2, 0)
    height, width = image.shape[:2]
    w, h = np.maximum(rng.uniform(0.1, 0.4, 2) * min(width, height), 4).astype(int).tolist()
    kind = rng.choice(3, p=(0.5, 0.25, 0.25))  # a piece of the image, flat, patchy
    if kind == 0 and width > w and height > h:
        x, y = int(rng.integers(width - w)), int(rng.integers(height - h))
        texture = np.ascontiguousarray(image[y : y + h, x : x + w][:, ::-1])
    else:
        texture = np.full((h, w, 3), rng.integers(0, 256, 3), np.uint8)
        if kind == 2:
            coarse = rng.integers(-60, 60, (max(h // 8, 1), max(w // 8, 1), 3)).astype(np.float32)
            texture = np.clip(texture + cv2.resize(coarse, (w, h)), 0, 255).astype(np.uint8)
    mask = np.ones((h, w), np.float32)
    if rng.random() < 0.4:
        mask[:] = 0
        cv2.ellipse(mask, (w // 2, h // 2), (w // 2, h // 2), 0, 0, 360, 1.0, -1)
    angle = rng.uniform(-0.5, 0.5)
    position = np.eye(3)
    position[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    position[:2, 2] = rng.uniform(0, 1, 2) * (width, height) - position[:2, :2] @ (w / 2, h / 2)
    drift = np.broadcast_to(np.eye(3), camera.shape).copy()
    drift[:, :2, 2] = rng.normal(0, 0.02, 2) * min(width, height) * np.arange(len(camera))[:, None]
    return Occluder(texture, mask, camera @ drift @ position, draw_frames(rng, len(camera)))
