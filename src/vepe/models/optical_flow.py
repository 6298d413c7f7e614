"""Dense optical flow between two frames, by OpenCV and NumPy: the same for every runtime.

Flow is OpenCV's DIS (arXiv 1603.03590): no training, a few milliseconds per pair of frames on one
CPU core.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, UInt8

FLOW_SCALE = 4
"""The flow is stored at a fourth of the input's resolution, which is what DIS computes it at."""


def grey_image(image_rgb: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W"]:
    """What a frame is aligned by: its luma."""
    grey: np.ndarray = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
    return grey


def dense_flow(
    earlier: UInt8[np.ndarray, "H W"], later: UInt8[np.ndarray, "H W"]
) -> Float[np.ndarray, "2 2 h w"]:
    """Flow in both directions at a `FLOW_SCALE`th of the resolution.

    Returns:
        the displacement from the earlier frame to the later one, then that from the later to the
        earlier one; each (x, y) in pixels of the frames.
    """
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    height, width = earlier.shape
    size = (max(width // FLOW_SCALE, 1), max(height // FLOW_SCALE, 1))
    flows = [
        cv2.resize(dis.calc(a, b, None), size, interpolation=cv2.INTER_AREA)
        for a, b in ((earlier, later), (later, earlier))
    ]
    return np.ascontiguousarray(np.stack(flows).transpose(0, 3, 1, 2))
