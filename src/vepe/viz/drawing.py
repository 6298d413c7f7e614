"""Draws people onto images: limbs, keypoints, boxes, trails and track ids, as `DrawingOptions` say.

Left limbs are lighter than a person's colour and right limbs darker. A dark rim keeps lines
readable on any background. Widths of lines and sizes of texts follow the size of each person.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from vepe.errors import VepeError
from vepe.skeleton import Skeleton
from vepe.types import NO_TRACK, FramePoses
from vepe.viz.body import body_height, head_circle
from vepe.viz.colours import DARK, person_colour, side_tints
from vepe.viz.labels import draw_label, plate_height
from vepe.viz.options import DrawingOptions
from vepe.viz.privacy import HeldRegions, blur_background, hide, regions
from vepe.viz.strokes import Strokes, paint

Image = UInt8[np.ndarray, "H W 3"]

_FAR_PX = 30_000.0
_DOT_PER_LINE = 1.75
"""Diameter of a keypoint in widths of a limb."""

_TRAIL_PIECES = 32
"""Most lines that a trail is drawn with."""

_FADED_ALPHA = 0.25
"""Alpha of a keypoint whose score is just high enough, with `fade`; 1 from `_FULL_SCORE` on."""

_FULL_SCORE = 0.9


@dataclass(frozen=True)
class _Person:
    """One person to draw.

    Attributes:
        points_px: (K, 2); NaN where a keypoint is unknown.
        shown: (K,) which keypoints are drawn.
        alphas: (K,) how opaque they are.
        track_id: of the person, or `NO_TRACK`.
        number: which decides the colour.
        line_px, rim_px: width of limbs, and of the rim on each side.
        head_px: height of the head.
        head_top_px: x, y above the head, where labels stand.
        text: of the label; "" for none.
    """

    points_px: Float[np.ndarray, "K 2"]
    shown: Bool[np.ndarray, "K"]
    alphas: Float[np.ndarray, "K"]
    track_id: int
    number: int
    line_px: float
    rim_px: float
    head_px: float
    head_top_px: tuple[float, float]
    text: str


class PoseRenderer:
    """Draws the frames of one video in order; remembers trails, and what is hidden.

    Args:
        skeleton: of all poses.
        options: how they are drawn.
    """

    def __init__(self, skeleton: Skeleton, options: DrawingOptions | None = None) -> None:
        self.skeleton, self.options = skeleton, options or DrawingOptions()
        self._trails: dict[int, deque[tuple[float, float, float]]] = {}
        self._held = HeldRegions()

    def draw(self, image_rgb: Image, poses: FramePoses, texts: Sequence[str] = ()) -> Image:
        """Draws all people on a copy of the image.

        Args:
            image_rgb: (H, W, 3) uint8 RGB.
            poses: the people, in pixels of this image.
            texts: labels in place of ids and names, one per person.

        Returns:
            (H, W, 3) uint8 RGB, of twice the width with `side_by_side`.

        Raises:
            VepeError: if the image is not uint8 RGB or the poses have another skeleton.
        """
        _check(image_rgb, poses, self.skeleton)
        options = self.options
        canvas = np.array(image_rgb, order="C", copy=True)
        if options.hide != "none":
            current = regions(poses, self.skeleton, options.hide)
            hide(canvas, self._held.update(current, poses.time_s), options)
        plain = canvas.copy() if options.side_by_side else None
        if options.background == "black":
            canvas[:] = 0
        elif options.background == "blur":
            people = regions(poses, self.skeleton, "people")
            canvas = blur_background(canvas, list(people.values()))
        self._draw_people(canvas, poses, texts)
        return canvas if plain is None else np.concatenate([plain, canvas], axis=1)

    def _draw_people(self, canvas: Image, poses: FramePoses, texts: Sequence[str]) -> None:
        # The highest-scoring person comes first in `poses` and is drawn last, over the others.
        people = [
            person
            for n in range(len(poses) - 1, -1, -1)
            if (person := self._person(poses, n, canvas.shape, texts)) is not None
        ]
        self._draw_trails(canvas, people, poses.time_s)
        for person in people:
            if self.options.boxes:
                _draw_box(canvas, person)
            if self.options.skeleton:
                _draw_figure(canvas, person, self.skeleton, fade=self.options.fade)
        diagonal = math.hypot(*canvas.shape[:2])
        for person in people:
            if person.text:
                draw_label(
                    canvas,
                    person.text,
                    person.head_top_px,
                    person_colour(person.number),
                    plate_height(person.head_px, diagonal),
                )

    def _person(
        self, poses: FramePoses, n: int, shape: tuple[int, ...], texts: Sequence[str]
    ) -> _Person | None:
        """What to draw of the n-th person; None if that is nothing."""
        options, track = self.options, int(poses.track_ids[n])
        if options.only_ids is not None and track not in options.only_ids:
            return None
        points = np.asarray(poses.keypoints_px[n], np.float64)
        scores = poses.keypoint_scores[n]
        shown = (scores >= options.min_keypoint_score) & np.isfinite(points).all(axis=1)
        if not shown.any():
            return None
        alphas = np.ones(len(points))
        if options.fade:
            span = max(_FULL_SCORE - options.min_keypoint_score, 0.05)
            rise = (scores - options.min_keypoint_score) / span
            alphas = _FADED_ALPHA + (1 - _FADED_ALPHA) * np.clip(rise, 0, 1)
        height = body_height(points, shown, self.skeleton)
        line, rim = _widths(height, math.hypot(*shape[:2]), options.line_width_px)
        head_px, head_top = _head(points, shown, self.skeleton, height, line)
        text = texts[n] if texts else options.names.get(track, str(track) if options.ids else "")
        return _Person(
            points_px=points,
            shown=shown,
            alphas=alphas,
            track_id=track,
            number=n if track == NO_TRACK else track,
            line_px=line,
            rim_px=rim,
            head_px=head_px,
            head_top_px=head_top,
            text="" if track == NO_TRACK and not texts else text,
        )

    def _draw_trails(self, canvas: Image, people: Sequence[_Person], time_s: float) -> None:
        """Adds each person's place to its trail, and draws the trails of those in this frame."""
        length_s = self.options.trail_s
        if not length_s:
            return
        for person in people:
            if person.track_id == NO_TRACK:
                continue
            trail = self._trails.setdefault(person.track_id, deque())
            if trail and trail[-1][0] >= time_s:  # another video, or the same one again
                trail.clear()
            trail.append((time_s, *_place(person, self.skeleton)))
            while trail[0][0] < time_s - length_s:
                trail.popleft()
            strokes = _trail_strokes(trail, person, length_s)
            paint(canvas, [strokes], person.rim_px, max_scale=2)


