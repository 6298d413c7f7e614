"""Draws people onto images: limbs, keypoints and track ids. OpenCV only, no torch.

One colour per person, the same in every frame; left limbs are lighter and right limbs darker. A
dark outline keeps lines readable on any background. Hues step by the golden angle in OKLCH
(Ottosson 2020, "A perceptual color space for image processing"), where equal steps look equally
different; lightness cycles, so that similar hues still differ after many people.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from vepe.errors import VepeError
from vepe.skeleton import Skeleton
from vepe.types import NO_TRACK, FramePoses

Colour = tuple[int, int, int]
"""Red, green, blue in 0..255."""

WHITE: Colour = (255, 255, 255)
DARK: Colour = (16, 18, 22)

_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))
_FIRST_HUE = 0.55
_LIGHTNESS = (0.74, 0.66, 0.82)
_CHROMA = 0.19


@lru_cache(maxsize=4096)
def person_colour(number: int) -> Colour:
    """The colour of a track id, or of a person's index if there are no ids.

    Negative numbers are allowed; each number always has the same colour.
    """
    hue = _FIRST_HUE + number * _GOLDEN_ANGLE
    return _from_oklch(_LIGHTNESS[number % len(_LIGHTNESS)], _CHROMA, hue)


def mix(colour: Colour, other: Colour, weight: float) -> Colour:
    """The mean of two colours; `weight` (0..1) is that of the other one."""
    red, green, blue = (round(a + weight * (b - a)) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def readable_on(background: Colour) -> Colour:
    """Dark or white, whichever contrasts better with a background (WCAG relative luminance)."""
    red, green, blue = (_to_linear(c / 255) for c in background)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return DARK if luminance > 0.18 else WHITE


def _from_oklch(lightness: float, chroma: float, hue: float) -> Colour:
    """OKLCH to sRGB; chroma is reduced until the colour lies in the sRGB gamut."""
    while True:
        linear = _oklab_to_linear(lightness, chroma * math.cos(hue), chroma * math.sin(hue))
        if all(-1e-4 <= c <= 1.0001 for c in linear) or chroma < 0.01:
            red, green, blue = (round(255 * _to_srgb(min(max(c, 0.0), 1.0))) for c in linear)
            return red, green, blue
        chroma -= 0.005


def _oklab_to_linear(lightness: float, a: float, b: float) -> tuple[float, float, float]:
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )


def _to_srgb(linear: float) -> float:
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055


def _to_linear(srgb: float) -> float:
    return srgb / 12.92 if srgb <= 0.04045 else float(((srgb + 0.055) / 1.055) ** 2.4)


SHIFT = 4
"""Fractional bits of the coordinates that OpenCV draws with."""

_FONT = cv2.FONT_HERSHEY_DUPLEX
_LEFT_TINT, _RIGHT_SHADE = 0.42, 0.38
_FAR_PX = 30_000.0

Image = UInt8[np.ndarray, "H W 3"]


@dataclass(frozen=True)
class _Sizes:
    """Line widths and text size for one person in one image; pixels, OpenCV's font scale."""

    line: int
    outline: int
    dot: float
    text: float


