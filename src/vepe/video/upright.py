"""From decoded frames to what a player shows: upright 8-bit RGB with square pixels, HDR as SDR."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any, cast

import av
import numpy as np
from av.buffer import Buffer
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import VideoReformatter
from jaxtyping import Float, UInt8, UInt16

_MAX_ASPECT = 8
"""Sample aspect ratios beyond this, either way, are taken for errors in the file."""

_PQ, _HLG = 16, 18  # transfer characteristics of ITU-T H.273
_BT2020 = 9  # colour primaries and matrix of ITU-T H.273
_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    np.float32,
)
"""Linear RGB of BT.2020 primaries to BT.709 primaries (ITU-R BT.2407)."""
_PEAK_NITS, _WHITE_NITS = 1000.0, 203.0
"""Brightness of the HLG reference display, and of HDR reference white (ITU-R BT.2408)."""
_KNEE = 0.6
"""Linear brightness, as a fraction of white, up to which tone mapping changes nothing."""
_BRIGHTEST = 8.0
"""Linear brightness, as a multiple of white, at which highlights are clipped."""
_LEVELS = 4096


class Upright:
    """Converts the frames of one stream into upright RGB images of one size.

    Keeps one scaler for all frames: setting up a new one for each costs more than the conversion.

    Args:
        first: the first frame; its size, rotation and colours count for all.
        sample_aspect: width of a pixel divided by its height, as the stream states it, or None.
    """

    def __init__(self, first: av.VideoFrame, sample_aspect: Fraction | None = None) -> None:
        self._stored_size = (first.width, first.height)
        self._square_size = square_size(first.width, first.height, sample_aspect)
        self._swap, self._flip_rows, self._flip_columns = turns_of(first)
        self._transfer = first.color_trc if first.color_trc in (_PQ, _HLG) else None
        self._wide_gamut = first.color_primaries == _BT2020
        self._scaler = VideoReformatter()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright image in pixels."""
        width, height = self._square_size
        return (height, width) if self._swap else (width, height)

    def fits(self, frame: av.VideoFrame) -> bool:
        """Whether the frame has the size of the first one; others are scaled to it."""
        return (frame.width, frame.height) == self._stored_size

    def image(self, frame: av.VideoFrame) -> UInt8[np.ndarray, "H W 3"]:
        """The frame as upright RGB, contiguous; copied only if rows are padded or turned."""
        width, height = self._square_size
        layout = "rgb24" if self._transfer is None else "rgb48le"
        # One thread: for a mere change of format, handing out slices costs more than it saves.
        rgb = self._scaler.reformat(frame, width, height, layout, threads=1)
        image: np.ndarray = np.ascontiguousarray(rgb.to_ndarray())
        if self._transfer is not None:
            image = tone_mapped(image, self._transfer, wide_gamut=self._wide_gamut)
        if self._swap or self._flip_rows or self._flip_columns:
            return self._turned(image)
        return image

    def _turned(self, image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H2 W2 3"]:
        import cv2  # imported only for rotated videos; many times faster here than NumPy's copy

        if self._swap:
            image = cv2.transpose(image)
        if self._flip_rows or self._flip_columns:
            both = self._flip_rows and self._flip_columns
            image = cv2.flip(image, -1 if both else 0 if self._flip_rows else 1)
        return image


def square_size(width: int, height: int, sample_aspect: Fraction | None) -> tuple[int, int]:
    """Width and height of an image with square pixels; the height is kept, as players do."""
    if not sample_aspect or not 1 / _MAX_ASPECT <= sample_aspect <= _MAX_ASPECT:
        return width, height
    return max(1, round(width * sample_aspect)), height


def turns_of(frame: av.VideoFrame) -> tuple[bool, bool, bool]:
    """What makes the frame upright: (swap axes, then flip rows, then flip columns).

    Read from the display matrix, which maps a stored pixel (p, q) to the shown pixel
    (a p + c q, b p + d q); see libavutil/display.h. Angles are rounded to quarter turns.
    """
    # PyAV's stubs take the container for a dict of names.
    side_data = cast("Mapping[Any, Buffer]", frame.side_data)
    data = side_data.get(SideDataType.DISPLAYMATRIX)
    if data is None:
        return False, False, False
    a, b, _, c, d = (int(v) for v in np.frombuffer(bytes(data), np.int32)[:5])
    if math.hypot(b, c) > math.hypot(a, d):
        return True, b < 0, c < 0
    return False, d < 0, a < 0


def tone_mapped(
    image: UInt16[np.ndarray, "H W 3"], transfer: int, *, wide_gamut: bool
) -> UInt8[np.ndarray, "H W 3"]:
    """An HDR image as BT.709: linear light, BT.709 primaries, highlights compressed, gamma.

    Args:
        image: RGB as the file encodes it, full range of 16 bits.
        transfer: its transfer function, by its code in ITU-T H.273: 16 (PQ) or 18 (HLG).
        wide_gamut: whether its primaries are those of BT.2020.
    """
    import cv2  # imported only for HDR video

    linear = _linear_table(transfer)[image >> 4]  # (H, W, 3), 1 is reference white
    if wide_gamut:
        linear = cv2.transform(linear, _TO_BT709)
    # The square root gives dark tones as many levels as they need.
    levels = np.sqrt(np.clip(linear / _BRIGHTEST, 0, 1)) * (_LEVELS - 1)
    return _display_table()[levels.astype(np.uint16)]


@lru_cache(maxsize=2)
def _linear_table(transfer: int) -> Float[np.ndarray, "L"]:
    """Light on the reference display for every signal level, 1 at reference white (BT.2100)."""
    signal = np.linspace(0, 1, _LEVELS)
    if transfer == _PQ:
        power = signal ** (1 / 78.84375)
        nits = 10_000 * (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (
            1 / 0.1593017578125
        )
    else:
        upper = (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12
        scene = np.where(signal <= 0.5, signal**2 / 3, upper)
        nits = _PEAK_NITS * scene**1.2  # the system gamma, here for each channel
    return (nits / _WHITE_NITS).astype(np.float32)


@lru_cache(maxsize=1)
def _display_table() -> UInt8[np.ndarray, "L"]:
    """8-bit values for square roots of linear light, with a soft knee for highlights."""
    linear = _BRIGHTEST * (np.arange(_LEVELS) / (_LEVELS - 1)) ** 2
    room = 1 - _KNEE
    soft = _KNEE + room * (1 - np.exp(-(linear - _KNEE) / room))
    compressed = np.where(linear <= _KNEE, linear, soft)
    return np.rint(255 * np.clip(compressed, 0, 1) ** (1 / 2.4)).astype(np.uint8)
