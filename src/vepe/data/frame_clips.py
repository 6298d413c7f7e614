"""Clips of real video from shards whose pictures say which video and time they are from.

Frames keep their true times; one placement serves the whole clip. Frames may be skipped up to a
gap, so that slow and fast video are both seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vepe.data.clip import Clip, People
from vepe.data.colour import change_colours
from vepe.data.placement import Region, draw_matrix, mirror, move_people, warp
from vepe.data.shards import Still
from vepe.errors import VepeError
from vepe.skeleton import Skeleton


@dataclass(frozen=True)
class FrameClipSettings:
    """Side of the square canvas, frames of a clip, and the longest time between two of them."""

    size_px: int = 320
    frames: int = 3
    max_gap_s: float = 0.4


class FrameClips:
    """A map-style data set of clips cut from labelled video; item i depends on the seed alone.

    Raises:
        VepeError: where no video is long enough for a clip.
    """

    def __init__(
        self,
        stills: list[Still],
        skeleton: Skeleton,
        settings: FrameClipSettings,
        *,
        length: int,
        seed: int = 0,
    ) -> None:
        videos: dict[str, list[Still]] = {}
        for still in stills:
            if still.video is not None:
                videos.setdefault(still.video, []).append(still)
        ordered = [sorted(v, key=lambda s: s.time_s) for v in videos.values()]
        self.videos = [v for v in ordered if len(v) >= settings.frames and _dense(v, settings)]
        if not self.videos:
            raise VepeError(
                f"No video of these shards has {settings.frames} frames; use a smaller clip."
            )
        self.skeleton, self.settings = skeleton, settings
        self.length, self.seed = length, seed

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Clip:
        """Clip `index`; any non-negative index is valid."""
        rng = np.random.default_rng((self.seed, index))
        cv2.setRNGSeed(int(rng.integers(2**31)))
        s = self.settings
        stills = self._choose(rng)
        region = Region(0, 0, s.size_px, s.size_px)
        images = np.empty((s.frames, s.size_px, s.size_px, 3), np.uint8)
        images[:] = rng.integers(0, 256, 3, dtype=np.uint8)
        flip = rng.random() < 0.5
        matrix: np.ndarray | None = None
        people: list[People] = []
        for t, still in enumerate(stills):
            image, labels = still.image(), still.people
            if flip:
                image = np.ascontiguousarray(image[:, ::-1])
                labels = mirror(labels, image.shape[1], self.skeleton)
            if matrix is None:
                size = (image.shape[1], image.shape[0])
                matrix = draw_matrix(
                    rng, labels, size, region, stretched=still.square_stretched, sizes=(0.15, 0.7)
                )
            warp(image, matrix, images[t], region)
            people.append(move_people(labels, matrix, region))
        return Clip(
            images=change_colours(images, rng),
            time_s=np.array([still.time_s for still in stills]) - stills[0].time_s,
            people=tuple(people),
            key_indices=tuple(range(s.frames)),
            background_weight=stills[0].background_weight,
            name=stills[0].name,
        )

    def _choose(self, rng: np.random.Generator) -> list[Still]:
        """Frames with equal skips, none of them longer than the largest gap."""
        video = self.videos[rng.integers(len(self.videos))]
        frames = self.settings.frames
        for stride in (int(rng.integers(1, 5)), 1):
            reach = (frames - 1) * stride
            if reach < len(video):
                start = int(rng.integers(len(video) - reach))
                chosen = video[start : start + reach + 1 : stride]
                gaps = np.diff([still.time_s for still in chosen])
                if frames == 1 or gaps.max() <= self.settings.max_gap_s:
                    return chosen
        raise AssertionError("videos whose consecutive frames are too far apart were left out")


def _dense(video: list[Still], settings: FrameClipSettings) -> bool:
    """Whether consecutive frames are near enough for a clip."""
    gaps = np.diff([still.time_s for still in video])
    return settings.frames == 1 or float(gaps.max()) <= settings.max_gap_s