def draw_poses(
    image_rgb: Image,
    poses: FramePoses,
    skeleton: Skeleton,
    *,
    min_keypoint_score: float = 0.3,
    labels: bool = True,
    names: Sequence[str] = (),
) -> Image:
    """Draws all people on a copy of the image.

    Args:
        image_rgb: (H, W, 3) uint8 RGB.
        poses: the people, in pixels of this image.
        skeleton: the skeleton of `poses`.
        min_keypoint_score: keypoints below it, and the limbs that end in them, are not drawn.
        labels: whether tracked people get their track id at the head.
        names: labels in place of the track ids, one per person.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        VepeError: if the image is not uint8 RGB or the poses have another skeleton.
    """
    if image_rgb.dtype != np.uint8 or image_rgb.ndim != 3 or image_rgb.shape[2] != 3:
        raise VepeError(
            f"Cannot draw on an array of {image_rgb.dtype} and shape {image_rgb.shape}; give a "
            "uint8 RGB image of shape (H, W, 3)."
        )
    if poses.keypoints_px.shape[1] != len(skeleton):
        raise VepeError(
            f"Poses of {poses.keypoints_px.shape[1]} keypoints do not fit skeleton "
            f"'{skeleton.name}' of {len(skeleton)}; give the skeleton they were made with."
        )
    canvas = np.array(image_rgb, order="C", copy=True)
    shown = (poses.keypoint_scores >= min_keypoint_score) & np.isfinite(poses.keypoints_px).all(-1)
    # The highest-scoring person comes first in `poses` and is drawn last, over the others.
    people = [n for n in range(len(poses) - 1, -1, -1) if shown[n].any()]
    sizes = {n: _sizes(poses.keypoints_px[n][shown[n]], canvas.shape) for n in people}
    for n in people:
        colour = _colour_of(poses, n)
        _draw_person(canvas, poses.keypoints_px[n], shown[n], skeleton, colour, sizes[n])
    if labels:
        for n in people:
            track = int(poses.track_ids[n])
            if track != NO_TRACK:
                at = _label_place(poses.keypoints_px[n], shown[n], skeleton)
                _draw_label(
                    canvas, names[n] if names else str(track), at, person_colour(track), sizes[n]
                )
    return canvas


def _colour_of(poses: FramePoses, person: int) -> Colour:
    track = int(poses.track_ids[person])
    return person_colour(person if track == NO_TRACK else track)


def _sizes(points_px: Float[np.ndarray, "S 2"], shape: tuple[int, ...]) -> _Sizes:
    """Sizes that grow with the person, within bounds that grow with the image."""
    diagonal = math.hypot(shape[0], shape[1])
    person = float(np.linalg.norm(np.ptp(points_px, axis=0)))
    width = min(max(0.014 * person, 0.0016 * diagonal), 0.0042 * diagonal)
    line = max(1, round(width))
    return _Sizes(
        line=line,
        outline=line + 2 * max(1, round(0.3 * width)) if line > 1 else 0,
        dot=max(1.0, 0.85 * width),
        text=min(max(0.0026 * person, 0.0005 * diagonal, 0.36), 0.0007 * diagonal + 0.2),
    )


@lru_cache(maxsize=64)
def _edges(skeleton: Skeleton) -> tuple[Int[np.ndarray, "E 2"], Int[np.ndarray, "E"]]:
    """The skeleton's edges, and the side of each: 1 left, -1 right, 0 middle."""
    sides = np.array([_side(name) for name in skeleton.keypoints])
    edges = np.asarray(skeleton.edges, np.int64).reshape(-1, 2)
    return edges, np.sign(sides[edges].sum(axis=1))


def _side(name: str) -> int:
    return 1 if name.startswith("left_") else -1 if name.startswith("right_") else 0


@lru_cache(maxsize=1024)
def _tints(colour: Colour) -> dict[int, tuple[Colour, Colour]]:
    """Colours of limbs and of keypoints, by side; right first, so that left limbs are on top."""
    limbs = {
        -1: mix(colour, DARK, _RIGHT_SHADE),
        0: colour,
        1: mix(colour, WHITE, _LEFT_TINT),
    }
    return {side: (limb, mix(limb, WHITE, 0.35)) for side, limb in limbs.items()}


def fixed_point(points_px: Float[np.ndarray, "*S 2"]) -> Int[np.ndarray, "*S 2"]:
    """Points as OpenCV takes them: in 1/16 px, counted from the centre of the first pixel."""
    points_px = np.nan_to_num(np.clip(points_px, -_FAR_PX, _FAR_PX))
    return np.rint((points_px - 0.5) * 2**SHIFT).astype(np.int32)


