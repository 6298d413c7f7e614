"""`DrawingOptions`: what is drawn of people, and what of the image is hidden.

Loads neither NumPy nor OpenCV, so that the command line can check options before any work.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from vepe.errors import VepeError

Background = Literal["image", "blur", "black"]
Hidden = Literal["none", "faces", "people"]
HideBy = Literal["blur", "pixelate"]


@dataclass(frozen=True)
class DrawingOptions:
    """How poses are drawn; the same options for `vepe track`, `vepe draw` and Python.

    Attributes:
        skeleton: draw limbs and keypoints.
        boxes: draw boxes around the keypoints that are shown.
        ids: draw track ids at the heads.
        names: texts in place of ids, by track id.
        trail_s: draw each person's way over the last so many seconds; 0 draws none.
        fade: draw keypoints and limbs the more transparent, the lower their score.
        min_keypoint_score: keypoints below it, and the limbs that end in them, are not drawn.
        line_width_px: width of limbs in pixels; None scales it with each person.
        only_ids: draw only these track ids; None draws all people. What is hidden is hidden of all.
        background: "image"; "blur" blurs all but people; "black" replaces the image.
        hide: make "faces" or whole "people" unrecognisable.
        hide_by: "blur" or "pixelate"; both keep the same, few, mean colours.
        side_by_side: put the image without drawings to the left of the drawn one (twice the
            width). What is hidden is hidden in both.

    Raises:
        VepeError: on a value that is out of range.
    """

    skeleton: bool = True
    boxes: bool = False
    ids: bool = True
    names: Mapping[int, str] = field(default_factory=dict)
    trail_s: float = 0.0
    fade: bool = False
    min_keypoint_score: float = 0.3
    line_width_px: float | None = None
    only_ids: frozenset[int] | None = None
    background: Background = "image"
    hide: Hidden = "none"
    hide_by: HideBy = "blur"
    side_by_side: bool = False

    def __post_init__(self) -> None:
        _check_range("The length of trails", self.trail_s, 0, 3600, "seconds")
        _check_range("The lowest keypoint score", self.min_keypoint_score, 0, 1, "")
        if self.line_width_px is not None:
            _check_range("The line width", self.line_width_px, 0.25, 200, "pixels")
        for name, kind in (("background", Background), ("hide", Hidden), ("hide_by", HideBy)):
            value, known = getattr(self, name), get_args(kind)
            if value not in known:
                raise VepeError(
                    f"{name} is '{value}', which is unknown; choose from {', '.join(known)}."
                )
        if self.only_ids is not None:
            object.__setattr__(self, "only_ids", frozenset(self.only_ids))

    def changed(self) -> dict[str, Any]:
        """What differs from the defaults, in values of JSON."""
        usual = DrawingOptions()
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        changes = {name: v for name, v in values.items() if v != getattr(usual, name)}
        if "only_ids" in changes:
            changes["only_ids"] = sorted(self.only_ids or ())
        if "names" in changes:
            changes["names"] = {str(track_id): name for track_id, name in self.names.items()}
        return changes

    def output_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of what is drawn on an image of this size."""
        return (2 * width if self.side_by_side else width), height


def _check_range(what: str, value: float, low: float, high: float, unit: str) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise VepeError(f"{what} is {value:g}; give {low:g} to {high:g} {unit}".rstrip() + ".")
