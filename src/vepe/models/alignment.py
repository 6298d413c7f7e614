"""Alignment: where the points of one frame are in another, and how reliable that is.

Other frames help only at the place where a joint *is* in them (DCPose, PAVE-Net and Snipper read
them so): a joint moves by several cells of the memory within a tenth of a second. Two successive
frames are aligned once, by dense optical flow in both directions; points are then carried from
frame to frame, whichever window they are read in. A point that does not come back to where it
started when it is carried there and back is not reliable (ours).

The flow is that of `vepe.models.optical_flow`. To add another alignment, return a `FrameMotion`
from it and name it in `vepe.config.model.TemporalConfig.alignment`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vepe.models.deformable import sample_map
from vepe.models.optical_flow import dense_flow
from vepe.models.positions import map_wh

Alignment = Literal["flow", "none"]

_LUMA = (9798, 19235, 3735)
"""Weights of red, green and blue in 32768ths, as OpenCV rounds them."""


@dataclass(frozen=True)
class FrameMotion:
    """Motion between two successive frames.

    Attributes:
        forward: (B, 2, h, w) displacement from the earlier frame to the later one, (x, y) in pixels
            of the network's input.
        backward: the same from the later frame to the earlier one.
        image_wh_px: width and height of the input that the maps cover.
    """

    forward: Float[Tensor, "B 2 h w"]
    backward: Float[Tensor, "B 2 h w"]
    image_wh_px: Float[Tensor, "2"]

    def carry(
        self, points_px: Float[Tensor, "B N K 2"], *, reverse: bool = False
    ) -> tuple[Float[Tensor, "B N K 2"], Float[Tensor, "B N K"]]:
        """Carries points to the later frame, or with `reverse` from the later to the earlier one.

        Returns:
            carried: their places in the other frame.
            error_px: how far from its start a point ends that is carried there and back.
        """
        there, back = (self.backward, self.forward) if reverse else (self.forward, self.backward)
        carried = points_px + self._sample(there, points_px)
        returned = carried + self._sample(back, carried)
        return carried, (returned - points_px).norm(dim=-1)

    def _sample(self, flow: Tensor, points_px: Tensor) -> Float[Tensor, "B N K 2"]:
        """The flow at points; that of the border for points outside the image."""
        margin = self.image_wh_px / map_wh(flow) / 2  # the centre of the outermost cells
        inside = points_px.clamp(margin, self.image_wh_px - margin)
        return sample_map(flow, inside, self.image_wh_px).permute(0, 2, 3, 1)  # (B, N, K, 2)


def grey_images(images: Float[Tensor, "B 3 H W"]) -> UInt8[Tensor, "B H W"]:
    """What a frame is aligned by: its luma, 0..255, exactly as `optical_flow.grey_image` gives."""
    red, green, blue = (images * 255).round().clamp(0, 255).int().unbind(1)
    luma = red * _LUMA[0] + green * _LUMA[1] + blue * _LUMA[2]
    return ((luma + (1 << 14)) >> 15).to(torch.uint8)


def optical_flow(earlier: UInt8[Tensor, "B H W"], later: UInt8[Tensor, "B H W"]) -> FrameMotion:
    """Dense flow between two frames in both directions; runs on the CPU, frame by frame.

    The result is on the device of the images.
    """
    pairs = zip(earlier.cpu().numpy(), later.cpu().numpy(), strict=True)
    flows = torch.from_numpy(np.stack([dense_flow(a, b) for a, b in pairs])).to(earlier.device)
    return FrameMotion(flows[:, 0], flows[:, 1], map_wh(earlier))
