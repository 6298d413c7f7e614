"""Anti-aliased lines and dots of any width with dark rims, painted onto a part of an image.

OpenCV's lines have whole widths, and its dots of one or two pixels are diamonds. So lines are
painted as polygons, and thin strokes on an enlarged copy of their part of the image, which is then
averaged down; where nothing is painted, that gives back exactly the same pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from vepe.viz.colours import DARK, Colour

Image = UInt8[np.ndarray, "H W 3"]

SHIFT = 4
"""Fractional bits of the coordinates that OpenCV draws with."""

_FAR_PX = 30_000.0
_SMOOTH_PX = 4.5
"""Width in enlarged pixels from which OpenCV's shapes look smooth."""

_LINE_EXCESS_PX, _DOT_EXCESS_PX = 1.4, 1.1
"""How much wider than asked OpenCV paints a polygon and a circle with smooth edges (measured)."""


@dataclass(frozen=True)
class Strokes:
    """Lines or dots of one kind, in the order in which they are painted.

    Attributes:
        points_px: (N, 2, 2) the ends of lines, or (N, 2) the centres of dots.
        widths_px: (N,) widths of lines, diameters of dots.
        colours: one for each.
        alphas: (N,) in 0..1, or None where all are opaque.
        round_ends: whether lines end in half circles, as those of a chain must.
    """

    points_px: Float[np.ndarray, "N *E 2"]
    widths_px: Float[np.ndarray, "N"]
    colours: Sequence[Colour]
    alphas: Float[np.ndarray, "N"] | None = None
    round_ends: bool = False

    @staticmethod
    def chain(
        points_px: Float[np.ndarray, "M 2"],
        widths_px: Float[np.ndarray, "N"] | float,
        colour: Colour,
        alphas: Float[np.ndarray, "N"] | None = None,
    ) -> Strokes:
        """The N = M - 1 lines from each point to the next."""
        ends = np.stack([points_px[:-1], points_px[1:]], axis=1)
        widths = np.broadcast_to(np.asarray(widths_px, np.float64), (len(ends),))
        return Strokes(ends, widths, [colour] * len(ends), alphas, round_ends=True)


def fixed_point(points_px: Float[np.ndarray, "*S 2"]) -> Int[np.ndarray, "*S 2"]:
    """Finite points as OpenCV takes them: in 1/16 px, from the centre of the first pixel."""
    near = np.minimum(np.maximum(points_px, -_FAR_PX), _FAR_PX)
    return np.rint((near - 0.5) * 2**SHIFT).astype(np.int32)


def paint(canvas: Image, kinds: Sequence[Strokes], rim_px: float = 0.0, max_scale: int = 4) -> None:
    """Paints each kind of strokes after a dark rim around all of that kind.

    Args:
        canvas: (H, W, 3) uint8 RGB, changed in place.
        kinds: what to paint, in this order; all points are finite.
        rim_px: width of the rim on each side; 0 draws none.
        max_scale: 1, 2 or 4: how much the part of the image may be enlarged; less is faster.
    """
    kinds = [kind for kind in kinds if len(kind.widths_px)]
    if not kinds:
        return
    thinnest = min(float(kind.widths_px.min()) for kind in kinds)
    scale = 1 if thinnest >= _SMOOTH_PX else 2 if thinnest >= _SMOOTH_PX / 2 else 4
    scale = min(scale, max_scale)
    reach = max(float(kind.widths_px.max()) for kind in kinds) / 2 + rim_px + 2
    points = np.concatenate([kind.points_px.reshape(-1, 2) for kind in kinds])
    size = np.array(canvas.shape[1::-1])
    low = np.clip(np.floor(points.min(axis=0) - reach), 0, size).astype(int)
    high = np.clip(np.ceil(points.max(axis=0) + reach), 0, size).astype(int)
    if (high <= low).any():
        return
    part = canvas[low[1] : high[1], low[0] : high[0]]
    enlarged = _enlarged(part, scale)
    faded = any(kind.alphas is not None for kind in kinds)
    alpha = np.zeros(enlarged.shape[:2], np.uint8) if faded else None
    for kind in kinds:
        if rim_px > 0:
            _paint_kind(enlarged, alpha, kind, low, scale, rim_px, DARK)
        _paint_kind(enlarged, alpha, kind, low, scale, 0.0, None)
    if alpha is not None:
        enlarged = _blended(_enlarged(part, scale), enlarged, alpha)
    if scale > 1:
        enlarged = cv2.resize(enlarged, part.shape[1::-1], interpolation=cv2.INTER_AREA)
    part[:] = enlarged


def _enlarged(part: Image, scale: int) -> Image:
    if scale == 1:
        return np.array(part, order="C")
    height, width = part.shape[:2]
    size = (width * scale, height * scale)
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def _paint_kind(
    enlarged: Image,
    alpha: UInt8[np.ndarray, "H W"] | None,
    kind: Strokes,
    low: Int[np.ndarray, "2"],
    scale: int,
    rim_px: float,
    rim_colour: Colour | None,
) -> None:
    """Paints strokes, or their rims, in colour and into the map of alphas."""
    points = (kind.points_px - low) * scale
    widths = (kind.widths_px + 2 * rim_px) * scale
    colours = kind.colours if rim_colour is None else [rim_colour] * len(widths)
    layers: list[tuple[np.ndarray, Sequence[Colour | int]]] = [(enlarged, colours)]
    if alpha is not None:
        alphas = np.ones(len(widths)) if kind.alphas is None else kind.alphas
        layers.append((alpha, np.rint(255 * alphas).astype(int).tolist()))
    are_lines = points.ndim == 3
    radii = np.rint(np.maximum(widths - _DOT_EXCESS_PX, 0.2) * 2 ** (SHIFT - 1)).astype(int)
    quads = _quads(points, np.maximum(widths - _LINE_EXCESS_PX, 0.2)) if are_lines else ()
    for layer, values in layers:
        for quad, value in zip(quads, values, strict=False):
            cv2.fillConvexPoly(layer, quad, value, cv2.LINE_AA, SHIFT)
        if not are_lines or kind.round_ends:
            centres = fixed_point(points).reshape(len(widths), -1, 2).tolist()
            for ends, radius, value in zip(centres, radii.tolist(), values, strict=True):
                for centre in ends:
                    cv2.circle(layer, centre, radius, value, -1, cv2.LINE_AA, SHIFT)


def _quads(
    ends: Float[np.ndarray, "N 2 2"], widths: Float[np.ndarray, "N"]
) -> Int[np.ndarray, "N 4 2"]:
    """The corners of each line, as OpenCV takes them."""
    along = ends[:, 1] - ends[:, 0]
    length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)
    along *= (widths / 2 / length)[:, None]
    corners = np.empty((len(ends), 4, 2))
    corners[:, [0, 3]], corners[:, [1, 2]] = ends[:, :1], ends[:, 1:]
    corners[:, :2] += along[:, None, ::-1] * (-1, 1)
    corners[:, 2:] -= along[:, None, ::-1] * (-1, 1)
    return fixed_point(corners)


def _blended(under: Image, over: Image, alpha: UInt8[np.ndarray, "H W"]) -> Image:
    weight = cv2.merge([alpha, alpha, alpha])
    shown = cv2.multiply(over, weight, scale=1 / 255)
    kept = cv2.multiply(under, cv2.bitwise_not(weight), scale=1 / 255)
    return np.asarray(cv2.add(shown, kept), np.uint8)
