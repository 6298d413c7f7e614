"""Short texts on plates of a person's colour: track ids and names at heads."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from vepe.viz.colours import DARK, Colour, readable_on

Image = UInt8[np.ndarray, "H W 3"]

_MIN_PLATE_PX = 10
"""Height of a plate below which digits cannot be read."""

_SCALE = 4
"""Plates are painted this much larger and averaged down, for smooth corners."""

_MAX_TEXT = 40


def plate_height(head_px: float, diagonal_px: float) -> int:
    """Height of a label in pixels: a little less than the head's, within bounds of the image."""
    highest = 12 + 0.016 * diagonal_px
    return round(max(min(0.75 * head_px, highest), _MIN_PLATE_PX))


def draw_label(
    canvas: Image, text: str, at: tuple[float, float], colour: Colour, height: int
) -> None:
    """Draws a text on a plate of `height` px, moved so that it lies inside the image.

    Args:
        canvas: changed in place.
        text: one line; long ones are cut off.
        at: middle of the plate's lower edge, x and y in pixels.
        colour: of the plate.
        height: of the plate in pixels.
    """
    plate, alpha = _plate(text[:_MAX_TEXT], colour, height)
    rows, columns = canvas.shape[:2]
    high, wide = min(plate.shape[0], rows), min(plate.shape[1], columns)
    left = min(max(round(at[0] - wide / 2), 0), columns - wide)
    top = min(max(round(at[1] - high), 0), rows - high)
    part = canvas[top : top + high, left : left + wide]
    weight = alpha[:high, :wide, None].astype(np.uint16)
    mixed = plate[:high, :wide] * weight + part * (255 - weight)
    part[:] = (mixed + 127) // 255


@lru_cache(maxsize=512)
def _plate(
    text: str, colour: Colour, height: int
) -> tuple[UInt8[np.ndarray, "H W 3"], UInt8[np.ndarray, "H W"]]:
    """The image of a label, and its alpha: a rounded plate with a dark rim and the text."""
    inside = height - 2
    font = ImageFont.load_default(size=max(0.92 * inside, 6.0) * _SCALE)
    bold = max(1, round(0.02 * inside * _SCALE))
    left, _, right, _ = font.getbbox(text, stroke_width=bold)
    # The middle of digits, not that of the line with its descenders, is the middle of the plate.
    _, top, _, bottom = font.getbbox("0", stroke_width=bold)
    width = max(round((right - left) / _SCALE + 0.55 * inside), inside) + 2
    size = (width * _SCALE, height * _SCALE)
    shape = np.zeros((size[1], size[0]), np.uint8)
    _rounded_box(shape, 0, height)
    alpha = cv2.resize(shape, (width, height), interpolation=cv2.INTER_AREA)
    shape[:] = 0
    _rounded_box(shape, _SCALE, height)
    filling = cv2.resize(shape, (width, height), interpolation=cv2.INTER_AREA)
    ink = PilImage.new("L", size, 0)
    at = ((size[0] - left - right) / 2, (size[1] - top - bottom) / 2)
    ImageDraw.Draw(ink).text(at, text, fill=255, font=font, stroke_width=bold, stroke_fill=255)
    letters = cv2.resize(np.asarray(ink), (width, height), interpolation=cv2.INTER_AREA)
    plate = np.full((height, width, 3), DARK, np.float32)
    for layer, paint in ((filling, colour), (letters, readable_on(colour))):
        weight = layer[..., None].astype(np.float32) / 255
        plate += (np.asarray(paint, np.float32) - plate) * weight
    return np.rint(plate).astype(np.uint8), alpha


def _rounded_box(shape: UInt8[np.ndarray, "H W"], edge: int, height: int) -> None:
    """Fills an enlarged plate but its edge, with rounded corners."""
    radius = height * _SCALE // 4 - edge
    high, wide = shape.shape
    far_x, far_y = wide - edge - 1, high - edge - 1
    cv2.rectangle(shape, (edge + radius, edge), (far_x - radius, far_y), 255, -1)
    cv2.rectangle(shape, (edge, edge + radius), (far_x, far_y - radius), 255, -1)
    for x in (edge + radius, far_x - radius):
        for y in (edge + radius, far_y - radius):
            cv2.circle(shape, (x, y), radius, 255, -1)
