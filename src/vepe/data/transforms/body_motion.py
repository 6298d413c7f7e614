"""Motion of bodies in a still: around people the picture is bent, and all labels with it.

The maps point back, from a place in the new picture to where its colour comes from. Labels are
moved by the inverse of the very map that draws the picture, so that they agree to a fraction of a
pixel. How limbs swing is drawn in `limb_swing`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torchvision.transforms import v2
from torchvision.tv_tensors import BoundingBoxes, KeyPoints, Video, wrap

from vepe.data.transforms.tv_tensors import array_of

MOST_ITERATIONS = 12
TOLERANCE_PX = 0.02
BORDER = np.array(
    [(u, v) for u in np.linspace(0, 1, 5) for v in np.linspace(0, 1, 5) if {u, v} & {0.0, 1.0}]
)
"""Places on the border of the unit square."""


@dataclass(frozen=True)
class Patch:
    """The map around one person on a coarse grid; at its border nothing moves.

    Attributes:
        corner_px: (2,) outer corner of the first cell; nodes lie in the middles of cells.
        step_px: side of a cell.
        back_px: (T, rows, columns, 2) from a place to where its colour comes from, less the place.
    """

    corner_px: Float[np.ndarray, "2"]
    step_px: float
    back_px: Float[np.ndarray, "T R C 2"]

    @property
    def cells_wh(self) -> tuple[int, int]:
        """Columns and rows of the grid."""
        return self.back_px.shape[2], self.back_px.shape[1]


class BodyMotion(v2.Transform):
    """The people of a still in motion: pictures, keypoints and boxes of T frames.

    Args:
        patches: one a moving person; they do not overlap.
    """

    _transformed_types = (Video, KeyPoints, BoundingBoxes)

    def __init__(self, patches: tuple[Patch, ...]) -> None:
        super().__init__()
        self.patches = patches

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Labels of all kinds are moved together (called by torchvision)."""
        frames = len(self.patches[0].back_px) if self.patches else 1
        places = {}
        for inpt in flat_inputs:
            if isinstance(inpt, KeyPoints):
                places[str(id(inpt))] = array_of(inpt).reshape(frames, -1, 2)
            elif isinstance(inpt, BoundingBoxes):
                boxes = array_of(inpt).reshape(frames, -1, 1, 4)
                border = boxes[..., :2] + (boxes[..., 2:] - boxes[..., :2]) * BORDER
                places[str(id(inpt))] = border.reshape(frames, -1, 2)
        if not places or not self.patches:
            return {}
        moved = self.forward_px(np.concatenate(list(places.values()), axis=1))
        cuts = np.cumsum([p.shape[1] for p in places.values()])[:-1]
        return dict(zip(places, np.split(moved, cuts, axis=1), strict=True))

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """One tensor of the sample, moved (called by torchvision)."""
        if not self.patches:
            return inpt
        if isinstance(inpt, Video):
            moved = self._pictures(array_of(inpt).transpose(0, 2, 3, 1))
            return Video(torch.from_numpy(moved).permute(0, 3, 1, 2))
        places: np.ndarray = params[str(id(inpt))]
        if isinstance(inpt, BoundingBoxes):  # boxes around the boxes' moved borders
            border = places.reshape(-1, len(BORDER), 2)
            places = np.concatenate([border.min(axis=1), border.max(axis=1)], axis=1)
        return wrap(torch.from_numpy(places.reshape(inpt.shape)), like=inpt)

    def forward_px(self, points: Float[np.ndarray, "T N 2"]) -> Float[np.ndarray, "T N 2"]:
        """Where places of the still lie in every frame, by fixed-point iteration of the map."""
        result = points.astype(np.float32)
        corners = np.array([p.corner_px for p in self.patches])
        steps = np.array([p.step_px for p in self.patches])
        cells = np.array([p.cells_wh for p in self.patches])
        local = (points[:, :, None] - corners) / steps[:, None]  # T N patches 2
        inside = ((local > 0) & (local < cells)).all(axis=-1)
        frame, point, owner = np.nonzero(inside)
        fields = np.concatenate(
            [p.back_px.reshape(-1, 2) / p.step_px for p in self.patches], axis=0
        )
        sizes = cells.prod(axis=1)
        starts = np.cumsum([0, *(sizes * len(points))[:-1]])[owner] + frame * sizes[owner]
        columns, last = cells[owner, 0], cells[owner] - 1.0
        start = local[frame, point, owner] - 0.5
        tolerance, place = TOLERANCE_PX / steps.max(), start
        for _ in range(MOST_ITERATIONS):
            better = start - _sample(fields, place, starts, columns, last)
            change, place = np.abs(better - place).max(initial=0), better
            if change < tolerance:
                break
        result[frame, point] = (place + 0.5) * steps[owner, None] + corners[owner]
        return result

    def _pictures(self, images: UInt8[np.ndarray, "T H W 3"]) -> UInt8[np.ndarray, "T H W 3"]:
        result = np.array(images, order="C")
        height, width = images.shape[1:3]
        for patch in self.patches:
            x0, y0 = np.maximum(np.ceil(patch.corner_px), 0).astype(int)
            end = patch.corner_px + patch.step_px * np.array(patch.cells_wh)
            x1, y1 = np.minimum(np.floor(end).astype(int), (width, height))
            if x1 <= x0 or y1 <= y0:
                continue
            grid = np.stack(np.meshgrid(np.arange(x0, x1), np.arange(y0, y1)), -1, dtype=np.float32)
            # From pixels of the picture to nodes of the field, both counted from their middles.
            to_nodes = np.array([[1, 0, 0], [0, 1, 0]]) / patch.step_px
            to_nodes[:, 2] = (np.array([x0, y0]) + 0.5 - patch.corner_px) / patch.step_px - 0.5
            for t, field in enumerate(patch.back_px):
                if not field.any():
                    continue
                dense = cv2.warpAffine(
                    field,
                    to_nodes,
                    (x1 - x0, y1 - y0),
                    flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                    borderMode=cv2.BORDER_REPLICATE,
                )
                result[t, y0:y1, x0:x1] = cv2.remap(
                    np.ascontiguousarray(images[t]),
                    grid + dense,
                    None,
                    cv2.INTER_LINEAR,
                    borderMode=cv2.BORDER_REPLICATE,
                )
        return result


def _sample(
    fields: Float[np.ndarray, "M 2"],
    place: Float[np.ndarray, "N 2"],
    starts: np.ndarray,
    columns: np.ndarray,
    last: Float[np.ndarray, "N 2"],
) -> Float[np.ndarray, "N 2"]:
    """Fields between their nodes; each place has its own grid, which starts at a row of `fields`.

    Args:
        fields: all grids one after the other.
        place: x and y in units of nodes.
        starts, columns, last: of each place's grid its first row, columns, and last node.
    """
    inside = np.maximum(np.minimum(place, last - 1e-3), 0)
    whole = inside.astype(np.intp)
    part = (inside - whole).astype(np.float32)
    node = starts + whole[:, 1] * columns + whole[:, 0]
    u, v = part[:, :1], part[:, 1:]
    top = fields[node] * (1 - u) + fields[node + 1] * u
    low = fields[node + columns] * (1 - u) + fields[node + columns + 1] * u
    result: np.ndarray = top * (1 - v) + low * v
    return result