def _draw_person(
    canvas: Image,
    keypoints_px: Float[np.ndarray, "K 2"],
    shown: Bool[np.ndarray, "K"],
    skeleton: Skeleton,
    colour: Colour,
    sizes: _Sizes,
) -> None:
    edges, sides = _edges(skeleton)
    whole = shown[edges].all(axis=1)
    limbs, sides = keypoints_px[edges[whole]], sides[whole]
    neck = _neck(keypoints_px, shown, skeleton)
    if neck is not None:
        limbs, sides = np.concatenate([limbs, neck[None]]), np.append(sides, 0)
    ends, tints = list(fixed_point(limbs)), _tints(colour)
    if sizes.outline and ends:
        cv2.polylines(canvas, ends, False, DARK, sizes.outline, cv2.LINE_AA, SHIFT)
    for side, (tint, _) in tints.items():
        lines = [line for line, at in zip(ends, sides.tolist(), strict=True) if at == side]
        if lines:
            cv2.polylines(canvas, lines, False, tint, sizes.line, cv2.LINE_AA, SHIFT)
    radius = round(sizes.dot * 2**SHIFT)
    outline = radius + (max(1, round(0.35 * sizes.dot)) << SHIFT)
    which = np.flatnonzero(shown)
    for k, point in zip(which.tolist(), fixed_point(keypoints_px[which]).tolist(), strict=True):
        if sizes.outline:
            cv2.circle(canvas, point, outline, DARK, -1, cv2.LINE_AA, SHIFT)
        dot = tints[_side(skeleton.keypoints[k])][1]
        cv2.circle(canvas, point, radius, dot, -1, cv2.LINE_AA, SHIFT)


def _neck(
    keypoints_px: Float[np.ndarray, "K 2"], shown: Bool[np.ndarray, "K"], skeleton: Skeleton
) -> Float[np.ndarray, "2 2"] | None:
    """The line from head_bottom to the middle of the shoulders, which is no pair of keypoints.

    None if one of the three is not shown.
    """
    names = ("head_bottom", "left_shoulder", "right_shoulder")
    if not set(names) <= set(skeleton.keypoints):
        return None
    head, left, right = (skeleton.index(name) for name in names)
    if not shown[[head, left, right]].all():
        return None
    return np.stack([keypoints_px[head], keypoints_px[[left, right]].mean(axis=0)])


_HEAD = ("head_top", "head", "nose", "left_ear", "right_ear", "left_eye", "right_eye")


def _label_place(
    keypoints_px: Float[np.ndarray, "K 2"], shown: Bool[np.ndarray, "K"], skeleton: Skeleton
) -> tuple[float, float]:
    """Middle of the label's lower edge: above the head, or above the topmost keypoint."""
    head = [k for k, name in enumerate(skeleton.keypoints) if name in _HEAD and shown[k]]
    points = keypoints_px[head] if head else keypoints_px[shown]
    x, y = points[points[:, 1].argmin()].tolist()
    return float(np.clip(x, -_FAR_PX, _FAR_PX)), float(np.clip(y, -_FAR_PX, _FAR_PX))


def _draw_label(
    canvas: Image, text: str, at: tuple[float, float], colour: Colour, sizes: _Sizes
) -> None:
    """The text on a plate of the person's colour, moved so that it lies inside the image."""
    height, width = canvas.shape[:2]
    weight = 2 if sizes.text >= 1.1 else 1
    (text_width, text_height), _ = cv2.getTextSize(text, _FONT, sizes.text, weight)
    pad = max(2, round(0.35 * text_height))
    plate_width, plate_height = text_width + 2 * pad, text_height + 2 * pad
    gap = sizes.line * 2 + pad
    left = min(max(round(at[0] - plate_width / 2), 0), max(width - plate_width, 0))
    top = min(max(round(at[1] - gap - plate_height), 0), max(height - plate_height, 0))
    right, bottom = left + plate_width, top + plate_height
    radius = max(1, plate_height // 4)
    _plate(canvas, (left - 1, top - 1, right + 1, bottom + 1), radius + 1, DARK)
    _plate(canvas, (left, top, right, bottom), radius, colour)
    origin = (left + pad, bottom - pad)
    ink = readable_on(colour)
    cv2.putText(canvas, text, origin, _FONT, sizes.text, ink, weight, cv2.LINE_AA)


def _plate(canvas: Image, box: tuple[int, int, int, int], radius: int, colour: Colour) -> None:
    """A filled rectangle with rounded corners."""
    left, top, right, bottom = box
    cv2.rectangle(canvas, (left + radius, top), (right - radius, bottom), colour, -1)
    cv2.rectangle(canvas, (left, top + radius), (right, bottom - radius), colour, -1)
    for x in (left + radius, right - radius):
        for y in (top + radius, bottom - radius):
            cv2.circle(canvas, (x, y), radius, colour, -1, cv2.LINE_AA)
