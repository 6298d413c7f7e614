"""Pseudo-clips from stills: labelled pictures, placed on a canvas and moved smoothly.

Several pictures make one multi-person clip (mosaic), because a set such as LSP labels one person a
picture. Every picture moves on its own path, so that identities and time mean something. With one
frame a clip it is plain mosaic augmentation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from vepe.data.clip import Clip, People
from vepe.data.colour import change_colours
from vepe.data.placement import Region, draw_matrix, draw_motion, mirror, move_people, warp
from vepe.data.shards import Still
from vepe.skeleton import Skeleton


@dataclass(frozen=True)
class PseudoClipSettings:
    """How clips are made.

    Attributes:
        size_px: side of the square canvas.
        frames: T.
        layouts: chances of one, two, four and nine pictures on a canvas.
        motion: strength of the motion (see `draw_motion`).
        sizes: range of a person's longer side in units of the region's shorter side.
        colour: whether colours, blur and noise vary.
    """

    size_px: int = 320
    frames: int = 1
    layouts: tuple[float, float, float, float] = (0.4, 0.25, 0.35, 0.0)
    motion: float = 1.0
    sizes: tuple[float, float] = (0.3, 1.1)
    colour: bool = True


class PseudoClips:
    """A map-style data set of clips made from stills; item i is the same for the same seed.

    Args:
        stills: labelled pictures.
        skeleton: the skeleton their labels are in.
        settings: how clips are made.
        length: clips an epoch.
        seed: of everything random.
    """

    def __init__(
        self,
        stills: list[Still],
        skeleton: Skeleton,
        settings: PseudoClipSettings,
        *,
        length: int,
        seed: int = 0,
    ) -> None:
        self.stills, self.skeleton, self.settings = stills, skeleton, settings
        self.length, self.seed = length, seed

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Clip:
        """Clip `index`; any non-negative index is valid, so that a run never repeats itself."""
        rng = np.random.default_rng((self.seed, index))
        cv2.setRNGSeed(int(rng.integers(2**31)))
        s = self.settings
        times = np.arange(s.frames) / rng.uniform(8, 30)
        regions = self._layout(rng)
        images = np.empty((s.frames, s.size_px, s.size_px, 3), np.uint8)
        images[:] = rng.integers(0, 256, 3, dtype=np.uint8)
        frames: list[list[People]] = [[] for _ in range(s.frames)]
        weight, names = 1.0, []
        for number, region in enumerate(regions):
            still = self.stills[rng.integers(len(self.stills))]
            placed = self._place(still, number, region, times, images, rng)
            for parts, people in zip(frames, placed, strict=True):
                parts.append(people)
            weight = min(weight, still.background_weight)
            names.append(still.name)
        if s.colour:
            images = change_colours(images, rng)
        return Clip(
            images=images,
            time_s=times,
            people=tuple(_join(parts) for parts in frames),
            key_indices=tuple(range(s.frames)),
            background_weight=weight,
            name=" + ".join(names),
        )

    def _layout(self, rng: np.random.Generator) -> list[Region]:
        """One region, two side by side or above each other, or a grid of four or nine."""
        side = self.settings.size_px
        chances = np.asarray(self.settings.layouts, np.float64)
        kind = rng.choice(4, p=chances / chances.sum())
        halves = [(1, 1), (2, 1) if rng.random() < 0.7 else (1, 2), (2, 2), (3, 3)]
        columns, rows = (_cuts(rng, count, side) for count in halves[kind])
        return [
            Region(x, y, right - x, bottom - y)
            for y, bottom in pairwise(rows)
            for x, right in pairwise(columns)
        ]

    def _place(
        self,
        still: Still,
        number: int,
        region: Region,
        times: Float[np.ndarray, "T"],
        images: UInt8[np.ndarray, "T H W 3"],
        rng: np.random.Generator,
    ) -> list[People]:
        """Draws one still into all frames and returns its labels there."""
        image, people = still.image(), _with_ids(still.people, number)
        height, width = image.shape[:2]
        if rng.random() < 0.5:
            image = np.ascontiguousarray(image[:, ::-1])
            people = mirror(people, width, self.skeleton)
        matrix = draw_matrix(
            rng,
            people,
            (width, height),
            region,
            stretched=still.square_stretched,
            sizes=self.settings.sizes,
        )
        side = min(region.width, region.height)
        motion = draw_motion(rng, side, self.settings.motion)
        centre = np.array([region.x + region.width / 2, region.y + region.height / 2])
        placed = []
        for t, time_s in enumerate(times):
            moved = motion.at(float(time_s), centre) @ matrix
            warp(image, moved, images[t], region)
            placed.append(move_people(people, moved, region))
        return placed


def _cuts(rng: np.random.Generator, parts: int, side: int) -> list[int]:
    """Borders of `parts` of roughly equal length, 0 and `side` among them."""
    inner = (np.arange(1, parts) + rng.uniform(-0.3, 0.3, parts - 1)) * side / parts
    return [0, *(int(cut) for cut in inner), side]


def _with_ids(people: People, number: int) -> People:
    """The same people with identities of this clip: a still's person is one person throughout."""
    return replace(people, track_ids=number * 1000 + np.arange(len(people)))


def _join(parts: list[People]) -> People:
    """The people of all regions as one frame's."""
    return People(
        np.concatenate([p.keypoints_px for p in parts]),
        np.concatenate([p.visibility for p in parts]),
        np.concatenate([p.boxes_xyxy_px for p in parts]),
        np.concatenate([p.areas_px for p in parts]),
        np.concatenate([p.track_ids for p in parts]),
        np.concatenate([p.ignore_boxes_xyxy_px for p in parts]),
    )