def draw_poses(
    image_rgb: Image,
    poses: FramePoses,
    skeleton: Skeleton,
    options: DrawingOptions | None = None,
    *,
    texts: Sequence[str] = (),
) -> Image:
    """Draws all people of one image, without trails; see `PoseRenderer.draw`."""
    return PoseRenderer(skeleton, options).draw(image_rgb, poses, texts)


def _check(image_rgb: Image, poses: FramePoses, skeleton: Skeleton) -> None:
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


def _widths(height_px: float, diagonal_px: float, line_px: float | None) -> tuple[float, float]:
    """Widths of limbs and of their rims, which grow with the person and not beyond the image's."""
    if line_px is None:
        line_px = min(max(0.018 * height_px, 1.0), max(0.0042 * diagonal_px, 1.5))
    return line_px, max(0.25, 0.28 * line_px)


def _head(
    points_px: Float[np.ndarray, "K 2"],
    shown: Bool[np.ndarray, "K"],
    skeleton: Skeleton,
    height_px: float,
    line_px: float,
) -> tuple[float, tuple[float, float]]:
    """The head's height, and the place above it where a label stands."""
    circle = head_circle(points_px, shown, skeleton, height_px)
    top = points_px[shown][points_px[shown][:, 1].argmin()]
    x, y, size = float(top[0]), float(top[1]) - line_px, 0.16 * height_px
    if circle is not None:
        x, y, size = circle.x, min(circle.y - circle.radius, y), 1.7 * circle.radius
    return size, (min(max(x, -_FAR_PX), _FAR_PX), min(max(y, -_FAR_PX), _FAR_PX) - 2)


@dataclass(frozen=True)
class _Figure:
    """What is drawn of a skeleton.

    Attributes:
        edges: (E, 2) keypoints that are joined; right ones first, so that left ones lie on top.
        sides: of each edge: 1 left, -1 right, 0 middle.
        dot_sides: of each keypoint.
        neck: head_bottom, left and right shoulder; or () where the skeleton lacks one. The neck
            goes to the middle of the shoulders, which is no keypoint.
    """

    edges: Int[np.ndarray, "E 2"]
    sides: Int[np.ndarray, "E"]
    dot_sides: list[int]
    neck: tuple[int, ...]


@lru_cache(maxsize=64)
def _figure(skeleton: Skeleton) -> _Figure:
    dot_sides = [
        1 if name.startswith("left_") else -1 if name.startswith("right_") else 0
        for name in skeleton.keypoints
    ]
    edges = np.asarray(skeleton.edges, np.int64).reshape(-1, 2)
    sides = np.sign(np.asarray(dot_sides)[edges].sum(axis=1))
    order = np.argsort(sides, kind="stable")
    joints = ("head_bottom", "left_shoulder", "right_shoulder")
    has_neck = set(joints) <= set(skeleton.keypoints)
    neck = tuple(skeleton.index(name) for name in joints) if has_neck else ()
    return _Figure(edges[order], sides[order], dot_sides, neck)


def _draw_figure(canvas: Image, person: _Person, skeleton: Skeleton, *, fade: bool) -> None:
    figure = _figure(skeleton)
    tints = side_tints(person_colour(person.number))
    points, alphas, shown = person.points_px, person.alphas, person.shown
    whole = shown[figure.edges].all(axis=1)
    edges = figure.edges[whole]
    ends, of_ends = points[edges], alphas[edges].min(axis=1)
    colours = [tints[side][0] for side in figure.sides[whole].tolist()]
    if figure.neck and all(shown[k] for k in figure.neck):
        head, left, right = figure.neck
        neck = np.stack([points[head], (points[left] + points[right]) / 2])
        ends, of_ends = np.concatenate([ends, neck[None]]), np.append(of_ends, alphas[head])
        colours.append(tints[0][0])
    lines = Strokes(ends, np.full(len(ends), person.line_px), colours, of_ends if fade else None)
    which = np.flatnonzero(shown).tolist()
    dots = Strokes(
        points[which],
        np.full(len(which), _DOT_PER_LINE * person.line_px),
        [tints[figure.dot_sides[k]][1] for k in which],
        alphas[which] if fade else None,
    )
    paint(canvas, [lines, dots], person.rim_px)


def _draw_box(canvas: Image, person: _Person) -> None:
    """The box around the shown keypoints, as files have it for the whole person."""
    shown = np.clip(person.points_px[person.shown], -_FAR_PX, _FAR_PX)
    # Upright lines need no smooth edges, which would cost an enlarged copy of the whole box.
    low, high = (
        np.rint(corner).astype(int).tolist() for corner in (shown.min(axis=0), shown.max(axis=0))
    )
    width = max(round(0.7 * person.line_px), 1)
    if width > 1:
        cv2.rectangle(canvas, low, high, DARK, width + 2 * max(round(0.6 * person.rim_px), 1))
    cv2.rectangle(canvas, low, high, person_colour(person.number), width)


def _place(person: _Person, skeleton: Skeleton) -> tuple[float, float]:
    """Where a person is: between the hips, else between the shoulders, else amid the keypoints."""
    for part in ("hip", "shoulder"):
        names = (f"left_{part}", f"right_{part}")
        both = [k for k, name in enumerate(skeleton.keypoints) if name in names]
        if len(both) == 2 and person.shown[both].all():
            x, y = person.points_px[both].mean(axis=0)
            return float(x), float(y)
    x, y = person.points_px[person.shown].mean(axis=0)
    return float(x), float(y)


def _trail_strokes(
    trail: Sequence[tuple[float, float, float]], person: _Person, length_s: float
) -> Strokes:
    """A trail as pieces that become thin and transparent with their age."""
    table = np.asarray(trail)  # (N, 3) time, x, y
    if len(table) > _TRAIL_PIECES:
        table = table[np.linspace(0, len(table) - 1, _TRAIL_PIECES + 1).round().astype(int)]
    freshness = 1 - (table[-1, 0] - table[1:, 0]) / length_s  # 1 now, 0 at the end of the trail
    widths, alphas = person.line_px * (0.5 + 0.5 * freshness), 0.15 + 0.75 * freshness
    return Strokes.chain(table[:, 1:], widths, person_colour(person.number), alphas)
